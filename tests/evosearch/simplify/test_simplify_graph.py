"""The simplifier's foundations: graphs, their values on probes, and writing them out."""

import numpy as np
import pytest
import torch
from interpreter import initial_states
from interpreter import run as interpret

from benchmarks.random_rule import random_rule
from evosearch.language.parse import parse_rules
from evosearch.language.rule import Rule
from evosearch.mutation.rng import Rng
from evosearch.simplify.bounds import bounds_of
from evosearch.simplify.graph import Graph, Node, Terms, read
from evosearch.simplify.linear import snap
from evosearch.simplify.probe import deviation, probe, replay, run
from evosearch.simplify.schedule import write
from primitives.shape import FULL


def rule(body: str, states: str = "", update: str = "u") -> Rule:
    lines = "".join(f"    {line.strip()}\n" for line in body.split(";"))
    parameters = ", ".join(["w", "g", *states.split()])
    results = ", ".join([update, *states.split()])
    return parse_rules(f"def f({parameters}):\n{lines}    return {results}\n").matrix


def drawn(count: int, name: str) -> list[Rule]:
    rngs = [Rng(seed, name) for seed in range(count)]
    return [random_rule(rng, 1 + rng.below(20)) for rng in rngs]


def test_reading_merges_repetitions_and_drops_what_is_dead() -> None:
    graph = read(
        rule("a = sign(g); b = sign(g); c = cosh(w); s = cosh(a); u = a + b", "s"), Terms()
    )
    assert graph.size == 2  # one sign, one sum
    assert graph.states == ()


@pytest.mark.parametrize("raw", drawn(60, "write"), ids=lambda r: f"{len(r.body)}")
def test_a_graph_written_out_computes_what_it_was_read_from(raw: Rule) -> None:
    written = write(read(raw, Terms()), "f")
    data = probe(flat=False)
    assert deviation(replay(raw, data), replay(parse_rules(str(written)).matrix, data)) <= 1e-9
    assert len(written.body) <= len(raw.body)


@pytest.mark.parametrize("raw", drawn(40, "run"), ids=lambda r: f"{len(r.body)}")
def test_running_a_graph_is_running_the_rule(raw: Rule) -> None:
    graph, data = read(raw, Terms()), probe(flat=raw.elementwise)
    assert deviation(replay(raw, data), run(graph, data).of(graph.update)) <= 1e-9


def test_replay_is_the_reference_semantics() -> None:
    """The torch interpreter and the numpy column know nothing of each other."""
    data = probe(flat=False)
    for raw in drawn(25, "replay"):
        w, g = (torch.from_numpy(x[0]) for x in (data.weights, data.gradients))
        states, updates = initial_states(raw, w[0]), []
        for t in range(5):
            u, states = interpret(raw, w[t], g[t], t + 1, states)
            updates.append(u.expand_as(w[t]).numpy())
        ours = replay(raw, data)[0][:5]
        assert deviation([np.stack(updates)], [ours]) <= 1e-6, raw


@pytest.mark.parametrize(
    ("body", "states", "update"),
    [
        ("a = lerp(m, v, 0.1); v = lerp(v, m, 0.2); m = a * 1.0; u = m + g", "m v", "u"),
        ("u = m + g; x = m * 1.0; m = v * 1.0; v = lerp(x, g, 0.5)", "m v", "u"),
        ("a = lerp(m, g, 0.1); m = a * 1.0; v = a * 1.0; u = v + m", "m v", "u"),
        ("u = m * 1.0; m = lerp(m, g, 0.1)", "m", "u"),
        ("u = m + g; m = g * 1.0", "m", "u"),
        ("u = m + g; x = m * 1.0; m = v * 1.0; v = x * 1.0", "m v", "u"),
        ("u = a + g; x = a * 1.0; a = b * 1.0; b = c * 1.0; c = x * 1.0", "a b c", "u"),
        ("x = a * 1.0; a = b * 1.0; b = x * 1.0; y = g - a; z = sign(b); u = y + z", "a b", "u"),
    ],
)
def test_states_that_need_each_others_old_value(body: str, states: str, update: str) -> None:
    """A copy is a product with 1; without the copies these rules could not be written."""
    raw = rule(body, states, update)
    terms = Terms()
    graph = read(raw, terms)
    written = parse_rules(str(write(graph, "f"))).matrix
    data = probe(flat=True)
    assert deviation(replay(raw, data), replay(written, data)) == 0.0
    assert len(written.body) <= len(raw.body)


