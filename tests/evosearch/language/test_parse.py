from __future__ import annotations

import ast
import builtins
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from random_programs import programs

from evosearch.errors import ProgramError
from evosearch.language.parse import MAX_STATEMENTS, parse_rules, valid_name
from evosearch.language.rule import RuleSet, Statement
from evosearch.training.codegen import source
from primitives.table import OPS


def rule(expression: str, result: str = "u") -> str:
    return f"def f(w, g):\n    u = {expression}\n    return {result}\n"


@given(programs())
@settings(max_examples=150)
def test_round_trip(rules: RuleSet) -> None:
    assert parse_rules(str(rules)) == rules


def test_nested_expressions_become_one_op_a_statement() -> None:
    rules = parse_rules(
        "def f(w, g, x1, m):\n"
        "    u = -sign(lerp(m, g, 0.1)) * 2 + w / (1 - g)\n"
        "    return u, x1, m\n"
    )
    assert [str(statement) for statement in rules.matrix.body] == [
        "x2 = lerp(m, g, 0.1)",  # x1 is taken
        "x3 = sign(x2)",
        "x4 = neg(x3)",
        "x5 = x4 * 2.0",
        "x6 = 1.0 - g",
        "x7 = w / x6",
        "u = x5 + x7",
    ]


def test_what_python_ignores_is_ignored() -> None:
    text = (
        "'''A module's docstring.'''\r\n# and a comment\r\n\r\n"
        "def f(w, g):\r\n\t'''A docstring.'''\r\n\tu = sign( g ) ; v = neg(u)\r\n\treturn (u)\r\n"
    )
    assert str(parse_rules(text)) == "def f(w, g):\n    u = sign(g)\n    v = neg(u)\n    return u\n"


@pytest.mark.parametrize(
    ("written", "value"),
    [("2", 2.0), ("-0.5", -0.5), ("0x10", 16.0), ("1_000", 1000.0), ("1e-8", 1e-8), (".5", 0.5)],
)
def test_numbers(written: str, value: float) -> None:
    assert parse_rules(rule(f"g * {written}")).matrix.body[0].args == ("g", value)


def test_two_rules() -> None:
    rules = parse_rules(rule("newton_schulz5(g)") + "\ndef rest(w, g):\n    return g\n")
    assert rules.matrix.name == "f"
    assert rules.rest is not None
    assert rules.rest.body == ()


