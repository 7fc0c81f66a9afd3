"""What a successor is given, and how it is called."""

from __future__ import annotations

import os
from pathlib import Path

from wsgate.control.succession import VARIABLE, inherited, successor_command


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
    estate.take_over()
    assert os.read(ours, 100) == str(os.getpid()).encode()
    assert os.read(ours, 100) == b"", "the pipe ends"
    assert pid_file.read_text() == str(os.getpid())
    os.close(ours)
