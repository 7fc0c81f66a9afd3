"""Real processes of ``wsgate app``, and the ``websockets`` library as their visitor."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from click.testing import CliRunner
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.doubles.frames import open_websocket
from tests.doubles.raw import connect as dial
from wsgate.apps.command import app_command

# A program in the background of a script inherits that SIGINT is ignored; a terminal's does not.
_RUN = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "from wsgate.apps.command import app_command; app_command()"
)
PROGRAM = [sys.executable, "-c", _RUN]


@contextmanager
def running(kind: str, *options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The process of an app on a free port, and its ws:// address."""
    command = [*PROGRAM, kind, "--port", "0", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line.startswith(f"{kind}: ws://"), line
            yield process, line.split()[1]
        finally:
            process.kill()


def told(websocket: ClientConnection, kind: str) -> dict[str, object]:
    """The next message of the type ``kind``."""
    while True:
        message = json.loads(websocket.recv(timeout=60))
        if message["type"] == kind:
            return message


def test_echo_answers_on_any_path_until_ctrl_c() -> None:
    with running("echo") as (process, address):
        with connect(f"{address}blahblah") as websocket:
            websocket.send("hello")
            assert websocket.recv(timeout=60) == "hello"
            websocket.send(b"\x00\xff")
            assert websocket.recv(timeout=60) == b"\x00\xff"
            process.send_signal(signal.SIGINT)
            with pytest.raises(ConnectionClosed) as closed:
                websocket.recv(timeout=60)
        assert closed.value.rcvd is not None
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1001, "the server stops")
        assert process.wait(60) == 0
        assert process.stdout is not None
        assert process.stdout.read() == ""


def test_a_browser_address_gets_a_short_text() -> None:
    with running("echo") as (_, address), pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(address.replace("ws:", "http:"), timeout=60)
    assert refused.value.code == 426
    assert "This is a WebSocket server (echo)" in refused.value.read().decode()


def test_two_visitors_chat() -> None:
    with (
        running("chat") as (_, address),
        connect(f"{address}chat/tea?name=Ada") as ada,
        connect(f"{address}?room=tea&name=Bob", subprotocols=["wsgate.chat"]) as bob,  # type: ignore[list-item]
    ):
        assert bob.subprotocol == "wsgate.chat"
        assert told(bob, "joined")["people"] == ["Ada", "Bob"]
        ada.send('{"type": "say", "text": "hello"}')
        assert told(bob, "said") == {"type": "said", "name": "Ada", "text": "hello"}


def test_prices_tick() -> None:
    with running("ticker") as (_, address), connect(address) as websocket:
        assert told(websocket, "prices")["tick"] == 1


def test_a_job_runs_to_its_end() -> None:
    with running("progress") as (_, address), connect(address) as websocket:
        websocket.send('{"type": "start", "steps": 1}')
        assert told(websocket, "progress")["percent"] == 100
        assert told(websocket, "finished")["outcome"] == "done"


def test_a_board_is_shared() -> None:
    with running("board") as (_, address), connect(address) as one, connect(address) as two:
        assert told(two, "board")["players"] == 2
        one.send('{"type": "paint", "x": 1, "y": 2, "colour": 3}')
        assert told(two, "painted") == {"type": "painted", "x": 1, "y": 2, "colour": 3}


def test_a_reader_who_stops_reading_is_closed_and_costs_bounded_memory() -> None:
    """A stuck player: the other goes on, and the server's memory stays."""
    with running("board") as (process, address):
        port = int(address.rstrip("/").rpartition(":")[2])
        with dial(("127.0.0.1", port), receive_buffer=4096) as stuck, connect(address) as painter:
            open_websocket(stuck)
            while told(painter, "players")["players"] != 2:
                pass
            before = _resident(process.pid)
            players = 2
            while players == 2:
                for _ in range(500):
                    painter.send('{"type": "paint", "x": 1, "y": 2, "colour": 3}')
                players = _read_moves(painter, 500)
            assert players == 1
            assert _resident(process.pid) - before < 8 * 1024 * 1024


def _read_moves(websocket: ClientConnection, moves: int) -> int:
    """Read so many moves; the number of players that was told between them, or 2."""
    players = 2
    while moves:
        message = json.loads(websocket.recv(timeout=60))
        moves -= message["type"] == "painted"
        players = message.get("players", players)
    return players


def _resident(pid: int) -> int:
    with open(f"/proc/{pid}/statm") as statm:
        return int(statm.read().split()[1]) * 4096


def test_a_taken_port_is_an_error_in_one_line() -> None:
    with running("echo") as (_, address):
        port = address.rstrip("/").rpartition(":")[2]
        command = [*PROGRAM, "echo", "--port", port]
        second = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert second.returncode == 1
    assert second.stderr.startswith("Error: ")
    assert second.stderr.count("\n") == 1


@pytest.mark.parametrize("arguments", [["nothing"], ["echo", "--port", "65536"], []])
def test_wrong_arguments_are_told(arguments: list[str]) -> None:
    answer = CliRunner().invoke(app_command, arguments)
    assert answer.exit_code == 2
