"""Networks that are slow: nothing is taken for dead, no byte is lost, and who is near does not wait for who is far."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from hashlib import sha256

import pytest

from tests.conftest import Serve, StartGateway
from tests.doubles import frames
from tests.doubles.faults import Fault, FaultProxy
from tests.doubles.gateway import Gateway
from tests.doubles.peers import ScriptedServer
from tests.doubles.raw import Wire
from tests.doubles.scripts import echoes_frames, upgrades
from tests.doubles.steering import wait_ready
from tests.doubles.waiting import until

INI = """
[listener web]
bind = 127.0.0.1:{web}
[route far]
path = /far
upstream = far
ping_interval = 500ms
ping_timeout = 5s
[route near]
path = /near
upstream = near
[upstream far]
servers = {far}
probe = websocket /far interval=200ms timeout=5s rise=1 fall=1
[upstream near]
servers = {near}
"""

#: 200 ms for each write and way.
LATENCY = Fault(delay=0.2)

#: 1 Mbit/s: pieces of 12,500 bytes, ten a second.
NARROW = Fault(slice=12_500, delay=0.1)


@pytest.fixture
def server(serve: Serve) -> ScriptedServer:
    return serve(upgrades(echoes_frames), timeout=60.0)


@pytest.fixture
def far(server: ScriptedServer) -> Iterator[FaultProxy]:
    with FaultProxy(server.where) as proxy:
        yield proxy


@pytest.fixture
def gateway(start_gateway: StartGateway, server: ScriptedServer, far: FaultProxy) -> Gateway:
    started = start_gateway(INI, far=far.address, near=server.address)
    wait_ready(started)
    return started


def echoed(wire: Wire, data: bytes) -> bytes:
    """What comes back of a message, without the gateway's pings, which are answered."""
    wire.send(frames.encode(frames.BINARY, data))
    while (frame := frames.read_frame(wire)).opcode == frames.PING:
        wire.send(frames.encode(frames.PONG, frame.payload))
    return frame.payload


def test_latency_makes_no_server_down_and_loses_nothing(
    gateway: Gateway, server: ScriptedServer, far: FaultProxy
) -> None:
    """Row 19, without loss and reordering, which TCP hides from both."""
    far.up = far.down = LATENCY
    chance, said, heard = random.Random(19), sha256(), sha256()
    with gateway.connect("web", timeout=30.0) as wire:
        frames.open_websocket(wire, "/far")
        for size in (1, 50_000):
            data = chance.randbytes(size)
            said.update(data)
            heard.update(echoed(wire, data))
        seen = len(server.visits)
        until(lambda: len(server.visits) >= seen + 2, "probes through the slow way", timeout=30.0)
        said.update(b"still here")
        heard.update(echoed(wire, b"still here"))
    assert heard.digest() == said.digest()
    assert "is down" not in gateway.log


def test_who_is_near_does_not_wait_for_a_narrow_way(gateway: Gateway, far: FaultProxy) -> None:
    """Row 20."""
    far.up = far.down = NARROW
    data, back = random.Random(20).randbytes(100_000), []
    with gateway.connect("web", timeout=60.0) as slow, gateway.connect("web") as quick:
        frames.open_websocket(slow, "/far")
        frames.open_websocket(quick, "/near")
        before, rounds = gateway.rss(), 0
        narrow = threading.Thread(target=lambda: back.append(echoed(slow, data)))
        narrow.start()
        while narrow.is_alive():
            assert echoed(quick, b"near") == b"near"
            rounds += 1
        narrow.join()
    assert back == [data]
    # Each way takes the far one eight tenths of a second; on the busiest machine a near one is at least as quick.
    assert rounds > 2
    assert gateway.rss() - before < 8 << 20
