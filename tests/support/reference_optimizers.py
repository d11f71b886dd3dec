"""Reference optimizers that no package has in the form that a program follows.

Each is written from its paper or its authors' code as a `torch.optim.Optimizer` that loops over
parameters, knows nothing of programs, and is named in a row of `evosearch.language.library`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import muon
import pytorch_optimizer
import torch
from torch import Tensor


@dataclass
class Slot:
    """One parameter at one step."""

    w: Tensor
    g: Tensor
    t: int
    """The step, from 1."""
    lr: float
    options: Mapping[str, Any]
    kept: dict[str, Any] = field(default_factory=dict)
    """What persists from step to step."""

    def state(self, name: str) -> Tensor:
        """Return a state of the parameter's shape, zero at first, to change in place."""
        return self.kept.setdefault(name, torch.zeros_like(self.w))

    def average(self, name: str, value: Tensor, beta: float) -> Tensor:
        """Move an exponential average, and return it."""
        return self.state(name).mul_(beta).add_((1 - beta) * value)


class ReferenceOptimizer(torch.optim.Optimizer):
    """``w <- w - lr * direction``, one parameter at a time."""

    def __init__(self, params: Any, lr: float, **options: Any) -> None:
        super().__init__(params, {"lr": lr, **options})

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for p in group["params"]:
                kept = self.state[p]
                kept["t"] = kept.get("t", 0) + 1
                slot = Slot(p.detach(), p.grad, kept["t"], group["lr"], group, kept)
                p.sub_(group["lr"] * self.direction(slot))

    def direction(self, p: Slot) -> Tensor:
        """Return the update of one parameter."""
        raise NotImplementedError


class SignSGD(ReferenceOptimizer):
    """Bernstein et al., arXiv 1802.04434, Algorithm 1."""

    def direction(self, p: Slot) -> Tensor:
        return p.g.sign()


class Signum(ReferenceOptimizer):
    """Bernstein et al., arXiv 1802.04434, Algorithm 2."""

    def direction(self, p: Slot) -> Tensor:
        return p.average("m", p.g, p.options["momentum"]).sign()


def _adam(p: Slot, m: Tensor, v: Tensor, eps: float) -> Tensor:
    """Return Adam's direction from averages that started at zero."""
    beta1, beta2 = p.options["betas"]
    return m / (1 - beta1**p.t) / ((v / (1 - beta2**p.t)).sqrt() + eps)


def _orthogonalized(x: Tensor) -> Tensor:
    """Keller Jordan's Newton-Schulz, in the precision to which tests set his `bfloat16`."""
    return muon.zeropower_via_newtonschulz5(x, 5)


def _polar(x: Tensor) -> Tensor:
    """The exact orthogonal polar factor."""
    u, _, vt = torch.linalg.svd(x, full_matrices=False)
    return u @ vt


def _stretched(x: Tensor) -> Tensor:
    """Muon's factor for tall matrices."""
    return x * max(1.0, x.shape[0] / x.shape[1]) ** 0.5


class Lamb(ReferenceOptimizer):
    """You et al., arXiv 1904.00962, Algorithm 2; timm's form, without clipping."""

    def direction(self, p: Slot) -> Tensor:
        m = p.average("m", p.g, p.options["betas"][0])
        v = p.average("v", p.g * p.g, p.options["betas"][1])
        r = _adam(p, m, v, 1e-6) + p.options["weight_decay"] * p.w
        return r * (p.w.norm() / r.norm())


class LaProp(ReferenceOptimizer):
    """Ziyin, Wang and Ueda, arXiv 2002.04839, Algorithm 1."""

    def direction(self, p: Slot) -> Tensor:
        beta1, beta2 = p.options["betas"]
        v = p.average("v", p.g * p.g, beta2)
        m = p.average("m", p.g / ((v / (1 - beta2**p.t)).sqrt() + 1e-15), beta1)
        return m / (1 - beta1**p.t)


class AddSign(ReferenceOptimizer):
    """Bello et al., arXiv 1709.07417, section 4."""

    def direction(self, p: Slot) -> Tensor:
        m = p.average("m", p.g, 0.9)
        return (1 + p.g.sign() * m.sign()) * p.g


class PowerSign(ReferenceOptimizer):
    """Bello et al., arXiv 1709.07417, section 4."""

    def direction(self, p: Slot) -> Tensor:
        m = p.average("m", p.g, 0.9)
        return torch.e ** (p.g.sign() * m.sign()) * p.g


