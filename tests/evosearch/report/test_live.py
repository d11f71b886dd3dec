"""The live page: what it answers and to whom, and that it follows a run which another writes."""

import http.client
import shutil
from contextlib import contextmanager
from threading import Thread

import pytest

from evosearch.errors import UsageError
from evosearch.report.live import LivePage, live_server
from evosearch.runs.run import Run
from evosearch.storage.journal import Journal, read


@contextmanager
def served(directory):
    """Serve a run; yields what asks, a function that returns status, headers and text."""
    with live_server(LivePage(directory)) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        port = server.server_address[1]

        def ask(path="/", method="GET", **headers):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
            connection.request(method, path, headers=headers)
            answer = connection.getresponse()
            text = answer.read().decode()
            connection.close()
            return answer.status, answer.headers, text

        ask.port = port
        try:
            yield ask
        finally:
            server.shutdown()
            thread.join()


def test_it_answers_this_machine_and_nothing_else(small_run):
    with served(small_run) as ask:
        status, headers, text = ask()
        assert status == 200
        assert 'id="live"' in text
        assert headers["Cache-Control"] == "no-store"
        assert headers["Access-Control-Allow-Origin"] is None
        again = {"If-None-Match": headers["ETag"]}
        assert ask("/page", **again)[::2] == (304, "")
        assert ask("/page", **{"If-None-Match": "older"})[0] == 200
        assert ask("/", "HEAD")[::2] == (200, "")
        for host in ("evil.example", f"evil.example:{ask.port}", "127.0.0.1", ""):
            assert ask(Host=host)[0] == 403
        assert ask(Host=f"localhost:{ask.port}")[0] == 200
        for path in ("/../../etc/passwd", "/page/", "/%2e%2e/x", "//evil.example"):
            assert ask(path)[0] == 404
        for method in ("POST", "PUT", "DELETE", "OPTIONS"):
            assert ask("/", method)[0] == 501


def test_a_port_that_is_taken_is_said(small_run):
    page = LivePage(small_run)
    with live_server(page) as server, pytest.raises(UsageError, match="expected a free port"):
        live_server(page, server.server_address[1])


def test_it_follows_a_run_that_is_killed_and_resumed(tmp_path, small_run, monkeypatch):
    """The writer dies with half a record on disk; another goes on, and the page shows the end."""
    monkeypatch.setattr("evosearch.report.live._SHARE", 1e9)
    manifest, *records = (record.body for record in read(small_run))
    directory = tmp_path / "run"
    journal = Journal.create(directory, manifest)
    with served(directory) as ask:
        assert "No candidate has a score yet." in ask()[2]
        journal.append_many(records[:3])
        first = ask()[1]["ETag"]
        assert "running" in first
        journal.close()
        path = directory / "journal" / "000001.jsonl"
        with path.open("ab") as file:
            file.write(b'{"half a rec')
        status, headers, _ = ask()
        assert (status, "stopped" in headers["ETag"]) == (200, True)
        with Journal.open(directory) as journal:
            journal.append_many(records[3:])
            _, headers, text = ask()
        assert "finished" in headers["ETag"]
        chosen = Run.open(directory).recommend()
        assert f"Candidate {chosen.candidate.id} of 16" in text


def test_damage_is_an_error_for_whoever_asks_and_no_crash(tmp_path, small_run, monkeypatch):
    monkeypatch.setattr("evosearch.report.live._SHARE", 1e9)
    directory = shutil.copytree(small_run, tmp_path / "run")
    with served(directory) as ask:
        assert ask()[0] == 200
        journal = directory / "journal" / "000001.jsonl"
        journal.write_bytes(journal.read_bytes() + b"no record\n" * 3)
        for _ in range(2):
            status, _, text = ask()
            assert status == 500
            assert "000001.jsonl" in text
