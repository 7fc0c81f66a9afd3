"""No port is given twice: not to servers, not to clients, not to another process."""

from __future__ import annotations

import itertools
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.doubles import ports
from tests.doubles.peers import ScriptedServer
from tests.doubles.ports import bind_anew, free_port
from tests.doubles.raw import connect
from tests.doubles.scripts import sends
from tests.doubles.websocket_peers import WebSocketServer

ROOT = Path(__file__).resolve().parents[2]


def test_ports_differ_and_are_not_those_of_the_kernel() -> None:
    given = [free_port() for _ in range(20)]
    with socket.socket() as first, socket.socket(socket.AF_INET6) as second, WebSocketServer() as library:
        given += [bind_anew(first), bind_anew(second, "::1"), library.port]
    with ScriptedServer(sends(b"x")) as server:
        for _ in range(20):
            with connect(server.where) as wire:
                given.append(wire.sock.getsockname()[1])
                assert wire.rest() == b"x"
        given.append(server.port)
    assert len(set(given)) == len(given)
    assert max(given) < 32_000


def test_a_port_that_somebody_listens_on_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as listening:
        taken = bind_anew(listening, "127.0.0.1")
        listening.listen()
        monkeypatch.setattr(ports, "_offset", itertools.count(taken - 10_000))
        assert free_port() != taken


def test_another_process_gets_no_port_of_ours() -> None:
    ours = {free_port() for _ in range(300)}
    # The other begins where we do.
    program = (
        "import os; os.getpid = lambda: PID; from tests.doubles.ports import free_port;"
        " print(*(free_port() for _ in range(300)))"
    ).replace("PID", str(os.getpid()))
    found = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    theirs = {int(port) for port in found.stdout.split()}
    assert len(theirs) == 300
    assert not ours & theirs