REFUSED = {  # line:column, then what the message says
    # what is at the top level
    "": "- no program found",
    "# nothing": "- no program found",
    "import os": "1:1 expected only function definitions",
    "f = lambda w, g: g": "1:1 expected only function definitions",
    "async def f(w, g):\n    return g": "1:1 expected only function definitions",
    "def f(w, g):\n    return g\ndef h(w, g):\n    return g": "3:1 must be `rest`",
    "def f(w, g):\n    return g\n" * 2 + "def h(w, g):\n    return g": "5:1 3 rules",
    "def f(w, g)\n    return g": "1:12 not Python syntax",
    "def f(w, g):\nreturn g": "2:1 not Python syntax",
    "def f(w, g):\n    return g\ndef rest(w, g):\n    u = newton_schulz5(g)\n    return u": (
        "4:9 needs a matrix"
    ),
    # the signature
    "def sign(w, g):\n    return g": "1:1 cannot name a rule",
    "@cache\ndef f(w, g):\n    return g": "2:1 decorators",
    "def f(w, g) -> None:\n    return g": "1:1 return annotation",
    "def f(g, w):\n    return g": "1:1 must begin with `w, g`",
    "def f():\n    return g": "1:1 must begin with `w, g`",
    "def f(w, g=0):\n    return g": "1:1 plain parameters",
    "def f(w, g, m=t):\n    return g, m": "1:15 may start as a number",
    "def f(w, g, m: left = g):\n    return g, m": "1:23 may start as a number",
    "def f(w, g, m=identity):\n    return g, m": "1:15 may start as a number",
    "def f(w, g, *m):\n    return g": "1:1 plain parameters",
    "def f(w, g, **m):\n    return g": "1:1 plain parameters",
    "def f(w, g, *, m):\n    return g, m": "1:1 plain parameters",
    "def f(w, g, /):\n    return g": "1:1 plain parameters",
    "def f(w: full, g):\n    return g": "1:7 only states are annotated",
    "def f(w, g, m: matrix):\n    return g, m": "1:13 the shape of a state must be one of full",
    "def f(w, g, m: 'full'):\n    return g, m": "1:13 the shape of a state",
    "def f(w, g, m, m):\n    return g, m, m": "1:1 same name",
    "def f(w, g, w):\n    return g, w": "1:13 cannot name a state",
    "def f(w, g, lerp):\n    return g, lerp": "1:13 cannot name a state",
    "def f(w, g, t):\n    return g, t": "1:13 cannot name a state",
    # statements
    "def f(w, g):\n    u = sign(g)": "2:5 must end with `return`",
    "def f(w, g):\n    'only a docstring'": "1:1 must end with `return`",
    "def f(w, g):\n    return g\n    return g": "2:5 expected an assignment",
    "def f(w, g):\n    u: int = sign(g)\n    return u": "2:5 expected an assignment",
    "def f(w, g):\n    a = b = sign(g)\n    return a": "2:5 expected an assignment",
    "def f(w, g):\n    for i in g:\n        pass\n    return g": "2:5 expected an assignment",
    "def f(w, g):\n    global w\n    return g": "2:5 expected an assignment",
    "def f(w, g):\n    a, b = sign(g)\n    return a": "2:5 one plain name",
    "def f(w, g):\n    g.data = sign(g)\n    return g": "2:5 one plain name",
    "def f(w, g):\n    g[0] = sign(g)\n    return g": "2:5 one plain name",
    "def f(w, g):\n    lr = sign(g)\n    return lr": "2:5 cannot name a variable",
    "def f(w, g):\n    torch = sign(g)\n    return torch": "2:5 cannot name a variable",
    "def f(w, g):\n    __class__ = sign(g)\n    return __class__": "2:5 cannot name a variable",
    "def f(w, g):\n    übung = sign(g)\n    return übung": "2:5 cannot name a variable",
    f"def f(w, g):\n    {'a' * 41} = sign(g)\n    return g": "2:5 cannot name a variable",
    # expressions
    rule("[x for x in g]"): "2:9 no loops; write the steps",
    rule("g if w else g"): "2:9 with `select(condition, x, y)`",
    rule("g < w"): "2:9 `x > y` is written `select(x - y, 1.0, 0.0)`",
    rule("lambda: g"): "2:9 expected an op call",
    rule("g[0]"): "2:9 no indices",
    rule("await g"): "2:9 expected an op call",
    rule("not g"): "2:9 expected an op call",
    rule("~g"): "2:9 expected an op call",
    rule("sign(x := g)"): "2:14 expected an op call",
    rule("sign(*g)"): "2:14 expected an op call",
    rule("sign(x for x in g)"): "2:13 expected an op call",
    rule("g * f'{w}'"): "2:13 expected an op call",
    rule("lerp(g, w, weight=0.1)"): "2:27 its arguments are x, y, rate",
    rule("g.sum()"): "2:9 op by name",
    rule("torch.sign(g)"): "2:9 op by name",
    rule("sign(g)(g)"): "2:9 op by name",
    rule("(lambda: g)()"): "2:9 op by name",
    rule("__import__('os').system('true')"): "2:9 op by name",
    rule("__import__('os')"): "2:9 unknown op `__import__`",
    rule("eval(g)"): "2:9 unknown op `eval`",
    rule("newton_schulz(g)"): "2:9 did you mean `newton_schulz5`?",
    # numbers
    rule("g * 1e999"): "2:13 finite number",
    rule(f"g * 1{'0' * 400}"): "2:13 finite number",
    rule("g * -1e999"): "2:14 finite number",
    rule("g * inf"): "2:9 `inf` is read before it is assigned",
    rule("g * nan"): "2:9 `nan` is read before it is assigned",
    rule("g * True"): "2:13 found bool",
    rule("g * None"): "2:13 found NoneType",
    rule("g * ..."): "2:13 found ellipsis",
    rule("g * 1j"): "2:13 found complex",
    rule("g * 'a'"): "2:13 found str",
    rule("g * b'a'"): "2:13 found bytes",
    # meaning
    rule("sign(m)"): "2:9 `m` is read before it is assigned",
    rule("sign(sign)"): "2:9 `sign` is read before it is assigned",
    rule("sign(g, w)"): "2:9 `sign` takes 1 tensors, found 2 arguments",
    rule("lerp(g, w)"): "2:9 `lerp` takes 2 tensors and 1 constants",
    rule("lerp(g, 0.5, 0.5)"): "2:9 `lerp` takes tensors, found a number",
    rule("matmul(g, g)"): "2:9 signature ij,jk->ik, found shapes (m, n), (m, n)",
    rule("sign(sign(sign(q)))"): "2:19 `q` is read before it is assigned",
    rule("norm(g)"): "3:5 of shape (1, 1) as its update",
    rule("sign(g)", "v"): "3:5 returns `v`, which is never assigned",
    rule("sign(g)", "u, v"): "3:5 expected `return update`",
    rule("sign(g)", "1"): "3:12 the update is a number",
    rule("sign(g)", ""): "3:5 expected `return update`",
    "def f(w, g, m, v):\n    return g, v, m": "2:5 expected `return update, m, v`",
    "def f(w, g, m):\n    m = norm(g)\n    return g, m": "3:5 ends the step as (1, 1)",
    "def f(w, g, m: rowwise):\n    m = sign(g)\n    return g, m": "3:5 is declared (m, 1)",
}


