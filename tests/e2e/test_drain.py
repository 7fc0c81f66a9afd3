"""What is drained takes nothing new and ends in good order; nobody is cut inside a frame."""

from __future__ import annotations

import asyncio
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.conftest import Serve, StartGateway
from tests.doubles import frames, scripts
from tests.doubles.gateway import Gateway
from tests.doubles.http import read_answer, request
from tests.doubles.raw import Wire
from tests.doubles.steering import command, edit, end, obeyed, order, page, status, wait_ready
from tests.doubles.waiting import until
from tests.doubles.websocket_peers import WebSocketServer
from tests.load.sockets import Totals, open_socket
from wsgate.control.client import NoGatewayError

INI = """
[gateway]
workers = {workers}
close_spread = 100ms
drain_timeout = 30s
drain_reason = reconnect in 5s
[listener web]
bind = 127.0.0.1:{web}
[listener second]
bind = 127.0.0.1:{second}
[route home]
path = = /
respond = 200 home
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


@pytest.fixture
def opened(gateway: Gateway) -> Iterator[Wire]:
    """A WebSocket through the gateway."""
    with gateway.connect("web") as wire:
        frames.open_websocket(wire, "/echo")
        yield wire


def server_of(gateway: Gateway) -> str:
    text = (gateway.directory / "wsgate.ini").read_text()
    return text.rpartition("servers = ")[2].strip()


def expect_close(wire: Wire, code: int) -> None:
    """A whole Close with the configured reason; TCP ends only after the echo."""
    close = frames.read_frame(wire)
    assert (close.opcode, close.close_code, close.close_reason) == (frames.CLOSE, code, "reconnect in 5s")
    wire.send(frames.close(code))
    wire.expect_eof()


@pytest.mark.parametrize("scope", ["route echo", "upstream echo", "server"])
def test_a_part_is_drained_and_comes_back(gateway: Gateway, opened: Wire, scope: str) -> None:
    words = ["server", "echo", server_of(gateway)] if scope == "server" else scope.split()
    assert command(gateway, "drain", *words, "--no-wait").returncode == 0
    expect_close(opened, 1012)
    assert status(gateway, "/echo") == 503
    assert page(gateway) == "home"
    assert obeyed(gateway, "status")["drained"] == [" ".join(words)]
    assert command(gateway, "undrain", *words).returncode == 0
    with gateway.connect("web") as again:
        frames.open_websocket(again, "/echo")


def test_who_comes_after_an_undrain_stays_while_others_are_still_closed(gateway: Gateway, opened: Wire) -> None:
    obeyed(gateway, "drain", kind="route", name="echo", wait=False)
    assert frames.read_frame(opened).close_code == 1012
    obeyed(gateway, "undrain", kind="route", name="echo")
    with gateway.connect("web") as stays:
        frames.open_websocket(stays, "/echo")
        for text in ("x", "y") * 200:  # longer than the drain's next look
            stays.send(frames.text(text))
            assert frames.read_frame(stays).payload == text.encode()
    opened.send(frames.close(1012))
    opened.expect_eof()


@pytest.mark.parametrize("how", ["drained", "removed"])
def test_a_handshake_that_was_under_way_is_drained_after_it(
    start_gateway: StartGateway, serve: Serve, how: str
) -> None:
    go = threading.Event()

    def slow(wire: Wire) -> None:
        assert go.wait(60)
        scripts.upgrades()(wire)

    server = serve(slow)
    gateway = start_gateway(INI, workers=1, echo=server.address)
    wait_ready(gateway)
    with gateway.connect("web") as wire:
        wire.send(frames.upgrade_request("/echo"))
        server.wait_visits(1)
        if how == "drained":
            obeyed(gateway, "drain", kind="route", name="echo", wait=False)
        else:
            edit(gateway, "[route echo]\npath = /echo", "[route other]\npath = /other")
            obeyed(gateway, "reload")
        go.set()
        assert read_answer(wire).status == 101
        expect_close(wire, 1012)


def test_a_drained_listener_refuses_and_the_others_do_not(gateway: Gateway, opened: Wire) -> None:
    with gateway.connect("web") as idle:
        idle.send(request("GET", "/"))
        assert read_answer(idle).status == 200
        obeyed(gateway, "drain", kind="listener", name="web", wait=False)
        expect_close(opened, 1012)
        idle.expect_eof()
    until(lambda: _refuses(gateway), "a listener that refuses")
    assert page(gateway, "second") == "home"
    obeyed(gateway, "undrain", kind="listener", name="web")
    assert page(gateway) == "home"


def _refuses(gateway: Gateway) -> bool:
    try:
        socket.create_connection(gateway.where("web")).close()
    except ConnectionRefusedError:
        return True
    return False


def test_what_is_not_there_cannot_be_drained(gateway: Gateway) -> None:
    answer = order(gateway, "drain", kind="route", name="nowhere")
    assert not answer["ok"] and "home, echo" in answer["error"]
    assert not order(gateway, "undrain", kind="route", name="echo")["ok"]
    assert page(gateway) == "home"


def test_the_drain_tells_how_many_it_closed(gateway: Gateway) -> None:
    with ExitStack() as stack:
        wires = [stack.enter_context(gateway.connect("web")) for _ in range(5)]
        for wire in wires:
            frames.open_websocket(wire, "/echo")
        obeyed(gateway, "drain", kind="route", name="echo", wait=False)
        for wire in wires:
            expect_close(wire, 1012)
    assert obeyed(gateway, "drain", kind="route", name="echo")["closed"] == 0


def test_a_stopping_gateway_closes_with_1001_and_ends_with_0(gateway: Gateway, opened: Wire) -> None:
    gateway.signal(signal.SIGTERM)
    expect_close(opened, 1001)
    assert gateway.wait() == 0
    assert gateway.records()[-1]["cause"] == "stopping"


def test_a_second_signal_ends_it_at_once(gateway: Gateway, opened: Wire) -> None:
    gateway.signal(signal.SIGTERM)
    assert frames.read_frame(opened).close_code == 1001
    begun = time.monotonic()
    gateway.signal(signal.SIGTERM)
    assert gateway.wait() == 0
    assert time.monotonic() - begun < 20
    opened.expect_gone()


def test_a_request_that_is_being_served_is_answered(start_gateway: StartGateway, serve: Serve) -> None:
    go = threading.Event()
    head = scripts.answers(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabc")
    slow = serve(scripts.in_turn(head, later(go, b"def")))
    gateway = start_gateway(INI, workers=1, echo=slow.address)
    with gateway.connect("web") as wire:
        wire.send(request("GET", "/echo"))
        wire.until(b"abc")
        gateway.signal(signal.SIGTERM)
        until(lambda: not order_ready(gateway), "a gateway that is not ready")
        go.set()
        assert wire.exactly(3) == b"def"
    assert gateway.wait() == 0


def later(go: threading.Event, data: bytes) -> scripts.Script:
    """Send ``data`` when the test says so, then read to the end."""

    def script(wire: Wire) -> None:
        assert go.wait(30)
        wire.send(data)
        wire.rest()

    return script


def order_ready(gateway: Gateway) -> bool:
    try:
        return bool(order(gateway, "ready")["ok"])
    except NoGatewayError:
        return False


def test_a_close_waits_for_the_end_of_a_frame(start_gateway: StartGateway, serve: Serve) -> None:
    whole = frames.encode(frames.BINARY, b"0123456789", mask=b"")
    go = threading.Event()
    server = serve(scripts.upgrades(scripts.in_turn(scripts.sends(whole[:5]), later(go, whole[5:]))))
    gateway = start_gateway(INI, workers=1, echo=server.address)
    with gateway.connect("web") as wire:
        frames.open_websocket(wire, "/echo")
        assert wire.exactly(5) == whole[:5]
        gateway.signal(signal.SIGTERM)
        until(lambda: not order_ready(gateway), "a gateway that is not ready")
        wire.expect_silence(0.3)
        go.set()
        assert wire.exactly(7) == whole[5:]
        assert frames.read_frame(wire).close_code == 1001
        wire.send(frames.close(1001))
    assert gateway.wait() == 0


def test_at_the_deadline_it_ends_by_force(start_gateway: StartGateway, serve: Serve) -> None:
    server = serve(scripts.holds)
    text = INI.replace("drain_timeout = 30s", "drain_timeout = 1s") + (
        "[listener raw]\nbind = 127.0.0.1:{raw}\nmode = tcp\nupstream = echo\n"
    )
    gateway = start_gateway(text, workers=1, echo=server.address)
    with gateway.connect("raw") as wire:
        server.wait_visits(1)
        begun = time.monotonic()
        assert end(gateway) == 0
        assert 1 <= time.monotonic() - begun < 20
        wire.expect_gone()


def test_a_tunnel_is_half_closed_and_carries_the_answer_over(start_gateway: StartGateway, serve: Serve) -> None:
    def last_words(wire: Wire) -> None:
        assert wire.exactly(2) == b"hi"
        wire.expect_eof()
        wire.send(b"goodbye")

    server = serve(last_words)
    text = INI + "[listener raw]\nbind = 127.0.0.1:{raw}\nmode = tcp\nupstream = echo\n"
    gateway = start_gateway(text, workers=1, echo=server.address)
    with gateway.connect("raw") as wire:
        wire.send(b"hi")
        server.wait_visits(1)
        gateway.signal(signal.SIGTERM)
        assert wire.rest() == b"goodbye"
    assert gateway.wait() == 0


def test_readiness_turns_first_and_accepting_goes_on_for_the_delay(start_gateway: StartGateway) -> None:
    text = INI.replace("drain_timeout", "drain_delay = 3s\ndrain_timeout")
    gateway = start_gateway(text, workers=1, echo="127.0.0.1:1")
    assert command(gateway, "ready").returncode == 0
    gateway.signal(signal.SIGTERM)
    until(lambda: not order_ready(gateway), "a gateway that is not ready")
    assert page(gateway) == "home"
    assert gateway.wait() == 0


@pytest.mark.parametrize("count", [1, 2])
def test_closes_are_spread_over_the_window(start_gateway: StartGateway, count: int) -> None:
    """300 clients each get a whole Close, about as many in each half of the window; a stall moves some."""
    with WebSocketServer() as server:
        gateway = start_gateway(INI.replace("100ms", "2s"), workers=count, echo=server.address)
        wait_ready(gateway)
        totals = asyncio.run(_drain(gateway, 300))
        assert gateway.wait() == 0
    assert totals.closed == {1001: 300} and not totals.cut
    first = min(totals.closed_at)
    early = sum(at - first < 1 for at in totals.closed_at)
    assert 50 < early < 250


async def _drain(gateway: Gateway, number: int) -> Totals:
    totals = Totals()
    sockets = [await open_socket(totals, gateway.ports["web"], "/echo") for _ in range(number)]
    gateway.signal(signal.SIGTERM)
    while any(one is not None and one.open for one in sockets):
        await asyncio.sleep(0.01)
    return totals
