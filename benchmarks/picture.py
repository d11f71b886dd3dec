"""The picture of a search that README and the documentation begin with, from a run made here.

    python -m benchmarks.picture [--run runs/picture] [--workers 1] [-o docs/assets/search.svg]

The run is the preset `rediscover-muon` with seed 700: it starts from AdamW, and 1,000 candidates
are trained. Lion and Muon have their usual constants, and are evaluated as its candidates are. A
run that is there already is read.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import evosearch
from evosearch.runs.candidate import Candidate
from evosearch.runs.run import Run

PRESET, SEED = "rediscover-muon", 700
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 720, 340, 52, 84, 46, 46
LOWEST: Final = -0.6
"""Candidates below it are left out of the picture; their number is written under it."""


def main() -> None:
    """Search, or read the run that is there; write the picture."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--run", type=Path, default=Path("runs/picture"))
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("-o", "--output", type=Path, default=Path("docs/assets/search.svg"))
    options = parser.parse_args()
    if options.run.exists():
        run = Run.open(options.run)
    else:
        config = evosearch.preset(PRESET, [f"seed={SEED}"])
        run = evosearch.search(config, options.run, workers=options.workers)
    levels = references(options.workers)
    options.output.write_text(picture(scored(run), levels), encoding="utf-8")
    print(f"wrote {options.output}: {levels}")


def references(workers: int) -> dict[str, float]:
    """Return the scores of Lion and Muon as the run would give them; AdamW's is 0.

    Each is the first candidate of a search that begins with it, and ends there.
    """
    scores = {"AdamW": 0.0}
    for name in ("lion", "muon"):
        settings = [f"seed={SEED}", f"start={name}", "budget.evaluations=1"]
        with TemporaryDirectory() as folder:
            run = evosearch.search(evosearch.preset(PRESET, settings), folder, workers=workers)
            scores[name.capitalize()] = run.candidate(0).score or 0.0
    return scores


def scored(run: Run) -> list[Candidate]:
    """Return the candidates that were trained on all tasks and have a score, in order."""
    last = len(run.config.tiers) - 1
    found = (run.candidate(i) for i in range(run.budget))
    return [c for c in found if c.score is not None and c.tier == last]


def is_muon(candidate: Candidate) -> bool:
    """Return whether a candidate is Muon, with whatever constants."""
    return candidate.recognized is not None and candidate.recognized.name == "muon"


def picture(candidates: Sequence[Candidate], levels: dict[str, float]) -> str:
    """Return the SVG text of scores over candidates.

    Args:
        candidates: Those with a score, in order.
        levels: Name and score of what is marked at the right.
    """
    scores = [c.score or 0.0 for c in candidates]
    best = list(accumulate(scores, max))
    top = max(*scores, *levels.values()) + 0.05
    end = max(c.id for c in candidates)

    def x(number: float) -> float:
        return round(LEFT + (WIDTH - LEFT - RIGHT) * number / end, 1)

    def y(score: float) -> float:
        share = (score - LOWEST) / (top - LOWEST)
        return round(HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * share, 1)

    def marks() -> Iterator[str]:
        free = 0.0  # names that would cover each other move down
        for name, level in sorted(levels.items(), key=lambda item: -item[1]):
            yield f'<path class="level" d="M{LEFT} {y(level)}H{WIDTH - RIGHT}"/>'
            place = max(y(level) + 6, free)
            yield f'<text class="name" x="{WIDTH - RIGHT + 8}" y="{place}">{name}</text>'
            free = place + 18

    def dots(muon: bool) -> str:
        found = [c for c in candidates if (c.score or 0.0) >= LOWEST and muon == is_muon(c)]
        return "".join(f"M{x(c.id)} {y(c.score or 0.0)}h0" for c in found)

    line = f"M{x(candidates[0].id)} {y(best[0])}"
    for candidate, level, before in zip(candidates[1:], best[1:], best, strict=False):
        if level > before:
            line += f"H{x(candidate.id)}V{y(level)}"
    ticks = [round(0.2 * i, 1) for i in range(-5, 11) if LOWEST <= 0.2 * i < top]
    axes = "".join(
        f'<text x="{LEFT - 8}" y="{y(t) + 5}" text-anchor="end">{t:+.1f}</text>' for t in ticks
    ) + "".join(
        f'<text x="{x(n)}" y="{HEIGHT - BOTTOM + 20}" text-anchor="middle">{n}</text>'
        for n in range(0, end + 1, 200)
    )
    hidden = sum(score < LOWEST for score in scores)
    below = f" ({hidden} lie below the picture)" if hidden else ""
    middle = (LEFT + WIDTH - RIGHT) / 2
    return f"""\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" \
height="{HEIGHT}" role="img" font-family="system-ui, sans-serif" font-size="14" fill="#455a64">
<title>Scores of {len(scores)} programs of one search from AdamW, which finds Muon again</title>
<style>.level{{stroke:#90a4ae;stroke-dasharray:5 4}}.name{{font-size:17px;font-weight:600}}
.dots{{stroke-width:4.5;stroke-linecap:round;fill:none}}</style>
<rect width="{WIDTH}" height="{HEIGHT}" rx="8" fill="#fff"/>
<text x="16" y="27" font-size="16" fill="#263238">Score against AdamW; \
<tspan fill="#c2410c" font-weight="600">orange</tspan>: programs that are Muon; \
line: best so far</text>
{axes}{"".join(marks())}
<path class="dots" d="{dots(muon=False)}" stroke="#7ba3c0"/>
<path class="dots" d="{dots(muon=True)}" stroke="#e07a3f"/>
<path d="{line}H{x(end)}" fill="none" stroke="#37474f" stroke-width="2"/>
<text x="{middle}" y="{HEIGHT - 6}" text-anchor="middle">candidates trained{below}</text>
</svg>
"""


if __name__ == "__main__":
    main()
