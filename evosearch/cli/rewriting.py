"""``evosearch simplify`` and ``evosearch export``: a program in a form for people or for use."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from evosearch.cli.output import AsJson, print_json, progress_console, write
from evosearch.cli.program_words import AsGenome, Words
from evosearch.errors import EvosearchError, UsageError
from evosearch.runs.named_program import resolve
from evosearch.runs.progress import score_text

if TYPE_CHECKING:
    from evosearch.language.rule import RuleSet
    from evosearch.runs.named_program import NamedProgram
    from evosearch.studies.noninferiority import NoninferiorityTest

__all__ = ["export", "simplify"]

CERTIFICATES: Final = "certificates"
"""The folder of a run that holds the certificates of simplified candidates."""
_MEASURED: Final = Path("runs") / "measured"
"""Where comparisons are kept that were trained before."""

_WRITERS: Final = {
    "torch": "export",
    "optax": "export_optax",
    "text": "export_text",
    "latex": "export_latex",
    "json": "export_json",
}
"""Format to the function of `evosearch.export` that writes it."""
_WITH_DETAILS: Final = ("torch", "optax")
"""Formats that take learning rates and where the program comes from."""

Output = Annotated[
    Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write to this new file.")
]
Force = Annotated[bool, typer.Option("--force", help="Overwrite the file.")]


def simplify(
    subject: Words,
    *,
    measure: Annotated[
        bool, typer.Option("--measure", help="Then train, to see what can be left out or rounded.")
    ] = False,
    budget: Annotated[
        int | None,
        typer.Option(min=1, help="Training runs after which --measure starts no other test."),
    ] = None,
    tasks: Annotated[
        str | None,
        typer.Option(metavar="A,B", help="What to train on; by default the run's, or cheap tasks."),
    ] = None,
    genome: AsGenome = False,
    output: Output = None,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Simplify a program step by step, and say why each step is allowed.

    By exact laws, checked on probes, in seconds. With --measure, what is left out or rounded is
    then trained against the original on fresh seeds of the run's tasks (of cheap ones, for a
    program without a run), and stays out if nothing is lost beyond a margin; this takes minutes to
    hours, which --budget bounds. What was trained is kept in runs/measured, so that the
    same command goes on after an interruption. With -o, write the simplified program's text to a
    file, which all commands read. The certificate of a candidate's program is kept in its run.

    Examples:
      evosearch simplify runs/quickstart-0 42
      evosearch simplify runs/quickstart-0 42 -o simple.program
      evosearch simplify my_optimizer.program --measure --tasks char_lm --budget 20000
    """
    from evosearch.recognize.recognize import recognize
    from evosearch.simplify import simplify as simplify_rules

    chosen = resolve(subject, genome)
    _require_free(output, force)
    if not measure and (tasks is not None or budget is not None):
        raise UsageError("--tasks and --budget are for what is trained; add --measure")
    simplified = simplify_rules(chosen.program, recognize=recognize)
    if measure:
        from evosearch.studies.ablate import approximate

        test = _noninferiority_test(chosen, tasks)
        if budget is not None:
            test = replace(test, budget=budget)
        tell = partial(progress_console().print, soft_wrap=True)
        simplified = approximate(simplified, test, tell)
    if chosen.run and chosen.candidate and not genome:
        _keep(chosen.run.directory / CERTIFICATES, chosen.candidate.id, simplified.to_json())
    if output is not None:
        _save(output, str(simplified.program))
    if as_json:
        print_json(simplified.to_json())
    else:
        write(simplified.story().rstrip())


