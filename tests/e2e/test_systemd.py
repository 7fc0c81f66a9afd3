"""Under a service manager: sockets that it passes, what it is told, and the limits that it sets."""

from __future__ import annotations

import os
import resource
import signal
import socket
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.doubles.gateway import ROOT, Gateway, render
from tests.doubles.http import read_answer, request
from tests.doubles.steering import end, obeyed, page, wait_ready
from tests.doubles.waiting import until

INI = """
[gateway]
workers = {workers}
[listener web]
bind = 127.0.0.1:{web}
[route home]
path = /
respond = 200 home
"""

#: What a manager does before it executes a service: sockets from descriptor 3 on, limits, and the variables.
MANAGER = """
import os, resource, sys
passed, limit = int(sys.argv[1]), int(sys.argv[2])
if limit:
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
if passed:
    os.dup2(passed, 3)
    os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1")
os.execv(sys.executable, [sys.executable, *sys.argv[3:]])
"""


def managed(
    directory: Path, count: int, *, text: str = INI, limit: int = 0, sock: socket.socket | None = None, **names: str
) -> Gateway:
    """A gateway as a service manager starts it; ``sock`` becomes its descriptor 3."""
    values: dict[str, object] = {"workers": count}
    if sock is not None:
        values["web"] = sock.getsockname()[1]
    rendered, ports = render(text, directory, values)
    (directory / "wsgate.ini").write_text(rendered)
    twistd = str(Path(sys.executable).with_name("twistd"))
    arguments = [twistd, "--nodaemon", "--pidfile=", "wsgate", "--config", str(directory / "wsgate.ini")]

    passed = sock.fileno() if sock is not None else 0
    with (directory / "output.log").open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-c", MANAGER, str(passed), str(limit), *arguments],
            cwd=directory,
            env=os.environ | {"PYTHONPATH": str(ROOT)} | names,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            pass_fds=(passed,) if passed else (),
        )
    return Gateway(process, directory, ports | ({"web": int(values["web"])} if sock is not None else {}))


@pytest.mark.parametrize("count", [1, 2])
def test_a_passed_socket_is_served(tmp_path: Path, count: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        gateway = managed(tmp_path, count, sock=sock)
        # Whoever connects before the start waits in the queue and is served.
        with socket.create_connection(sock.getsockname()) as early:
            early.settimeout(60)
            early.sendall(request("GET", "/", "Connection: close"))
            assert early.recv(12) == b"HTTP/1.1 200"
        assert end(gateway) == 0, gateway.log
        # The manager's socket is as it was: its queue goes on.
        with socket.create_connection(sock.getsockname()):
            sock.settimeout(30)
            sock.accept()[0].close()


@pytest.mark.parametrize("count", [1, 2])
def test_the_manager_is_told(tmp_path: Path, count: int) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(60)
        gateway = managed(tmp_path, count, NOTIFY_SOCKET=str(tmp_path / "notify"), WATCHDOG_USEC="400000")
        told: list[str] = []

        def hear(word: str) -> str:
            while not (found := [message for message in told if word in message]):
                told.append(manager.recv(4096).decode())
            told.remove(found[0])
            return found[0]

        assert "STATUS=1 listeners" in hear("READY=1")
        hear("WATCHDOG=1")
        hear("WATCHDOG=1")
        gateway.signal(signal.SIGHUP)
        assert "MONOTONIC_USEC=" in hear("RELOADING=1")
        hear("READY=1")
        gateway.signal(signal.SIGTERM)
        hear("STOPPING=1")
        assert gateway.wait() == 0, gateway.log


def test_the_manager_hears_of_the_next_main_process_and_of_no_stop(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(60)
        gateway = managed(tmp_path, 1, NOTIFY_SOCKET=str(tmp_path / "notify"))
        told = [manager.recv(4096).decode()]
        gateway.signal(signal.SIGUSR2)
        while not told[-1].startswith("MAINPID="):
            told.append(manager.recv(4096).decode())
        assert gateway.wait() == 0, gateway.log
        successor = int(told[-1].partition("=")[2])
        assert successor == obeyed(gateway, "status")["pid"]
        assert [message.partition("\n")[0] for message in told[:-1]] == ["READY=1", "READY=1"]
        os.kill(successor, signal.SIGTERM)
        # Of the successor, not of the one that drained before it.
        assert manager.recv(4096) == b"STOPPING=1"
        until(lambda: not Path(f"/proc/{successor}").exists(), "its end")


def test_the_start_is_refused_with_the_number_of_descriptors_needed(tmp_path: Path) -> None:
    text = INI.replace("[gateway]", "[gateway]\nmax_connections = 1000")
    gateway = managed(tmp_path, 1, text=text, limit=400)
    assert gateway.wait() != 0
    assert "needs 2128 file descriptors" in gateway.log and "the limit is 400" in gateway.log
    with pytest.raises(ConnectionRefusedError):
        gateway.connect("web")


def test_accepting_pauses_without_descriptors_and_goes_on(tmp_path: Path) -> None:
    """The reserve is for control: orders are obeyed while no connection can be accepted."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert soft > 400
    gateway = managed(tmp_path, 1, limit=200)
    until((tmp_path / "state" / "control.sock").exists, "a gateway", timeout=60)
    wait_ready(gateway)
    with ExitStack() as stack:
        wires = [stack.enter_context(gateway.connect("web")) for _ in range(100)]
        for wire in wires[:36]:
            wire.send(request("GET", "/"))
            assert read_answer(wire).status == 200
        assert "all that the descriptors of this process allow" in gateway.log
        assert obeyed(gateway, "status")["workers"][0]["connections"] == 36
        # Who waits in the queue is served when others go.
        for place in range(36, 72):
            wires[place - 36].close()
            wires[place].send(request("GET", "/"))
            assert read_answer(wires[place]).status == 200
    until(lambda: not obeyed(gateway, "status")["workers"][0]["connections"], "free descriptors")
    assert page(gateway) == "home"
    assert end(gateway) == 0
