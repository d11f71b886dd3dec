"""What a shell completes: presets, tasks, programs, runs and their candidates' ids.

`evosearch --install-completion` installs it. Nothing slow is imported, and a run is read only where
its ids are asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

__all__ = ["candidate_ids", "preset_names", "programs", "run_directories", "tasks"]

_IDS = 20
"""The best candidates that are proposed."""


def preset_names(incomplete: str) -> Iterator[str]:
    """Yield the configurations that ship with the program."""
    from evosearch.config.schema import PRESETS

    return (name for name in PRESETS if name.startswith(incomplete))


def tasks(incomplete: str) -> Iterator[str]:
    """Yield lists of tasks, comma between them, that begin as what is there."""
    from proxy_tasks.registry import TASKS

    before, comma, word = incomplete.rpartition(",")
    taken = before.split(",")
    for name in TASKS:
        if name.startswith(word) and name not in taken:
            yield f"{before}{comma}{name}"


def run_directories(incomplete: str) -> Iterator[str]:
    """Yield run directories below ``runs`` and where the word points."""
    typed = Path(incomplete) if incomplete.endswith("/") else Path(incomplete).parent
    for folder in dict.fromkeys((Path("runs"), typed)):
        for path in sorted(folder.glob("*/journal")):
            if str(path.parent).startswith(incomplete):
                yield str(path.parent)


def candidate_ids(directory: Path, incomplete: str) -> Iterator[tuple[str, str]]:
    """Yield the ids of a run's best candidates, with their scores."""
    from evosearch.errors import EvosearchError
    from evosearch.runs.progress import score_text
    from evosearch.runs.run import Run

    try:
        best = Run.open(directory).top(_IDS)
    except EvosearchError:
        return
    for candidate in best:
        if str(candidate.id).startswith(incomplete):
            yield str(candidate.id), score_text(candidate.score, candidate.error)


def programs(ctx: Any, incomplete: str) -> list[str | tuple[str, str]]:
    """Return what may stand where a program is named: known optimizers, runs, then an id."""
    from evosearch.language.library import LIBRARY

    words = [str(word) for name in ("subject", "words") for word in ctx.params.get(name) or ()]
    if words and (Path(words[0]) / "journal").is_dir():
        return list(candidate_ids(Path(words[0]), incomplete))
    known = [(n, row.title) for n, row in LIBRARY.items() if n.startswith(incomplete)]
    return [*run_directories(incomplete), *known]