class CautiousAdamW(ReferenceOptimizer):
    """Liang et al., arXiv 2411.16085, Algorithm 1, with the published code's mask."""

    def direction(self, p: Slot) -> Tensor:
        m = p.average("m", p.g, p.options["betas"][0])
        v = p.average("v", p.g * p.g, p.options["betas"][1])
        mask = (m * p.g > 0).to(p.g.dtype)
        mask /= mask.mean().clamp(min=1e-3)
        return _adam(p, m, v, 1e-8) * mask + p.options["weight_decay"] * p.w


class MarsAdamW(ReferenceOptimizer):
    """Yuan et al., arXiv 2411.10438, Algorithm 2 in its approximate form."""

    def direction(self, p: Slot) -> Tensor:
        beta1, beta2 = p.options["betas"]
        last = p.state("last")
        c = p.g + p.options["gamma"] * beta1 / (1 - beta1) * (p.g - last)
        c = c / max(1.0, float(c.norm()))
        last.copy_(p.g)
        m, v = p.average("m", c, beta1), p.average("v", c * c, beta2)
        return _adam(p, m, v, 1e-8) + p.options["weight_decay"] * p.w


class AdamMini(ReferenceOptimizer):
    """Zhang et al., arXiv 2406.16793, Algorithm 1: a block for each row."""

    def direction(self, p: Slot) -> Tensor:
        m = p.average("m", p.g, p.options["betas"][0])
        square = (p.g * p.g).mean(1, keepdim=True).expand_as(p.g)
        return _adam(p, m, p.average("v", square, p.options["betas"][1]), 1e-8)


class NorMuon(ReferenceOptimizer):
    """Li et al., arXiv 2510.05491, as the dion repository computes it."""

    def direction(self, p: Slot) -> Tensor:
        m = p.average("m", p.g, 0.95)
        o = _orthogonalized(0.05 * p.g + 0.95 * m)
        v = p.average("v", (o * o).mean(1, keepdim=True).expand_as(o), 0.95)
        x = o / (v.sqrt() + 1e-8)
        return x * (o.norm() / x.norm())


class AdaMuon(ReferenceOptimizer):
    """Si et al., arXiv 2507.11005, Algorithm 1."""

    def direction(self, p: Slot) -> Tensor:
        m = p.state("m").mul_(0.95).add_(p.g)
        o = _orthogonalized((p.g + 0.95 * m).sign())
        v = p.average("v", o * o, 0.95)
        x = o / (v.sqrt() + 1e-8)
        return 0.2 * x * x.numel() ** 0.5 / x.norm()


class MoonlightMuon(ReferenceOptimizer):
    """Liu et al., arXiv 2502.16982, examples/toy_train.py."""

    def direction(self, p: Slot) -> Tensor:
        m = p.state("m").mul_(0.95).add_(p.g)
        o = _orthogonalized(p.g + 0.95 * m)
        return 0.2 * max(p.w.shape) ** 0.5 * o + p.options["weight_decay"] * p.w


def LookaheadAdam(params: Any, lr: float) -> torch.optim.Optimizer:
    """pytorch_optimizer's, over torch's Adam."""
    return pytorch_optimizer.Lookahead(torch.optim.Adam(params, lr=lr), k=5, alpha=0.5)


class Hyperball(ReferenceOptimizer):
    """Wen et al., arXiv 2606.16899: weights and updates have the norm of the weights at first."""

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for p in group["params"]:
                kept = self.state[p]
                kept["t"] = kept.get("t", 0) + 1
                radius = kept.setdefault("radius", float(p.norm()))
                u = self.direction(Slot(p.detach(), p.grad, kept["t"], group["lr"], group, kept))
                moved = p - group["lr"] * radius / float(u.norm()) * u
                p.copy_(radius / float(moved.norm()) * moved)


class MuonH(Hyperball):
    """Muon on the sphere."""

    def direction(self, p: Slot) -> Tensor:
        m = p.average("m", p.g, 0.95)
        return _orthogonalized(0.05 * p.g + 0.95 * m)


class AdamH(Hyperball):
    """Adam on the sphere."""

    def direction(self, p: Slot) -> Tensor:
        m, v = p.average("m", p.g, 0.9), p.average("v", p.g**2, 0.999)
        m_hat, v_hat = m / (1 - 0.9**p.t), v / (1 - 0.999**p.t)
        return m_hat / (v_hat.sqrt() + 1e-8)