def export(
    subject: Words,
    *,
    output: Output = None,
    name: Annotated[
        str | None, typer.Option(help="Name of the optimizer; by default after the file.")
    ] = None,
    format_: Annotated[
        str, typer.Option("--format", help=f"One of {', '.join(_WRITERS)}.")
    ] = "torch",
    simplified: Annotated[
        bool, typer.Option("--simplified", help="Simplify it by exact laws first.")
    ] = False,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Export a program as a torch.optim.Optimizer in one file.

    The file imports torch alone. Without -o, the text goes to stdout.

    Examples:
      evosearch export runs/quickstart-0 42 -o optimizer.py
      evosearch export runs/quickstart-0 42 --simplified -o optimizer.py
      evosearch export lion -o lion.py --name Lion
    """
    if format_ not in _WRITERS:
        raise UsageError(f"unknown format `{format_}`; expected one of {', '.join(_WRITERS)}")
    chosen = resolve(subject)
    _require_free(output, force)
    title = name or _title(chosen, output)
    details = _details(chosen) if format_ in _WITH_DETAILS else {}
    writer = getattr(import_module("evosearch.export"), _WRITERS[format_])
    program = chosen.program
    if simplified:
        program, details = _simplified(program, details)
    text = writer(program, name=title, **details)
    if output is not None:
        _save(output, text)
    if as_json:
        place = None if output is None else str(output)
        print_json({"name": title, "format": format_, "file": place, "text": text})
    elif output is None:
        write(text.rstrip("\n"))


def _simplified(program: RuleSet, details: dict[str, Any]) -> tuple[RuleSet, dict[str, Any]]:
    """Return a program simplified by exact laws, and the rates that are then right for it."""
    from evosearch.simplify import simplify as simplify_rules

    result = simplify_rules(program)
    kinds = ("matrix", "matrix" if result.program.rest is None else "rest")
    rates = details.get("found", ())
    found = tuple(
        None if rate is None else rate * result.factor(kind)
        for rate, kind in zip(rates, kinds, strict=False)
    )
    return result.program, details | ({"found": found} if found else {})


def _noninferiority_test(subject: NamedProgram, tasks: str | None) -> NoninferiorityTest:
    """Return how changes are measured: as the run measured, if there is one."""
    from evosearch.cli.tasks import tasks_config
    from evosearch.config.preflight import check_task, check_tasks
    from evosearch.studies.kept_scores import KeptScores
    from evosearch.studies.noninferiority import NoninferiorityTest, cheap_tasks

    if subject.run is None and tasks is None:
        imprints = {str(ref): check_task(ref.name, ref.overrides) for ref in cheap_tasks()}
        return NoninferiorityTest(kept=KeptScores(_MEASURED, imprints))
    config = tasks_config([subject], tasks, ())
    kept = KeptScores(_MEASURED, check_tasks(config))
    refs = tuple(map(config.task, config.task_names))
    return NoninferiorityTest(tasks=refs, grid=config.evaluation.grid(), kept=kept)


def _keep(folder: Path, id_: int, certificate: dict[str, Any]) -> None:
    """Write a candidate's certificate into its run, if that can be written."""
    from evosearch.storage.atomic_write import write_atomic

    try:
        folder.mkdir(exist_ok=True)
        write_atomic(folder / f"{id_}.json", json.dumps(certificate, indent=1) + "\n")
    except OSError as error:
        text = f"The certificate is not kept: {error}. With --json it is printed."
        progress_console().print(text, soft_wrap=True)


def _title(subject: NamedProgram, output: Path | None) -> str:
    """Return what to call an optimizer: a known one by its name, another by its file or place."""
    free = output is not None and output.stem.lower() != "optimizer"  # torch has that class
    if output is not None and free and output.stem.isidentifier():
        return output.stem
    return subject.program.name if subject.candidate is None else subject.candidate.name


def _details(subject: NamedProgram) -> dict[str, Any]:
    """Return what the search knows of a candidate besides its program."""
    run, candidate = subject.run, subject.candidate
    if run is None or candidate is None:
        return {}
    lr, rest_lr = candidate.rates
    score = score_text(candidate.score, candidate.error)
    tasks = ", ".join(task.partition("[")[0] for task in candidate.task_scores())
    seed = run.manifest["seeds"]["run"]
    origin = f"Candidate {candidate.id}, seed {seed}; score {score} against AdamW ({tasks})."
    return {"found": (lr, rest_lr), "provenance": origin}


def _require_free(path: Path | None, force: bool) -> None:
    """Check that a file can be written, before the work that goes into it."""
    if path is None:
        return
    if path.is_dir() or not path.parent.is_dir():
        found = f"{path} is a folder" if path.is_dir() else f"there is no folder {path.parent}"
        raise UsageError(f"expected the name of a file in a folder that exists, but {found}")
    if path.exists() and not force:
        raise UsageError(f"{path} exists; choose another name, or overwrite it with --force")


def _save(path: Path, text: str) -> None:
    """Write a file, whole or not at all."""
    from evosearch.storage.atomic_write import write_atomic

    try:
        write_atomic(path, text)
    except OSError as error:
        raise EvosearchError(f"expected to write {path}, but: {error}") from None
    progress_console().print(f"wrote {path}", soft_wrap=True)
