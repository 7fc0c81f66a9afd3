"""Lines reach their file in batches, and traffic goes on when they cannot (faults 33 and 34)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from twisted.internet.task import Clock

from wsgate.observe import log_file, sinks
from wsgate.observe.log_file import BATCH, INTERVAL, QUEUE, LogFile, LogFileError

LINE = "x" * 1023  # 1 KiB with its line break


class Place:
    """A clock, the warnings, and the logs made here, closed at the end."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.warnings: list[str] = []
        self.logs: list[LogFile] = []

    def log(self, path: Path | str) -> LogFile:
        log = LogFile(str(path), self.clock, self.warnings.append)
        self.logs.append(log)
        return log


@pytest.fixture
def place() -> Iterator[Place]:
    place = Place()
    yield place
    for log in place.logs:
        log.close()
    assert not place.clock.getDelayedCalls(), "a closed log leaves no call behind"


class Disk:
    """A sink with so many bytes of room, then an error."""

    longest = 1 << 20

    def __init__(self, room: int, error: OSError) -> None:
        self.room = room
        self.error = error
        self.data = b""
        self.puts = 0
        self.is_closed = False

    def put(self, data: memoryview) -> int:
        self.puts += 1
        if not self.room:
            raise self.error
        part = bytes(data[: self.room])
        self.room -= len(part)
        self.data += part
        return len(part)

    def close(self) -> None:
        self.is_closed = True


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    """What every log opens in a test that asks for it."""
    disk = Disk(1 << 30, OSError(28, "No space left on device"))
    monkeypatch.setattr(log_file, "open_path", lambda _path: disk)
    return disk


