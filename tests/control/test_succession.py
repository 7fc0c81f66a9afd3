"""What a successor is given, and how it is called."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.doubles.hand_reactor import HandReactor
from tests.doubles.waiting import until
from wsgate.control.scopes import Scope
from wsgate.control.succession import (
    PATIENCE,
    VARIABLE,
    Estate,
    SuccessionError,
    Successor,
    inherited,
    successor_command,
)


def test_the_command_is_given_again_without_a_pid_file_of_twistds() -> None:
    given = ["python3", "/bin/twistd", "-n", "--pidfile=/run/x.pid", "wsgate", "--config", "x.ini"]
    assert successor_command(given, "/usr/bin/python3") == [
        *("/usr/bin/python3", "/bin/twistd", "-n", "--pidfile=/run/x.pid", "--pidfile=", "wsgate", "--config", "x.ini")
    ]


def test_a_successors_successor_has_one_empty_pid_file() -> None:
    given = ["python3", "/bin/twistd", "--pidfile=", "wsgate", "--config", "x.ini"]
    assert successor_command(given, "python3") == given


def test_what_is_inherited_is_taken_once_and_not_passed_on(tmp_path: Path) -> None:
    ours, theirs = os.pipe()
    os.set_inheritable(theirs, True)
    pid_file = tmp_path / "gateway.pid"
    environment = {VARIABLE: f'{{"sockets": [], "ready": {theirs}, "pid_file": "{pid_file}"}}'}
    estate = inherited(environment)
    assert estate is not None and not environment and inherited(environment) is None
    assert not os.get_inheritable(theirs)
    assert estate.tell()
    assert os.read(ours, 100) == str(os.getpid()).encode()
    assert os.read(ours, 100) == b"", "the pipe ends"
    estate.take_pid_file()
    assert pid_file.read_text() == str(os.getpid())
    os.close(ours)


def test_whoever_was_given_up_hears_it_before_it_takes_anything() -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    assert not Estate((), theirs, "").tell()


def test_what_was_drained_is_handed_over(tmp_path: Path) -> None:
    drained = (Scope("gateway"), Scope("server", "app", "127.0.0.1:9000"))
    world = World(tmp_path, "(folder / 'left').write_text(os.environ['WSGATE_SUCCESSION'])")
    world.start(drained)
    world.wait()
    left = json.loads((tmp_path / "left").read_text())
    ready = os.dup(1)
    estate = inherited({VARIABLE: json.dumps(left | {"ready": ready})})
    os.close(ready)
    assert estate is not None and estate.drained == drained


@pytest.mark.parametrize("user", [["--uid=www", "--gid=www"], ["-u", "www", "--gid", "www", "--euid"], ["-uwww"]])
def test_who_has_given_up_root_is_not_told_to_do_it_again(user: list[str]) -> None:
    given = ["python3", "/bin/twistd", "-n", *user, "--pidfile=", "wsgate", "-u", "x"]
    kept = ["python3", "/bin/twistd", "-n", "--pidfile=", "wsgate", "-u", "x"]
    assert successor_command(given, "python3", may_change_user=False) == kept
    assert successor_command(given, "python3") == given


class World:
    """A successor that is a small program: ``ready`` is the pipe, ``folder`` where it leaves what the test looks at."""

    def __init__(self, folder: Path, program: str, **options: Any) -> None:
        text = (
            "import json, os, pathlib, sys, time\n"
            "ready = json.loads(os.environ['WSGATE_SUCCESSION'])['ready']\n"
            f"folder = pathlib.Path({str(folder)!r})\n{program}\n"
        )
        self.reactor = HandReactor()
        command = [sys.executable, "-c", text]
        self.successor = Successor(self.reactor, command, dict(os.environ), str(folder), **options)
        self.ended: list[Any] = []

    def start(self, drained: tuple[Scope, ...] = ()) -> None:
        self.successor.start([], "", drained).addBoth(self.ended.append)

    def wait(self) -> Any:
        self.reactor.until(lambda: self.ended)
        return self.ended[0]


def test_it_fires_with_the_process_that_is_ready(tmp_path: Path) -> None:
    world = World(tmp_path, "os.write(ready, b'4711')")
    world.start()
    with pytest.raises(SuccessionError, match="starting already"):
        world.successor.start([], "")
    assert world.wait() == 4711


@pytest.mark.parametrize("end", ["sys.exit('no such option')", "print('no such option'); sys.exit(1)"])
def test_the_errors_of_one_that_fails_are_told(tmp_path: Path, end: str) -> None:
    world = World(tmp_path, end, keeps_errors=True)
    world.start()
    assert "ended with 1 before it was ready: no such option" in str(world.wait().value)
    world.ended.clear()
    world.start()
    world.wait()


DAEMON = """
if os.fork():
    os._exit(0)
(folder / "begun").touch()
while not (folder / "go").exists():
    time.sleep(0.01)
try:
    os.write(ready, b"%d" % os.getpid())
    told = "told"
except BrokenPipeError:
    told = "refused"
(folder / "new").write_text(told)
(folder / "new").rename(folder / "told")
"""


@pytest.mark.parametrize("why", ["given up", "too late"])
def test_a_daemon_that_gets_ready_too_late_is_refused(tmp_path: Path, why: str) -> None:
    """The process that was started has ended long before, so that no signal reaches the daemon."""
    world = World(tmp_path, DAEMON)
    world.start()
    until((tmp_path / "begun").exists)
    if why == "given up":
        world.successor.give_up()
    else:
        world.reactor.advance(PATIENCE)
    assert "before it was ready" in str(world.wait().value)
    (tmp_path / "go").touch()
    until((tmp_path / "told").exists)
    assert (tmp_path / "told").read_text() == "refused"


def test_one_that_has_just_told_is_ended(tmp_path: Path) -> None:
    program = "os.write(ready, b'%d' % os.getpid()); (folder / 'told').touch(); time.sleep(1000)"
    world = World(tmp_path, program)
    world.start()
    until((tmp_path / "told").exists)
    world.successor.give_up()
    assert world.wait()
    process = world.successor._process
    assert process is not None and process.wait(20) < 0