class EmaNesterovMuon(ReferenceOptimizer):
    """arXiv 2605.25395 over Muon, with the look-ahead on from the first step to the last."""

    def direction(self, p: Slot) -> Tensor:
        m = p.average("m", p.g, 0.95)
        s = _stretched(_orthogonalized(0.05 * p.g + 0.95 * m))
        b = p.state("b")
        p.average("b", s + 0.6 * b, 0.99)
        return s + 0.6 * b


class ContraMuon(ReferenceOptimizer):
    """nilin.github.io/contra-muon-and-soft-muon: 0.2 of the normalized momentum is taken away."""

    def direction(self, p: Slot) -> Tensor:
        c = 0.05 * p.g + 0.95 * p.average("m", p.g, 0.95)
        size = torch.linalg.matrix_norm(c.mT @ c) ** 0.5
        return _stretched(_orthogonalized(c) - 0.2 * c / size)


class Rotated(ReferenceOptimizer):
    """What SOAP and its kin have in common: averages of both Gram matrices, and bases."""

    def squares(self, p: Slot, beta: float) -> tuple[Tensor, Tensor]:
        """Move the averages of the Gram matrices, and return them."""
        rows, cols = p.g.shape
        left = p.kept.setdefault("l", p.g.new_zeros(rows, rows))
        right = p.kept.setdefault("r", p.g.new_zeros(cols, cols))
        left.lerp_(p.g @ p.g.mT, 1 - beta)
        right.lerp_(p.g.mT @ p.g, 1 - beta)
        return left, right

    def bases(self, p: Slot) -> tuple[Tensor, Tensor]:
        """Return the bases, at first the identity."""
        rows, cols = p.g.shape
        one = p.kept.setdefault("p", torch.eye(rows, dtype=p.g.dtype))
        return one, p.kept.setdefault("q", torch.eye(cols, dtype=p.g.dtype))


def _qr(x: Tensor) -> Tensor:
    """An orthonormal basis of x's columns, with a nonnegative diagonal of R."""
    q, r = torch.linalg.qr(x)
    return torch.where(torch.diagonal(r) < 0, -q, q)


class Soap(Rotated):
    """Vyas et al., arXiv 2409.11321, Algorithm 3; bases refreshed on steps 1, 11, 21, ..."""

    def direction(self, p: Slot) -> Tensor:
        left, right = self.bases(p)
        m = p.average("m", p.g, 0.95)
        v = p.average("v", (left.mT @ p.g @ right) ** 2, 0.95)
        c = 1 - 0.95**p.t
        u = left @ (left.mT @ m @ right / c / ((v / c).sqrt() + 1e-8)) @ right.mT
        grams = self.squares(p, 0.95)
        if p.t % 10 == 1:
            p.kept["p"], p.kept["q"] = _qr(grams[0] @ left), _qr(grams[1] @ right)
        return u


class SoapMuon(Rotated):
    """modded-nanogpt, track 3: SOAP's direction from a refreshed basis, orthogonalized."""

    def direction(self, p: Slot) -> Tensor:
        left, right = self.squares(p, 0.9)
        one, other = self.bases(p)
        one, other = _qr(left @ one), _qr(right @ other)
        p.kept["p"], p.kept["q"] = one, other
        m = p.average("m", p.g, 0.95)
        v = p.average("v", (one.mT @ p.g @ other) ** 2, 0.9)
        x = one.mT @ (0.05 * p.g + 0.95 * m) @ other / (v.sqrt() + 1e-8)
        return _stretched(_orthogonalized(one @ x @ other.mT))


class SPlus(Rotated):
    """Frans, Levine and Abbeel, arXiv 2506.07254, Algorithm 1; bases on steps 1, 11, 21, ..."""

    def direction(self, p: Slot) -> Tensor:
        m = p.average("m", p.g, 0.9)
        grams = self.squares(p, 0.999)
        left, right = self.bases(p)
        u = left @ (left.mT @ m @ right).sign() @ right.mT * 2 / sum(p.g.shape)
        if p.t % 10 == 1:
            vectors = [torch.linalg.eigh((x + x.mT) / 2).eigenvectors for x in grams]
            p.kept["p"], p.kept["q"] = (torch.where(x.sum(0) < 0, -x, x) for x in vectors)
        return u


