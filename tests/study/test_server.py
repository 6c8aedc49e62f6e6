"""The server as participants meet it: two hundred at once, killed twice, and hostile requests."""

import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import pytest

from srntt_pipeline.config import StudyReportParams
from srntt_pipeline.errors import InputError
from srntt_pipeline.study.design import read_design
from srntt_pipeline.study.report import study_report
from srntt_pipeline.study.serve import serve_study
from srntt_pipeline.study.store import read_votes

pytest.importorskip("uvicorn")
PEOPLE = 200
HEADERS = {"Content-Type": "application/json"}


class Server:
    """`user-study serve` in a process of its own."""

    def __init__(self, study):
        self.study, self.process = study, None
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]

    def start(self):
        code = (
            "import sys; from pathlib import Path;"
            "from srntt_pipeline.study.serve import serve_study;"
            "serve_study(Path(sys.argv[1]), port=int(sys.argv[2]))"
        )
        self.process = subprocess.Popen(
            [sys.executable, "-c", code, self.study, str(self.port)],
            env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        )
        for _ in range(1200):
            assert self.process.poll() is None, "the server ended"
            try:
                self.ask("GET", "/")
            except OSError:
                time.sleep(0.05)
            else:
                return
        raise AssertionError("the server does not answer")

    def end(self, how):
        self.process.send_signal(how)
        return self.process.wait(60)

    def ask(self, method, path, body=None, headers=HEADERS):
        connection = HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read(), answer.headers
        finally:
            connection.close()

    def post(self, path, **body):
        status, content, _ = self.ask("POST", path, json.dumps(body))
        return status, json.loads(content)


@pytest.fixture(scope="module")
def study(tmp_path_factory, make):
    folder = tmp_path_factory.mktemp("served") / "study"
    make(folder, pairs=4, repeats=1, checks=1)
    return folder


def test_two_hundred_vote_at_once_while_the_server_is_killed_twice(tmp_path, make):
    study = tmp_path / "study"
    design = make(study, pairs=4, repeats=1, checks=1)
    server = Server(study)
    server.start()
    confirmed, failures = {}, []
    written = threading.Lock()

    def insist(path, **body):
        until = time.monotonic() + 120
        while time.monotonic() < until:
            try:
                status, told = server.post(path, **body)
            except (OSError, HTTPException, ValueError):  # killed: again, as the page does
                time.sleep(0.1)
                continue
            assert status == 200, told
            return told
        raise AssertionError("no answer")

    def vote(name):
        try:
            told = insist("/api/next", participant=name)
            while "done" not in told:
                choice = "left" if told["left"] < told["right"] else "right"
                cast = {"participant": name, "position": told["position"], "choice": choice,
                        "seconds": 1.5}  # fmt: skip
                shown, told = told, insist("/api/vote", **cast)
                with written:
                    confirmed[name, shown["position"]] = (choice, shown["left"], shown["right"])
                if shown["position"] == 2:  # an answer that was lost: the same again
                    assert insist("/api/vote", **cast) == told
        except BaseException as error:
            failures.append(error)

    people = [threading.Thread(target=vote, args=[f"p{n:03}"]) for n in range(PEOPLE)]
    for one in people:
        one.start()
    turns = design.settings.turns
    for share in (0.25, 0.6):
        while len(confirmed) < share * PEOPLE * turns and not failures:
            time.sleep(0.01)
        assert server.end(signal.SIGKILL) == -signal.SIGKILL
        server.start()
    for one in people:
        one.join()
    assert not failures
    assert server.end(signal.SIGTERM) in (0, 128 + signal.SIGTERM, -signal.SIGTERM)

    votes = read_votes(study / "votes.sqlite", design)
    assert len(votes) == len(confirmed) == PEOPLE * turns
    for one in votes:
        pair = design.pair(one.kind, one.number)
        files = (pair.first, pair.second) if one.first_left else (pair.second, pair.first)
        assert confirmed[one.participant, one.position] == (one.choice, *files)
    pairs = Counter((vote.participant, vote.number) for vote in votes if vote.kind == "pair")
    assert set(pairs.values()) == {1}
    cells = Counter(
        (design.pairs[vote.number].opponent, design.pairs[vote.number].reference)
        for vote in votes if vote.kind == "pair"
    )  # fmt: skip
    assert sum(cells.values()) == 4 * PEOPLE
    assert max(cells.values()) - min(cells.values()) <= 2
    with sqlite3.connect(study / "votes.sqlite") as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/api/next", b"", 422),
        ("/api/next", b"[]", 422),
        ("/api/next", b'{"participant": ""}', 422),
        ("/api/next", b'{"participant": "a/../b"}', 422),
        ("/api/next", b'{"participant": "a\\n"}', 422),
        ("/api/next", b'{"participant": "' + b"a" * 65 + b'"}', 422),
        ("/api/next", b'{"participant": "' + b"a" * 4000 + b'"}', 413),
        ("/api/next", b'{"participant": "a", "more": 1}', 422),
        ("/api/next", b"\xff\xfe", 422),
        ("/api/next", b"[" * 2000, 422),
        ("/api/vote", b'{"participant": "a"}', 422),
        ("/api/vote", b'{"participant":"x","position":-1,"choice":"left","seconds":1}', 422),
        ("/api/vote", b'{"participant":"x","position":"0","choice":"left","seconds":1}', 422),
        ("/api/vote", b'{"participant":"x","position":0,"choice":"up","seconds":1}', 422),
        ("/api/vote", b'{"participant":"x","position":0,"choice":"left","seconds":NaN}', 422),
        ("/api/vote", b'{"participant":"x","position":0,"choice":"left","seconds":1e9}', 422),
        ("/api/vote", b'{"participant":"x","position":0,"choice":"left","seconds":1}', 409),
        ("/api/report", b"{}", 404),
    ],
)
def test_what_is_not_a_vote_is_refused(shared_server, path, body, status):
    code, content, _ = shared_server.ask("POST", path, body)
    assert code == status, content
    assert "error" in json.loads(content)
    assert len(content) < 500


