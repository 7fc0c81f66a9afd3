"""The ruler itself: what it counts came back, and came back right."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from bench.place import SERVERS
from bench.ruler import build, cpu_seconds, servers

_ENOUGH = ("-n", "20", "-d", "30")


@pytest.fixture(name="program", scope="module")
def _program() -> Path:
    return build()


def _client(program: Path, port: int, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(program), "client", "--port", str(port), "--verify", *_ENOUGH, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def _answer(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


@contextmanager
def _server(serve: Callable[[socket.socket], None]) -> Iterator[int]:
    """``serve`` talks on the first connection; its port."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def run() -> None:
            with listening.accept()[0] as sock:
                serve(sock)

        thread = threading.Thread(target=run)
        thread.start()
        yield listening.getsockname()[1]
        thread.join(30)
        assert not thread.is_alive()


@pytest.mark.parametrize(
    "arguments",
    [
        ("-c", "3", "-w", "4"),
        ("-c", "3", "-s", "70000"),
        ("-c", "10", "--rotate", "4"),
        ("-c", "3", "--ws", "/x"),
        ("-c", "3", "-s", "70000", "--ws", "/x"),
        ("-c", "3", "--ws", "/x", "--reframed"),
        ("-c", "2", "--ws", "/x", "--mode", "connect"),
    ],
    ids=" ".join,
)
def test_every_message_comes_back_and_is_counted(program: Path, arguments: tuple[str, ...]) -> None:
    with servers(program, {"tcp": (), "ws": ("--ws",)}) as ports:
        answer = _answer(_client(program, ports["ws" if "--ws" in arguments else "tcp"], *arguments))
    assert answer["errors"] == 0
    assert answer["msgs"] >= 20


def test_a_byte_that_differs_is_found(program: Path) -> None:
    def flip(sock: socket.socket) -> None:
        sock.sendall(sock.recv(128)[:-1] + b"!")

    with _server(flip) as port:
        done = _client(program, port)
    assert (done.returncode, done.stdout) == (3, "")
    assert "payload differs" in done.stderr


def test_a_connection_that_is_closed_is_an_error_with_its_reason(program: Path) -> None:
    with _server(lambda sock: sock.shutdown(socket.SHUT_RDWR)) as port:
        done = _client(program, port)
    assert done.returncode == 2
    assert json.loads(done.stdout)["errors"] == 1
    assert "connection 0 failed, open, 0 bytes in: end of stream" in done.stderr


def test_frames_that_are_cut_anew_are_compared_by_what_is_in_them(program: Path) -> None:
    """128 bytes come back as frames of 100 and 28, one of them byte by byte."""

    def cut(sock: socket.socket) -> None:
        while b"\r\n\r\n" not in sock.recv(4096):
            pass
        sock.sendall(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")
        payload = bytes(ord("a") + at % 23 for at in range(128))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        assert sock.recv(4096)
        sock.sendall(b"\x82\x64" + payload[:100])
        for byte in b"\x82\x1c" + payload[100:]:
            sock.sendall(bytes([byte]))
        while sock.recv(4096):
            pass

    with _server(cut) as port:
        answer = _answer(_client(program, port, "--ws", "/x", "--reframed", "-n", "1"))
    assert (answer["errors"], answer["msgs"]) == (0, 1)


def test_what_is_no_upgrade_gets_a_body_of_the_size_asked_for(program: Path) -> None:
    with servers(program, {"ws": SERVERS["ws"]}) as ports:
        connection = HTTPConnection("127.0.0.1", ports["ws"])
        for _ in range(2):
            connection.request("GET", "/")
            answer = connection.getresponse()
            assert (answer.status, answer.read()) == (200, b"k" * 1024)
        connection.close()


def test_processor_time_is_what_the_clock_of_the_process_says() -> None:
    before, began = cpu_seconds([os.getpid()]), os.times()
    while sum(os.times()[:2]) - sum(began[:2]) < 0.1:
        pass
    used = cpu_seconds([os.getpid()]) - before
    assert 0.05 < used < sum(os.times()[:2]) - sum(began[:2]) + 0.05
