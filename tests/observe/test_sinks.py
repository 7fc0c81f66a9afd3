"""A sink takes what goes at once, and leaves a shared descriptor as it found it."""

from __future__ import annotations

import fcntl
import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from wsgate.observe import sinks
from wsgate.observe.sinks import DescriptorSink, SharedSink, SocketSink, open_path, open_stdout

LINE = memoryview(b"x" * 4095 + b"\n")


def fill(sink: sinks.Sink) -> int:
    """Write until the sink says that it would have to wait; bytes."""
    total = 0
    with pytest.raises(BlockingIOError):
        while True:
            total += sink.put(LINE)
    return total


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe()
    yield reader, writer
    os.close(reader)
    os.close(writer)


def is_blocking(fd: int) -> bool:
    return not fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_NONBLOCK


def test_a_file_is_made_for_the_owner_and_its_group_and_appended_to(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    for text in (b"one\n", b"two\n"):
        sink = open_path(str(path))
        assert sink.put(memoryview(text)) == 4
        sink.close()
    assert path.read_bytes() == b"one\ntwo\n"
    assert stat.S_IMODE(path.stat().st_mode) & ~0o640 == 0


def test_two_writers_of_one_file_do_not_overwrite_each_other(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    first, second = open_path(str(path)), open_path(str(path))
    for sink in (first, second, first):
        sink.put(memoryview(b"line\n"))
    first.close()
    second.close()
    assert path.read_bytes() == b"line\n" * 3


def test_a_pipe_on_stdout_never_waits_and_stays_blocking_for_others(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    sink = open_stdout(writer)
    assert isinstance(sink, DescriptorSink)
    assert fill(sink) >= 4096
    assert is_blocking(writer)
    assert os.read(reader, 4096) == bytes(LINE)
    sink.close()
    os.write(writer, b"still open")


def test_a_pipe_that_cannot_be_opened_anew_is_asked_first(
    pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_path: str) -> sinks.Sink:
        raise PermissionError

    monkeypatch.setattr(sinks, "open_path", refuse)
    reader, writer = pipe
    sink = open_stdout(writer)
    assert isinstance(sink, SharedSink)
    assert fill(sink) >= 4096
    assert is_blocking(writer)
    os.read(reader, 65536)
    assert sink.put(LINE) == 4096
    sink.close()
    os.fstat(writer)


def test_a_socket_on_stdout_never_waits_and_stays_blocking_for_others() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        sink = open_stdout(ours.fileno())
        assert isinstance(sink, SocketSink)
        assert fill(sink) >= 4096
        assert is_blocking(ours.fileno())
        sink.close()
        assert theirs.recv(4096) == bytes(LINE)


def test_a_file_on_stdout_is_written_where_the_others_left_off(tmp_path: Path) -> None:
    with open(tmp_path / "out", "wb", buffering=0) as file:
        file.write(b"before\n")
        sink = open_stdout(file.fileno())
        sink.put(memoryview(b"line\n"))
        sink.close()
        file.write(b"after\n")
    assert (tmp_path / "out").read_bytes() == b"before\nline\nafter\n"


def test_a_terminal_on_stdout_is_opened_anew() -> None:
    ours, theirs = os.openpty()
    sink = open_stdout(theirs)
    assert sink.put(memoryview(b"line\n")) == 5
    assert os.read(ours, 100) == b"line\r\n"
    assert is_blocking(theirs)
    sink.close()
    os.close(ours)
    os.close(theirs)


def test_a_closed_stdout_is_an_error() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    os.close(writer)
    with pytest.raises(OSError, match="Bad file descriptor"):
        open_stdout(writer)
