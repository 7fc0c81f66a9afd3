"""The gateway inside another Twisted program, on every kind of POSIX reactor."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.doubles.gateway import ROOT
from tests.doubles.raw_tls import client_context
from tests.doubles.waiting import until
from tests.doubles.websocket_peers import open_client

PROGRAM = Path(__file__).with_name("embedding_program.py")
REACTORS = ["epollreactor", "pollreactor", "selectreactor", "asyncioreactor"]


@pytest.fixture(params=REACTORS)
def embedded(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[dict[str, Any]]:
    """What the program tells about itself once it listens; its clean end is asserted."""
    with (tmp_path / "output").open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, str(PROGRAM), request.param, str(tmp_path)],
            stdout=output,
            stderr=subprocess.STDOUT,
            env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        )
    try:
        until(lambda: (tmp_path / "ports").exists() or process.poll() is not None, "the program listens")
        assert process.poll() is None, (tmp_path / "output").read_text()
        yield json.loads((tmp_path / "ports").read_text()) | {"directory": tmp_path}
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        assert "Traceback" not in (tmp_path / "output").read_text()
    finally:
        process.kill()
        process.wait()


def test_in_process_factories_are_served_through_all_listeners(embedded: dict[str, Any]) -> None:
    """Layer 4 with half-close, WebSocket in the clear and over TLS reach factories of the same program."""
    ports = embedded["ports"]
    with socket.create_connection(("127.0.0.1", ports["raw"][0]), timeout=30) as raw:
        raw.sendall(b"abc" * 100_000)
        raw.shutdown(socket.SHUT_WR)
        received = b"".join(iter(lambda: raw.recv(65536), b""))
    assert received == b"HELLO\n" + b"ABC" * 100_000
    for url, context in (
        (f"ws://localhost:{ports['web'][0]}/echo", None),
        (f"wss://localhost:{ports['secure'][0]}/echo", client_context()),
    ):
        with open_client(url, ssl=context) as client:
            for size in (0, 10, 100_000):
                client.send(b"x" * size)
                assert client.recv(timeout=30) == b"x" * size
        assert client.close_code == 1000
    log = embedded["directory"] / "access.log"
    until(lambda: log.exists() and len(log.read_text().splitlines()) == 3, "three access records")
    servers = [json.loads(line)["server"] for line in log.read_text().splitlines()]
    assert servers == ["python:embedding_program:Shouting"] + ["python:embedding_program:echo_factory"] * 2


def test_nothing_of_the_host_program_is_changed(embedded: dict[str, Any]) -> None:
    """Signals and the reactor's clock are as they were before the gateway started."""
    assert embedded["unchanged"] is True