class Shampoo(ReferenceOptimizer):
    """Gupta, Koren and Singer, arXiv 1802.09568, Algorithm 1, roots by eigenvalues."""

    def direction(self, p: Slot) -> Tensor:
        rows, cols = p.g.shape
        left = p.kept.setdefault("l", 1e-4 * torch.eye(rows, dtype=p.g.dtype))
        right = p.kept.setdefault("r", 1e-4 * torch.eye(cols, dtype=p.g.dtype))
        left += p.g @ p.g.mT
        right += p.g.mT @ p.g
        return self.root(left) @ p.g @ self.root(right)

    def root(self, x: Tensor) -> Tensor:
        values, vectors = torch.linalg.eigh(x)
        return vectors @ torch.diag(values ** (-1 / 4)) @ vectors.mT


class OrthogonalSGDM(ReferenceOptimizer):
    """Tuddenham et al., arXiv 2202.07052, Algorithm 1, by a singular value decomposition."""

    def direction(self, p: Slot) -> Tensor:
        return p.state("m").mul_(0.9).add_(_polar(p.g))


class PolarGrad(ReferenceOptimizer):
    """Lau, Long and Su, arXiv 2505.21799: the polar factor times the nuclear norm."""

    def direction(self, p: Slot) -> Tensor:
        m = p.average("m", p.g, 0.95)
        return _polar(m) * torch.linalg.matrix_norm(m, "nuc")


class Scion(ReferenceOptimizer):
    """Pethick et al., arXiv 2502.07529, Algorithm 1 (unconstrained), spectral norm."""

    def direction(self, p: Slot) -> Tensor:
        o = _orthogonalized(p.average("m", p.g, 0.9))
        return 50.0 * (p.g.shape[0] / p.g.shape[1]) ** 0.5 * o


class ExpectedKron(ReferenceOptimizer):
    """PSGD Kron (Li, arXiv 1512.04202), its random probe's outer product replaced by its mean."""

    def direction(self, p: Slot) -> Tensor:
        rows, cols = p.g.shape
        one = p.kept.setdefault("p", torch.eye(rows, dtype=p.g.dtype))
        two = p.kept.setdefault("q", torch.eye(cols, dtype=p.g.dtype))
        a = one @ p.g @ two.mT
        update = one.mT @ a @ two
        for factor, gram, mean in ((one, a @ a.mT, cols), (two, a.mT @ a, rows)):
            target = mean * torch.eye(len(gram), dtype=p.g.dtype)
            size = torch.linalg.matrix_norm(gram + target)
            factor.sub_(0.3 / size * torch.triu(gram - target) @ factor)
        return update


class ColumnNormalized(ReferenceOptimizer):
    """Glentis et al., arXiv 2506.16659, for hidden matrices: no state at all."""

    def direction(self, p: Slot) -> Tensor:
        return p.g / p.g.norm(dim=0, keepdim=True)


class ProdigyPerMatrix(ReferenceOptimizer):
    """Mishchenko and Defazio, arXiv 2306.06101, prodigyopt's defaults, over one parameter."""

    def direction(self, p: Slot) -> Tensor:
        k = p.kept
        k.setdefault("w0", p.w.clone())
        d = k.setdefault("d", 1e-6)
        top = k.setdefault("top", 1e-6)
        beta1, beta2 = p.options["betas"]
        beta3 = beta2**0.5
        k["n"] = k.get("n", 0.0) * beta3 + d / 1e-6 * d * float((p.g * (k["w0"] - p.w)).sum())
        m = p.state("m").mul_(beta1).add_((1 - beta1) * d * p.g)
        v = p.state("v").mul_(beta2).add_((1 - beta2) * (d * p.g) ** 2)
        s = p.state("s").mul_(beta3).add_(d / 1e-6 * d * p.g)
        estimate = k["n"] / float(s.abs().sum())
        if d == 1e-6:
            k["d"] = max(d, estimate)
        k["top"] = top = max(top, estimate)
        k["d"] = min(top, k["d"] * float("inf")) if k["d"] > 0 else 0.0
        return d * m / (v.sqrt() + d * 1e-8)


class SecantSophia(ReferenceOptimizer):
    """Liu et al., arXiv 2305.14342, Algorithm 3, with a secant for the Hessian's diagonal."""

    def direction(self, p: Slot) -> Tensor:
        last, before = p.kept.get("last"), p.kept.get("before")
        h = p.state("h")
        if last is not None:
            h.mul_(0.99).add_(0.01 * ((p.g - last) / (p.w - before)).clamp(min=0.0))
        p.kept["last"], p.kept["before"] = p.g.clone(), p.w.clone()
        m = p.average("m", p.g, 0.965)
        return (m / (0.01 * h).clamp(min=1e-12)).clamp(-1.0, 1.0)