@pytest.mark.parametrize("text", REFUSED)
def test_refusals_say_what_and_where(text: str) -> None:
    place, _, message = REFUSED[text].partition(" ")
    with pytest.raises(ProgramError) as caught:
        parse_rules(text)
    assert message in str(caught.value)
    found = caught.value
    assert place == ("-" if found.line is None else f"{found.line}:{found.column}")


@pytest.mark.parametrize(
    "text",
    [
        rule("(" * 3000 + "g" + ")" * 3000),
        rule("-" * 90_000 + "g"),
        rule("+".join(["g"] * 30_000)),
        rule("g" + ".a" * 30_000),
        rule("g" + "()" * 30_000),
        rule("g" + "[0]" * 20_000),
        rule("neg(" * 90 + "g" + ")" * 90),
        rule("g * " + "9" * 5000),
        rule("g\0"),
        rule("'\ud800'"),
        "def f(w, g):\n" * 200,
        "x" * 200_000,
        "\n".join(["def f(w, g):", *["    g = neg(g)"] * (MAX_STATEMENTS + 1), "    return g"]),
        "def f(w, g):\n    u = " + "neg(g) + " * MAX_STATEMENTS + "g\n    return u",
    ],
    ids=lambda text: ascii(text)[:40],
)
def test_hostile_text_is_refused_at_once(text: str) -> None:
    start = time.perf_counter()
    with pytest.raises(ProgramError):
        parse_rules(text)
    assert time.perf_counter() - start < 2.0


def test_the_largest_program_is_accepted() -> None:
    text = "\n".join(["def f(w, g):", *["    g = neg(g)"] * MAX_STATEMENTS, "    return g"])
    assert parse_rules(text).size == MAX_STATEMENTS


PIECES = [*"()[]{}.,:=+-*/@~ \n", "\n    ", "def ", "f", "rest", "w", "g", "m", "return ", "lerp"]
PIECES += ["sign", "0.1", "1e999", "'", '"', "#", "\\", "lambda", "import os", "é", "\0", "__x__"]


@given(st.lists(st.sampled_from(PIECES), max_size=40).map("".join))
@example("def f(w, g):\n    return g")
@settings(max_examples=300)
def test_any_text_is_a_program_or_refused(text: str) -> None:
    try:
        rules = parse_rules(text)
    except ProgramError:
        return
    assert parse_rules(str(rules)) == rules


def test_nothing_is_executed(monkeypatch) -> None:
    def forbidden(*_args, **_kwargs):
        raise AssertionError("parsing must not execute or import anything")

    monkeypatch.setattr(builtins, "exec", forbidden)
    monkeypatch.setattr(builtins, "eval", forbidden)
    for text in REFUSED:
        with pytest.raises(ProgramError):
            parse_rules(text)


@pytest.mark.parametrize("op", OPS.values(), ids=lambda op: op.name)
def test_no_variable_can_hide_what_a_template_uses(op) -> None:
    """Templates name functions, `torch`, `t` and `w`; a variable of that name would change them."""
    operands = [f"x{k}" for k in range(op.arity)]
    constants = [0.5] * len(op.constants)
    tree = ast.parse(op.torch.format(*operands, *constants))
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)} - {*operands, "w"}
    assert not any(valid_name(name) for name in names)


@pytest.mark.parametrize("name", ["x", "Momentum", "v_hat", "x1", "update", "a" * 40])
def test_valid_names(name: str) -> None:
    assert valid_name(name)


def test_names_of_builtins_are_free() -> None:
    text = "def len(w, g, print, exec):\n    id = sign(print)\n    return id, print, exec\n"
    rules = parse_rules(text)
    compile(source(rules.matrix, "update"), "<test>", "exec")
    assert rules.matrix.body == (Statement("id", "sign", ("print",)),)