def test_lines_are_written_together_after_the_interval(place: Place, tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    log = place.log(path)
    log.write("one")
    log.write("two")
    place.clock.advance(INTERVAL / 2)
    assert path.read_bytes() == b""
    place.clock.advance(INTERVAL / 2)
    assert path.read_bytes() == b"one\ntwo\n"
    assert not place.clock.getDelayedCalls(), "nothing to do, no timer"


def test_a_full_batch_is_written_at_once_with_one_call(place: Place, disk: Disk) -> None:
    log = place.log("any")
    for _ in range(BATCH // 1024):
        log.write(LINE)
    assert len(disk.data) == BATCH
    assert disk.puts == 1
    assert not place.clock.getDelayedCalls()


def test_flush_and_close_write_what_is_queued(place: Place, tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    log = place.log(path)
    log.write("one")
    log.flush()
    assert path.read_bytes() == b"one\n"
    log.write("two")
    log.close()
    assert path.read_bytes() == b"one\ntwo\n"
    log.close()
    log.write("three")
    log.reopen()
    assert path.read_bytes() == b"one\ntwo\n"
    assert (log.dropped, log.closed) == (1, True)


def test_text_that_is_not_ascii_is_escaped(place: Place, tmp_path: Path) -> None:
    log = place.log(tmp_path / "access.log")
    log.write("é\ud800")
    log.flush()
    assert (tmp_path / "access.log").read_bytes() == b"\\xe9\\ud800\n"


def test_after_a_rename_reopen_starts_a_new_file(place: Place, tmp_path: Path) -> None:
    path, old = tmp_path / "access.log", tmp_path / "access.log.1"
    log = place.log(path)
    log.write("one")
    log.flush()
    path.rename(old)
    log.write("two")
    log.flush()
    assert old.read_bytes() == b"one\ntwo\n", "until told, the lines go to the renamed file"
    log.write("three")
    log.reopen()
    log.write("four")
    log.flush()
    assert old.read_bytes() == b"one\ntwo\nthree\n"
    assert path.read_bytes() == b"four\n"


def test_if_it_cannot_be_reopened_the_old_file_goes_on(place: Place, tmp_path: Path) -> None:
    directory = tmp_path / "logs"
    directory.mkdir()
    log = place.log(directory / "access.log")
    directory.rename(tmp_path / "moved")
    log.reopen()
    log.write("one")
    log.flush()
    assert (tmp_path / "moved" / "access.log").read_bytes() == b"one\n"
    assert place.warnings == [
        f"access log {directory}/access.log: not reopened, the old file is kept: No such file or directory"
    ]


def test_a_path_that_cannot_be_opened_is_an_error(place: Place, tmp_path: Path) -> None:
    with pytest.raises(LogFileError, match="cannot open the log .*: Is a directory"):
        place.log(tmp_path)


def test_a_full_disk_drops_counts_warns_once_and_recovers(place: Place, disk: Disk) -> None:
    disk.room = 1500  # the second line is torn by the disk
    log = place.log("any")
    for _ in range(BATCH // 1024):
        log.write(LINE)
    assert place.warnings == ["access log any: No space left on device; 1024 KiB of lines are kept, more are dropped"]
    for _ in range(QUEUE // 1024 + 50):
        log.write(LINE)
        place.clock.advance(0.1)
    lost = log.dropped
    assert lost == QUEUE // 1024 + 50 - (QUEUE - (BATCH - 1500)) // 1024
    assert len(place.warnings) == 1
    disk.room = 1 << 30
    place.clock.advance(1.0)
    assert disk.data == (LINE.encode() + b"\n") * (len(disk.data) // 1024), "every line is whole"
    assert len(disk.data) // 1024 == BATCH // 1024 + QUEUE // 1024 + 50 - lost
    assert place.warnings[1:] == [f"access log any: written again, {lost} lines were dropped"]
    log.write("as before")
    place.clock.advance(INTERVAL)
    assert disk.data.endswith(b"\nas before\n")


def test_a_disk_that_stays_full_is_tried_at_most_once_a_second(place: Place, disk: Disk) -> None:
    disk.room = 0
    log = place.log("any")
    log.write("one")
    place.clock.pump([0.01] * 1000)
    before = disk.puts
    place.clock.pump([0.01] * 1000)
    assert 9 <= disk.puts - before <= 11
    log.close()
    assert log.dropped == 1
    assert disk.is_closed


def test_dev_full_does_not_stop_anything(place: Place) -> None:
    log = place.log("/dev/full")
    for _ in range(3 * QUEUE // 1024):
        log.write(LINE)
    place.clock.advance(INTERVAL)
    assert log.dropped == 2 * QUEUE // 1024
    assert place.warnings == [
        "access log /dev/full: No space left on device; 1024 KiB of lines are kept, more are dropped"
    ]


def test_a_line_torn_by_a_full_disk_does_not_go_on_in_the_next_file(
    place: Place, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk.room = 5
    log = place.log("any")
    for line in ("one", "two", "three"):
        log.write(line)
    log.flush()
    assert disk.data == b"one\nt"
    new = Disk(1 << 30, OSError())
    monkeypatch.setattr(log_file, "open_path", lambda _path: new)
    log.reopen()
    assert new.data == b"three\n"
    assert log.dropped == 1
    assert disk.is_closed


def test_a_torn_last_line_leaves_nothing_to_write(place: Place, disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    disk.room = 1
    log = place.log("any")
    log.write("one")
    log.flush()
    new = Disk(1 << 30, OSError())
    monkeypatch.setattr(log_file, "open_path", lambda _path: new)
    log.reopen()
    log.write("two")
    log.flush()
    assert new.data == b"two\n"


@pytest.fixture
def stuck(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Standard output is a pipe that nobody reads; its reading end."""
    reader, writer = os.pipe()
    monkeypatch.setattr(log_file, "open_stdout", lambda: sinks.open_stdout(writer))
    os.set_blocking(reader, False)
    yield reader
    os.close(reader)
    os.close(writer)


def drained(reader: int) -> bytes:
    data = b""
    try:
        while chunk := os.read(reader, 1 << 20):
            data += chunk
    except BlockingIOError:
        pass
    return data


def test_a_stuck_reader_costs_a_bounded_queue_and_gets_whole_lines_later(place: Place, stuck: int) -> None:
    log = place.log("-")
    total = 2 * QUEUE // 1024
    for number in range(total):
        log.write(f"{number:06d}" + "x" * 1017)
    place.clock.advance(1.0)
    assert place.warnings == ["access log -: its reader is too slow; 1024 KiB of lines are kept, more are dropped"]
    lost = log.dropped
    assert lost >= QUEUE // 1024 - 256
    data = b""
    for _ in range(200):
        data += drained(stuck)
        place.clock.advance(0.01)
    lines = data.splitlines()
    assert [int(line[:6]) for line in lines] == list(range(total - lost))
    assert {len(line) for line in lines} == {1023}
    assert place.warnings[1:] == [f"access log -: written again, {lost} lines were dropped"]


def test_a_reader_that_is_slow_for_a_moment_is_not_worth_a_word(place: Place, stuck: int) -> None:
    log = place.log("-")
    for _ in range(200):
        log.write(LINE)
    assert log.dropped == 0
    data = b""
    for _ in range(50):
        data += drained(stuck)
        place.clock.advance(0.05)
    assert len(data) == 200 * 1024
    assert place.warnings == []


def test_a_reader_that_is_always_too_slow_is_told_of_once_a_minute(place: Place, stuck: int) -> None:
    log = place.log("-")
    for _ in range(50):
        for _ in range(2 * QUEUE // 1024):
            log.write(LINE)
        place.clock.advance(1.0)
        for _ in range(100):
            drained(stuck)
            place.clock.advance(0.001)
        drained(stuck)
        place.clock.advance(1.0)
    told = [text for text in place.warnings if "too slow" in text]
    assert 1 <= len(told) <= 1 + int(place.clock.seconds() // 60)


def test_a_long_line_goes_through_a_pipe_whole(place: Place, stuck: int) -> None:
    log = place.log("-")
    for line in ("short", "y" * 10_000, "short"):
        log.write(line)
    log.flush()
    assert drained(stuck) == b"short\n" + b"y" * 10_000 + b"\nshort\n"


def test_stdout_is_not_reopened(place: Place, stuck: int) -> None:
    log = place.log("-")
    log.write("one")
    log.reopen()
    assert drained(stuck) == b"one\n"


def test_a_fifo_may_get_its_reader_late_and_another_one_later(place: Place, tmp_path: Path) -> None:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    log = place.log(path)
    log.write("one")
    place.clock.advance(INTERVAL)
    assert place.warnings == [f"access log {path}: nobody reads it; 1024 KiB of lines are kept, more are dropped"]
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    place.clock.advance(1.0)
    assert os.read(reader, 100) == b"one\n"
    os.close(reader)
    log.write("two")
    place.clock.advance(INTERVAL)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    place.clock.advance(1.0)
    assert os.read(reader, 100) == b"two\n"
    log.reopen()
    log.write("three")
    log.flush()
    assert os.read(reader, 100) == b"three\n"
    os.close(reader)


def test_a_fifo_that_nobody_ever_reads_holds_up_nothing(place: Place, tmp_path: Path) -> None:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    log = place.log(path)
    log.write("one")
    log.close()
    assert log.dropped == 1


def test_a_fifo_may_become_a_file(place: Place, tmp_path: Path) -> None:
    path = tmp_path / "log"
    os.mkfifo(path)
    log = place.log(path)
    log.write("one")
    path.unlink()
    log.reopen()
    assert path.read_bytes() == b"one\n"
