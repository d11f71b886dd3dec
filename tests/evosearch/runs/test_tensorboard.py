"""The example that follows a search in TensorBoard: what it writes is what happened."""

import importlib
from pathlib import Path

import pytest

from evosearch.runs.history import History
from evosearch.runs.run import Run
from evosearch.storage.journal import read

EXAMPLES = Path(__file__).parents[3] / "examples"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # TensorBoard's own
def test_curves_follow_the_history(small_run, tmp_path, monkeypatch):
    pytest.importorskip("tensorboard", reason="TensorBoard is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    monkeypatch.syspath_prepend(str(EXAMPLES))
    log = importlib.import_module("tensorboard_log").TensorBoard(tmp_path)
    history, expected = History(), {}
    for record in read(small_run):
        history.take(record.body)
        log.on_result(history)
        if (best := history.best()) is not None:
            expected.setdefault(len(history.candidates), best.score)
    events = EventAccumulator(str(tmp_path)).Reload()
    written = {event.step: event.value for event in events.Scalars("score/best")}
    assert written == pytest.approx(expected)
    assert max(written) == len(Run.open(small_run).history.candidates)
