"""The progress of a search: plain lines without a terminal, a view in place on one."""

import io
from dataclasses import replace

import pytest
from rich.console import Console

from evosearch.cli import progress_view
from evosearch.cli.front_view import FrontView
from evosearch.cli.progress_view import ProgressView
from evosearch.runs.front import front
from evosearch.runs.history import History
from evosearch.runs.progress import duration, score_text
from evosearch.runs.run import Run
from evosearch.storage.journal import read


@pytest.fixture
def clock(monkeypatch):
    """Replace the clock by one that the test sets."""

    class Clock:
        now = 1000.0

        def monotonic(self):
            return self.now

    clock = Clock()
    monkeypatch.setattr(progress_view, "time", clock)
    return clock


def plain_view(budget, **options):
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=False, highlight=False)
    return stream, ProgressView(console, "the title", budget, 1, **options)


def unfinished(directory):
    """Return the records of a run up to its end, which is not told."""
    return [record for record in read(directory) if record.kind != "note"]


def replay(view, directory, clock, seconds_per_record):
    """Show a run's records as if they came in one by one."""
    history = History()
    with view:
        for record in read(directory):
            history.take(record.body)
            clock.now += seconds_per_record
            view.observe(history)
    return history


def test_plain_lines_tell_the_numbers_of_the_journal(small_run, clock):
    stream, view = plain_view(16)
    history = replay(view, small_run, clock, 10)
    lines = stream.getvalue().splitlines()
    assert lines[0] == "the title"
    assert lines[1].startswith("tuning AdamW: 0 of 1 tasks done; 0 proposals; 0:10 passed")
    best = history.best()
    assert f"16 of 16 candidates, {history.confirmations} re-evaluated" in lines[-1]
    assert f"{history.proposals:,} proposals, {history.hit_rate:.0%} cache hits" in lines[-1]
    assert f"best {score_text(best.score, best.error)} against AdamW, #{best.id}" in lines[-1]
    assert "left" not in lines[-1]
    assert "\x1b" not in stream.getvalue()


def test_lines_come_no_faster_than_their_interval(small_run, clock):
    stream, view = plain_view(16)
    replay(view, small_run, clock, 0.1)
    assert len(stream.getvalue().splitlines()) == 3  # the title, the first, the last


def test_the_time_left_is_that_of_the_candidates_left(small_run, clock):
    stream, view = plain_view(32)  # twice what the run has: when it ends, half the time is over
    history = History()
    with view:
        for record in unfinished(small_run):
            history.take(record.body)
            if record.kind == "pack":
                clock.now += 10
            view.observe(history)
    assert "0:40 passed, about 0:40 left" in stream.getvalue().splitlines()[-1]


def test_when_all_are_evaluated_the_best_are_confirmed(small_run, clock):
    stream, view = plain_view(16)
    with view:
        view.observe(History(record.body for record in unfinished(small_run)))
        clock.now += 5
    assert stream.getvalue().endswith("0:05 passed, confirming the best\n")


def test_after_resuming_the_time_left_does_not_count_what_was_there(small_run, clock):
    stream, view = plain_view(24)
    history = History(record.body for record in unfinished(small_run))
    with view:
        view.observe(history)
        clock.now += 30
        candidate = history.candidates[0]
        for i in range(4):
            history.candidates.put(replace(candidate, id=16 + i))
        view.observe(history)
    assert "0:30 passed, about 0:30 left" in stream.getvalue().splitlines()[-1]


def test_quiet_is_quiet(small_run, clock):
    stream, view = plain_view(16, quiet=True)
    replay(view, small_run, clock, 10)
    assert stream.getvalue() == ""


def test_on_a_terminal_the_view_is_updated_in_place(small_run, clock):
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=100, color_system=None)
    history = replay(ProgressView(console, "the title", 16, 1), small_run, clock, 10)
    text = stream.getvalue()
    assert "\x1b[" in text  # the cursor moves
    assert "16 of 16 candidates" in text
    assert f"#{history.best().id}" in text


@pytest.mark.parametrize("width", [120, 50])
def test_the_front_is_drawn_beside_adamw_where_there_is_room(small_run, width):
    found = front(Run.open(small_run))[::-1]
    stream = io.StringIO()
    Console(file=stream, width=width, color_system=None).print(FrontView(found))
    lines = stream.getvalue().splitlines()
    rows = [line for line in lines if line.lstrip().startswith("#")]
    assert [row.split()[0] for row in rows] == [f"#{c.id}" for c in found[:8]]
    assert all(len(line) <= width for line in lines)
    for row, candidate in zip(rows, found, strict=False):
        assert score_text(candidate.score, candidate.error) in row
        if width == 120 and "o" in row and "|" in row:
            assert (row.index("o") > row.index("|")) == (candidate.score > 0)
    assert ("against AdamW" in stream.getvalue()) == (width == 120)


def test_faults_and_markup_are_shown_as_they_are(clock):
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=100, color_system=None)
    view = ProgressView(console, "[red]title[/red]", 16, 1)
    history = History([{"kind": "fault", "message": "job 3: [bold]lost[/bold] /x/[y]"}])
    with view:
        view.observe(history)
    clock.now += 1
    assert "[red]title[/red]" in stream.getvalue()
    assert "job 3: [bold]lost[/bold] /x/[y]" in stream.getvalue()


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.2, "0:00"), (65, "1:05"), (3599.6, "1:00:00"), (90061, "25:01:01")]
)
def test_durations(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("score", "error", "text"),
    [(None, None, "none"), (0.1234, None, "+0.123"), (-0.5, 0.25, "-0.500 ± 0.250")],
)
def test_scores(score, error, text):
    assert score_text(score, error) == text
