"""The control socket: for its owner alone, one JSON line for another, and exit codes for scripts."""

from __future__ import annotations

import json
import socket
import stat
from collections.abc import Iterator

import pytest

from tests.conftest import StartGateway
from tests.doubles import frames
from tests.doubles.gateway import Gateway
from tests.doubles.steering import command, obeyed, wait_ready, workers
from tests.doubles.waiting import until
from tests.doubles.websocket_peers import WebSocketServer

INI = """
[gateway]
workers = {workers}
[listener web]
bind = 127.0.0.1:{web}
[route echo]
path = /echo
upstream = echo
ping_interval = off
[upstream echo]
servers = {echo}
"""


@pytest.fixture(params=[1, 2], ids=["alone", "workers"])
def gateway(request: pytest.FixtureRequest, start_gateway: StartGateway) -> Iterator[Gateway]:
    with WebSocketServer() as server:
        started = start_gateway(INI, workers=request.param, echo=server.address)
        wait_ready(started)
        yield started


def say(gateway: Gateway, *lines: bytes) -> list[dict[str, object]]:
    """The answers to lines on one connection."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(60)
        sock.connect(str(gateway.directory / "state" / "control.sock"))
        sock.sendall(b"".join(line + b"\n" for line in lines))
        with sock.makefile("rb") as answers:
            return [json.loads(answers.readline()) for _ in lines]


def test_it_is_its_owners_alone(gateway: Gateway) -> None:
    path = gateway.directory / "state" / "control.sock"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_gateway_that_is_drained_as_a_whole_is_not_ready(gateway: Gateway) -> None:
    obeyed(gateway, "drain")
    assert command(gateway, "ready").returncode == 1
    obeyed(gateway, "undrain")
    assert command(gateway, "ready").returncode == 0


def test_every_line_has_an_answer(gateway: Gateway) -> None:
    answers = say(gateway, b"{", b"[]", b"{}", b'{"order": "dance", "id": 7}', b'{"order": "ready", "id": "x"}')
    assert [answer["ok"] for answer in answers] == [False, False, False, False, True]
    assert "expected a line" in str(answers[0]["error"]) and "unknown order dance" in str(answers[3]["error"])
    assert [answer["id"] for answer in answers[3:]] == [7, "x"]


def test_the_command_tells_how_it_is(gateway: Gateway) -> None:
    with gateway.connect("web") as wire:
        frames.open_websocket(wire, "/echo")
        told = command(gateway, "status", "--connections")
        assert told.returncode == 0, told.stderr
        assert "ready" in told.stdout and "client=127.0.0.1 listener=web route=echo" in told.stdout
        found = json.loads(command(gateway, "status", "--json", "--connections").stdout)
        assert sum(worker["relayed"] for worker in found["workers"]) == 1


def test_chosen_connections_are_kicked(gateway: Gateway) -> None:
    with gateway.connect("web") as one, gateway.connect("web") as two:
        for wire in (one, two):
            frames.open_websocket(wire, "/echo")
        found = obeyed(gateway, "status", connections=True)["workers"]
        number = next(worker["live"][0]["id"] for worker in found if worker["live"])
        assert command(gateway, "kick", "--id", number).stdout == "1 closed\n"
        until(lambda: sum(worker["relayed"] for worker in workers(gateway)) <= 2)
        assert command(gateway, "kick", "--route", "nowhere").stdout == "0 closed\n"
        assert command(gateway, "kick").returncode == 2
        assert command(gateway, "kick", "--client", "127.0.0.1").returncode == 0
        codes = {frames.read_frame(wire).close_code for wire in (one, two)}
        assert codes == {1008}


def test_exit_codes_tell_what_happened(gateway: Gateway) -> None:
    assert command(gateway, "ready").returncode == 0
    assert command(gateway, "drain", "route", "nowhere").returncode == 1
    assert command(gateway, "drain", "nothing").returncode == 2
    gateway.stop()
    gone = command(gateway, "status")
    assert gone.returncode == 3 and "no gateway answers" in gone.stderr
    assert json.loads(command(gateway, "ready", "--json").stdout)["ok"] is False
    assert not (gateway.directory / "state" / "control.sock").exists()


def test_a_second_gateway_does_not_take_it(start_gateway: StartGateway) -> None:
    first = start_gateway(INI, workers=1, echo="127.0.0.1:1")
    second = start_gateway(
        INI.replace("[gateway]", f"[gateway]\nstate_dir = {first.directory}/state"), workers=1, echo="127.0.0.1:1"
    )
    assert "takes no orders" in second.log
    assert obeyed(first, "status")["source"] == str(first.directory / "wsgate.ini")
    second.stop()
    assert obeyed(first, "ready")["ready"]


def test_a_socket_left_behind_is_replaced(start_gateway: StartGateway) -> None:
    first = start_gateway(INI, workers=1, echo="127.0.0.1:1")
    state = first.directory / "state"
    with socket.socket(socket.AF_UNIX) as dead:
        first.stop()
        dead.bind(str(state / "control.sock"))
    second = start_gateway(INI.replace("[gateway]", f"[gateway]\nstate_dir = {state}"), workers=1, echo="127.0.0.1:1")
    assert "takes no orders" not in second.log
    assert (state / "control.sock").exists()