@pytest.mark.parametrize("seed", range(100))
def test_states_may_be_exchanged_in_any_way(seed: int) -> None:
    """Next values are drawn from all states and a few sums of them, cycles of states included."""
    rng, terms = Rng(seed, "exchange"), Terms()
    names = "abcde"[: 1 + rng.below(5)]
    pool = [terms.leaf(name, FULL) for name in ("g", *names)]
    for _ in range(rng.below(4)):
        made = terms.make(rng.pick(("add", "minimum")), rng.pick(pool), rng.pick(pool))
        assert isinstance(made, Node)
        pool.append(made)
    graph = Graph(rng.pick(pool), tuple((name, rng.pick(pool)) for name in names)).alive()
    written = parse_rules(str(write(graph, "f"))).matrix
    before = {n: torch.tensor([[float(k)]]) for k, n in enumerate(("w", "g", *names))}

    def value(node: Node) -> torch.Tensor:
        function = {"add": torch.add, "minimum": torch.minimum}.get(node.op)
        return function(*map(value, node.children)) if function else before[node.name]

    states = tuple(before[state.name] for state in written.states)
    update, after = interpret(written, before["w"], before["g"], 1.0, states)
    assert update == value(graph.update)
    nexts = dict(graph.states)
    assert [*after] == [value(nexts[state.name]) for state in written.states]


def test_bounds() -> None:
    raw = rule(
        "q = square(g); v = lerp(v, q, 0.1); r = sqrt(v); d = r + 1e-8; m = lerp(m, g, 0.1);"
        "u = m / d",
        "m v",
    )
    graph = read(raw, Terms())
    bounds = bounds_of(graph)
    nodes = {node.op or node.name: node for node in graph.nodes}
    assert bounds.nonnegative(nodes["v"])  # by induction
    assert not bounds.nonnegative(nodes["m"])
    assert bounds.positive(nodes["add"])
    assert not bounds.positive(nodes["sqrt"])


def test_deviation_is_relative_to_each_entry_so_far() -> None:
    before = np.array([[1.0, 1e-9], [1e-20, 0.0]]).reshape(2, 1, 1, 2)
    assert deviation([before], [before]) == 0.0
    late = before + np.array([[0.0, 0.0], [1e-12, 0.0]]).reshape(before.shape)
    assert deviation([before], [late]) == pytest.approx(1e-12)
    small = before + np.array([[0.0, 1e-12], [0.0, 0.0]]).reshape(before.shape)
    assert deviation([before], [small]) == pytest.approx(1e-3)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_must_agree_in_kind(value: float) -> None:
    odd = np.full((1, 1, 1, 1), value)
    assert deviation([odd], [odd.copy()]) == 0.0
    assert deviation([odd], [np.zeros_like(odd)]) == np.inf
    assert deviation([np.zeros_like(odd)], [odd]) == np.inf
    assert deviation([np.full_like(odd, np.inf)], [np.full_like(odd, -np.inf)]) == np.inf


def test_probes_hold_zeros_and_all_scales() -> None:
    data = probe(flat=False)
    for g in data.gradients:
        sizes = np.sqrt(np.mean(g**2, axis=(0, 2, 3)))
        assert sizes[1] < 1e-4
        assert 0.1 < sizes[0] < 100.0
        assert sizes[2] > 1e5
        assert not g[:, 0, 0, 0].any()
        assert not g[20:23].any()


def test_snapping_finds_the_decimal_that_was_meant() -> None:
    assert snap(1.0 - 0.9) == 0.1
    assert snap(1.0 - 0.999) == 0.001
    assert snap(1.109 * 0.101 - 0.109) == 0.003009
    assert snap(1.0 / 3.0) == 1.0 / 3.0
    assert snap(0.1234567890123) == 0.1234567890123


def test_text_of_a_node_stays_short() -> None:
    terms = Terms()
    node = read(rule("u = g * w"), terms).update
    for _ in range(60):
        made = terms.make("add", node, node)
        assert isinstance(made, Node)
        node = made
    assert len(repr(node)) < 1000
