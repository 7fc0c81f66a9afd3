"""The control process probes and looks for servers for all workers; when it dies nothing is forgotten."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

from tests.conftest import StartGateway
from tests.doubles import frames, processes
from tests.doubles.gateway import Gateway
from tests.doubles.ports import free_port
from tests.doubles.steering import command, edit, obeyed, status, wait_ready, workers
from tests.doubles.waiting import until
from tests.doubles.websocket_peers import WebSocketServer

INI = """
[gateway]
workers = 2
worker_timeout = 4s
[listener web]
bind = 127.0.0.1:{web}
[route all]
path = /
upstream = servers
[upstream servers]
servers = {servers}
probe = tcp interval=50ms timeout=30s rise=2 fall=2
"""


def control(gateway: Gateway) -> dict[str, Any]:
    """What is told of the control process; empty while there is none."""
    return dict(obeyed(gateway, "status")["control"] or {})


def another(gateway: Gateway, before: int) -> bool:
    return control(gateway).get("pid", before) != before


def test_it_has_no_listener_and_no_client_and_is_named(start_gateway: StartGateway) -> None:
    with WebSocketServer() as server:
        gateway = start_gateway(INI, servers=server.address)
        wait_ready(gateway)
        pid = control(gateway)["pid"]
        assert pid not in {gateway.pid, *(worker["pid"] for worker in workers(gateway))}
        assert not processes.listening(pid)
        assert f"control process (process {pid}): up" in command(gateway, "status").stdout
    until(lambda: status(gateway, "/") == 503, "a server that is down")


def test_when_processes_die_what_the_probes_said_stays(start_gateway: StartGateway) -> None:
    port = free_port()
    gateway = start_gateway(INI, servers=f"127.0.0.1:{port}")
    wait_ready(gateway)
    until(lambda: status(gateway, "/") == 503, "a server that is down")
    before = control(gateway)["pid"]
    old = {worker["pid"] for worker in workers(gateway)}
    for pid in (before, *old):
        os.kill(pid, signal.SIGKILL)
    until(lambda: another(gateway, before), "another control process")
    until(lambda: len(workers(gateway)) == 2 and not old & {worker["pid"] for worker in workers(gateway)}, "successors")
    # A worker that knew nothing would dial, and the answer be a 502.
    assert {status(gateway, "/") for _ in range(6)} == {503}
    with WebSocketServer(port=port), gateway.connect("web") as wire:
        until(lambda: "is up again" in gateway.log, "a server that is up again")
        until(lambda: _all_say(gateway, "up"), "workers that know")
        frames.open_websocket(wire, "/")
        # The successor began with what its predecessor knew.
        assert gateway.log.count("is down: ") == gateway.log.count("is up again") == 1


def _all_say(gateway: Gateway, state: str) -> bool:
    return {one["state"] for worker in workers(gateway) for one in worker["upstreams"]["servers"]} == {state}


def test_one_that_is_stuck_is_replaced(start_gateway: StartGateway) -> None:
    gateway = start_gateway(INI, servers="127.0.0.1:1")
    wait_ready(gateway)
    before = control(gateway)["pid"]
    os.kill(before, signal.SIGSTOP)
    until(lambda: another(gateway, before), "another control process", timeout=60.0)
    assert "the control process" in gateway.log and "does not answer" in gateway.log


def test_it_follows_reloads_and_drains(start_gateway: StartGateway) -> None:
    with WebSocketServer() as server:
        gateway = start_gateway(INI, servers="127.0.0.1:1")
        wait_ready(gateway)
        until(lambda: _all_say(gateway, "down"), "a server that is down")
        edit(gateway, "servers = 127.0.0.1:1", f"servers = {server.address}, 127.0.0.1:2")
        obeyed(gateway, "reload")
        until(lambda: _states(gateway) == {(server.address, "up"), ("127.0.0.1:2", "down")}, "its word on both")
        obeyed(gateway, "drain", kind="server", name="servers", server=server.address)
        assert _states(gateway) == {(server.address, "drained"), ("127.0.0.1:2", "down")}
        edit(gateway, ", 127.0.0.1:2", "")
        obeyed(gateway, "reload")
        assert _states(gateway) == {(server.address, "drained")}
        edit(gateway, f"servers = {server.address}", f"servers = {server.address}, 127.0.0.1:2")
        edit(gateway, "probe = tcp interval=50ms timeout=30s rise=2 fall=2", "")
        obeyed(gateway, "reload")
        assert _states(gateway) == {(server.address, "drained"), ("127.0.0.1:2", "up")}, "nobody probes any more"


def _states(gateway: Gateway) -> set[tuple[str, str]]:
    return {(one["server"], one["state"]) for worker in workers(gateway) for one in worker["upstreams"]["servers"]}


def test_it_goes_on_looking_for_servers_after_its_death(start_gateway: StartGateway, tmp_path: Path) -> None:
    path = tmp_path / "servers"
    path.write_text("127.0.0.1:1\n")
    gateway = start_gateway(INI.replace("probe = tcp", "; probe = tcp"), servers=f"file:{path}")
    wait_ready(gateway)
    before = control(gateway)["pid"]
    os.kill(before, signal.SIGKILL)
    path.write_text("127.0.0.1:1\n127.0.0.1:2\n")
    until(lambda: _states(gateway) == {("127.0.0.1:1", "up"), ("127.0.0.1:2", "up")}, "the server that came")
    assert another(gateway, before)
