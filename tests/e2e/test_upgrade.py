"""Another process takes over: nobody is refused, and where it cannot start nothing has happened."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path

import pytest

from tests.conftest import StartGateway
from tests.doubles import frames
from tests.doubles.gateway import launch, render
from tests.doubles.http import read_answer, request
from tests.doubles.ports import free_port
from tests.doubles.raw import connect
from tests.doubles.steering import command, edit, obeyed, order, page, status, wait_ready
from tests.doubles.waiting import until
from tests.doubles.websocket_peers import WebSocketServer
from wsgate.control.client import ask

INI = """
[gateway]
workers = {workers}
close_spread = 100ms
[listener web]
bind = 127.0.0.1:{web}, unix:{dir}/web.sock
[route home]
path = = /
respond = 200 first
[route echo]
path = /echo
upstream = echo
ping_interval = off
[upstream echo]
servers = {echo}
"""


def stop(pid: int) -> None:
    """End a gateway that is no child of ours."""
    os.kill(pid, signal.SIGTERM)
    until(lambda: not Path(f"/proc/{pid}").exists(), "the end of the new gateway", timeout=60)


@pytest.mark.parametrize("count", [1, 2])
def test_the_new_one_serves_and_the_old_one_drains(start_gateway: StartGateway, count: int) -> None:
    with WebSocketServer() as server:
        gateway = start_gateway(INI, workers=count, echo=server.address)
        wait_ready(gateway)
        with gateway.connect("web") as wire:
            frames.open_websocket(wire, "/echo")
            edit(gateway, "200 first", "200 second")
            gateway.signal(signal.SIGUSR2)
            close = frames.read_frame(wire)
            assert close.close_code == 1001
            wire.send(frames.close(1001))
            wire.expect_eof()
        assert gateway.wait() == 0
        assert page(gateway) == "second"
        with connect(str(gateway.directory / "web.sock")) as wire:
            wire.send(request("GET", "/"))
            assert read_answer(wire).body == b"second"
        pid = next(iter(_processes(gateway.directory)))
        assert obeyed(gateway, "ready")["ready"]
        stop(pid)


@pytest.mark.parametrize("count", [1, 2])
def test_clients_of_demo_servers_are_closed_as_all_others(start_gateway: StartGateway, count: int) -> None:
    """The demo servers let their ports go at once, and their connections only at the end."""
    gateway = start_gateway(
        INI + "[app echo]\nkind = echo\nbind = {echo}\n", workers=count, echo=f"127.0.0.1:{free_port()}"
    )
    wait_ready(gateway)
    with gateway.connect("web") as wire:
        until(lambda: status(gateway, "/echo") == 426, "a demo server")
        frames.open_websocket(wire, "/echo")
        gateway.signal(signal.SIGUSR2)
        assert frames.read_frame(wire).close_code == 1001
        until(lambda: status(gateway, "/echo") == 426, "the demo server of the new gateway")
        pid = obeyed(gateway, "status")["pid"]
        assert pid != gateway.pid
        wire.send(frames.close(1001))
        wire.expect_eof()
    assert gateway.wait() == 0
    stop(pid)


def _processes(directory: Path) -> list[int]:
    """The gateways that run on the INI of ``directory``, parents only."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
            if str(directory / "wsgate.ini").encode() in words:
                found.append((int(entry.name), parent))
    pids = {pid for pid, _ in found}
    return [pid for pid, parent in found if parent not in pids]


def test_one_that_cannot_start_changes_nothing(start_gateway: StartGateway) -> None:
    gateway = start_gateway(INI, workers=2, echo="127.0.0.1:1")
    wait_ready(gateway)
    edit(gateway, "path = /echo", "pth = /echo")
    done = command(gateway, "upgrade")
    assert done.returncode == 1 and "ended with 1" in done.stderr
    assert page(gateway) == "first"
    assert obeyed(gateway, "status")["ready"]
    edit(gateway, "pth = /echo", "path = /echo")


def test_the_pid_file_is_handed_over(tmp_path: Path) -> None:
    text, ports = render(INI, tmp_path, {"workers": 1, "echo": "127.0.0.1:1"})
    ini, pid_file = tmp_path / "wsgate.ini", tmp_path / "gateway.pid"
    ini.write_text(text)
    process = launch([f"--pidfile={pid_file}", "wsgate", "--config", str(ini)], tmp_path)
    until((tmp_path / "state" / "control.sock").exists, "a gateway", timeout=60)
    answer = ask(tmp_path / "state", "upgrade", {}, 120.0)
    assert answer["ok"], answer
    assert process.wait(60) == 0
    assert pid_file.read_text() == str(answer["pid"])
    with connect(("127.0.0.1", ports["web"])) as wire:
        wire.send(request("GET", "/"))
        assert read_answer(wire).status == 200
    stop(answer["pid"])
    assert not pid_file.exists()
    assert "Traceback" not in (tmp_path / "output.log").read_text()


def test_a_gateway_that_stops_is_not_replaced(start_gateway: StartGateway) -> None:
    gateway = start_gateway(
        INI.replace("close_spread", "drain_delay = 3s\nclose_spread"), workers=1, echo="127.0.0.1:1"
    )
    gateway.signal(signal.SIGTERM)
    until(lambda: not order(gateway, "ready")["ok"], "a gateway that is not ready")
    assert "stops" in order(gateway, "upgrade")["error"]
    assert gateway.wait() == 0


@pytest.mark.parametrize("count", [1, 2])
def test_a_stop_during_an_upgrade_stops_both(start_gateway: StartGateway, count: int) -> None:
    """The one who would have taken over is ended too: nobody listens afterwards, and nothing hangs."""
    gateway = start_gateway(INI, workers=count, echo="127.0.0.1:1")
    wait_ready(gateway)
    gateway.signal(signal.SIGUSR2)
    # Workers and their control process; alone there is none.  Where we were too slow, it has taken over by now.
    own = count + 1 if count > 1 else 0
    until(lambda: children(gateway.pid) > own or has_ended(gateway.pid), "a successor has been started")
    for pid in _processes(gateway.directory):
        os.kill(pid, signal.SIGTERM)
    assert gateway.wait() == 0
    until(lambda: refused(gateway.ports["web"]), "nobody listens any more")


def has_ended(pid: int) -> bool:
    """Whether a child of ours has ended, and waits to be asked for its exit code."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"


def children(pid: int) -> int:
    """How many processes have been started by one."""
    return len(Path(f"/proc/{pid}/task/{pid}/children").read_text().split())


def refused(port: int) -> bool:
    """Whether nobody listens on a port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0