@pytest.fixture(scope="module")
def shared_server(study):
    one = Server(study)
    one.start()
    yield one
    one.end(signal.SIGTERM)


def test_files_of_the_study_alone_are_sent(shared_server):
    design = read_design(shared_server.study)
    status, content, headers = shared_server.ask("GET", f"/{design.files[0]}")
    assert (status, content) == (200, (shared_server.study / design.files[0]).read_bytes())
    assert headers["X-Content-Type-Options"] == "nosniff"
    for path in ("/votes.sqlite", "/study.json", "/pictures/../study.json", "/index.html",
                 "/pictures/..%2fstudy.json", "/pictures/x.png"):  # fmt: skip
        assert shared_server.ask("GET", path)[0] == 404, path
    status, content, headers = shared_server.ask("GET", "/")
    assert status == 200
    assert not re.search(rb"SRNTT|SCN|Bicubic", content)  # it tells no method
    assert "'unsafe-inline'" not in headers["Content-Security-Policy"].split("style-src")[0]
    assert shared_server.ask("POST", "/api/next", b'{"participant": "f"}', {})[0] == 415


def test_a_vote_that_is_there_is_not_changed(shared_server):
    _, first = shared_server.post("/api/next", participant="again")
    assert shared_server.post("/api/next", participant="again")[1] == first
    cast = {"participant": "again", "position": 0, "seconds": 1}
    _, told = shared_server.post("/api/vote", choice="left", **cast)
    assert told["position"] == 1
    assert shared_server.post("/api/vote", choice="right", **cast)[1] == told
    (own,) = [
        vote for vote in read_votes(shared_server.study / "votes.sqlite",
                                    read_design(shared_server.study))
        if vote.participant == "again"
    ]  # fmt: skip
    assert own.choice == "left"


def test_a_second_server_and_a_taken_port_are_refused(shared_server, tmp_path, make):
    with pytest.raises(InputError, match="is being written"):
        serve_study(shared_server.study)
    make(tmp_path / "other")
    with pytest.raises(InputError, match="another --port"):
        serve_study(tmp_path / "other", port=shared_server.port)


def test_without_the_extra_a_line_says_what_to_install(tmp_path, make, monkeypatch):
    make(tmp_path)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(InputError, match=r"not installed: pip install 'srntt-pipeline\[study\]'"):
        serve_study(tmp_path)


def test_it_listens_on_loopback_alone(shared_server):
    """All of 127.0.0.0/8 is this machine; a server on all addresses would answer at 127.0.0.2."""
    if not sys.platform.startswith("linux"):
        pytest.skip("needs Linux, where all of 127.0.0.0/8 is loopback")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.2", shared_server.port), 5)


def test_a_report_is_made_while_the_server_runs(shared_server, tmp_path):
    told = shared_server.post("/api/next", participant="reported")[1]
    while "done" not in told:
        told = shared_server.post("/api/vote", participant="reported", choice="left", seconds=1,
                                  position=told["position"])[1]  # fmt: skip
    params = StudyReportParams(least_right=0, resamples=100)
    assert study_report(shared_server.study, tmp_path / "report", params)
