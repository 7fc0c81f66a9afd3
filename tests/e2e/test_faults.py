"""A running gateway among peers that fail: nobody else suffers, nothing is left behind, all is recorded."""

from __future__ import annotations

import os
import random
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from tests.conftest import Serve, StartGateway
from tests.doubles.frames import (
    BINARY,
    PING,
    close,
    encode,
    open_websocket,
    read_frame,
    text,
    upgrade_request,
)
from tests.doubles.gateway import ROOT, Gateway
from tests.doubles.ports import free_port
from tests.doubles.processes import listening
from tests.doubles.raw import Wire
from tests.doubles.scripts import HEAD_END, echoes, echoes_frames, upgrades
from tests.doubles.waiting import until
from tests.doubles.websocket_peers import open_client
from tests.e2e.relay_site import RelaySite, relay_site, until_idle

SMALL = """
[gateway]
drain_timeout = 500ms

[listener raw]
bind = 127.0.0.1:{raw}
mode = tcp
upstream = app

[listener web]
bind = 127.0.0.1:{web}

[route app]
path = /
upstream = app
ping_interval = {ping_interval}
ping_timeout = 1500ms

[upstream app]
servers = {app} max_fails=0
connect_timeout = 20s
"""


def echo_both(wire: Wire) -> None:
    """Echo frames where an upgrade is asked for, and bytes where none is."""
    first = wire.exactly(1)
    wire.unread[:0] = first
    if first == b"G":
        upgrades(echoes_frames)(wire)
    else:
        echoes(wire)


@pytest.fixture
def small(start_gateway: StartGateway, serve: Serve) -> Gateway:
    """A gateway of its own, in front of an echo."""
    server = serve(echo_both, timeout=30.0)
    return start_gateway(SMALL, ping_interval="20s", app=server.address)


def echoed(gateway: Gateway, data: bytes = b"hello") -> bool:
    """Whether a new connection is served."""
    with suppress(OSError), gateway.connect("raw") as wire:
        wire.send(data)
        return wire.exactly(len(data)) == data
    return False


# Descriptors run out (row 26)


def test_without_descriptors_nothing_spins_and_it_recovers(small: Gateway) -> None:
    assert echoed(small)
    used, limits = small.fds(), resource.prlimit(small.pid, resource.RLIMIT_NOFILE)
    old = small.connect("raw")
    old.send(b"old")
    assert old.exactly(3) == b"old"
    resource.prlimit(small.pid, resource.RLIMIT_NOFILE, (used + 12, limits[1]))
    with ExitStack() as stack:
        for _ in range(40):
            stack.enter_context(small.connect("raw")).send(b"x")
        until(lambda: "no connection is accepted" in small.log, "a word about it")
        old.send(b"still")
        assert old.exactly(5) == b"still"
        until_idle(small, small.fds, "number of descriptors")
    resource.prlimit(small.pid, resource.RLIMIT_NOFILE, limits)
    until(lambda: echoed(small), "service again")
    old.send(b"again")
    assert old.exactly(5) == b"again"
    old.close()
    assert small.log.count("no connection is accepted") <= 2
    until(lambda: small.fds() <= used + 2, "descriptors given back")


# Servers that stop and die (rows 4 and 5)


@pytest.fixture
def echo_app() -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A WebSocket server in a process of its own, and its port."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "wsgate", "app", "echo", "--port", str(port)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        until(lambda: port in listening(process.pid), "the server")
        yield process, port
    finally:
        process.kill()
        process.wait()


def opened(gateway: Gateway, stack: ExitStack, count: int) -> list[Wire]:
    """So many WebSockets that have said and heard something."""
    wires = [stack.enter_context(gateway.connect("web")) for _ in range(count)]
    for wire in wires:
        open_websocket(wire)
        wire.send(text("x"))
        assert read_frame(wire).payload == b"x"
    return wires


def test_a_server_that_is_killed_is_a_1011_for_each_of_its_websockets(
    start_gateway: StartGateway, echo_app: tuple[subprocess.Popen[bytes], int]
) -> None:
    process, port = echo_app
    gateway = start_gateway(SMALL, ping_interval="20s", app=f"127.0.0.1:{port}")
    with ExitStack() as stack:
        wires = opened(gateway, stack, 20)
        process.kill()
        for wire in wires:
            assert read_frame(wire).close_code == 1011
            wire.send(close(1011))
            wire.expect_eof()
        refused = stack.enter_context(gateway.connect("web"))
        refused.send(upgrade_request())
        assert refused.until(b"\r\n").startswith(b"HTTP/1.1 502 ")
    records = gateway.records(21)
    assert [record["cause"] for record in records[:20]] == ["server_lost"] * 20
    assert len(records) == 21


def test_a_server_that_is_stopped_is_found_out_and_its_clients_are_told(
    start_gateway: StartGateway, echo_app: tuple[subprocess.Popen[bytes], int]
) -> None:
    process, port = echo_app
    gateway = start_gateway(SMALL, ping_interval="300ms", app=f"127.0.0.1:{port}")
    with ExitStack() as stack:
        # The library answers pings by itself.
        clients = [stack.enter_context(open_client(gateway.url("web"))) for _ in range(5)]
        for client in clients:
            client.send("before")
            assert client.recv() == "before"
        process.send_signal(signal.SIGSTOP)
        for client in clients:
            with pytest.raises(ConnectionClosed) as closed:
                client.recv(timeout=30)
            assert closed.value.rcvd is not None and closed.value.rcvd.code == 1011
    assert {record["cause"] for record in gateway.records(5)} == {"server_dead"}


def test_a_tunnel_to_a_server_that_is_stopped_is_held_and_then_idle(
    start_gateway: StartGateway, echo_app: tuple[subprocess.Popen[bytes], int]
) -> None:
    process, port = echo_app
    ini = SMALL.replace("mode = tcp", "mode = tcp\nidle_timeout = 2s")
    gateway = start_gateway(ini, ping_interval="20s", app=f"127.0.0.1:{port}")
    client = gateway.connect("raw")
    open_websocket(client)
    process.send_signal(signal.SIGSTOP)
    client.sock.settimeout(0.3)
    before = gateway.rss()
    with pytest.raises(OSError):
        while True:
            client.send(bytes(1 << 20))
    assert gateway.rss() - before < 8 << 20
    assert gateway.records(1)[0]["cause"] == "idle"
    client.close()


# Logs that cannot be written (rows 33 and 34)


def test_a_full_disk_for_logs_stops_no_traffic(start_gateway: StartGateway, serve: Serve) -> None:
    ini = SMALL.replace("[gateway]", "[gateway]\naccess_log = /dev/full")
    gateway = start_gateway(ini, ping_interval="20s", app=serve(echo_both, timeout=30.0).address)
    for _ in range(300):
        assert echoed(gateway)
    assert gateway.log.count("No space left on device") in {1, 2}


def test_a_log_reader_that_is_stuck_stops_no_traffic(start_gateway: StartGateway, serve: Serve, tmp_path: Path) -> None:
    path = tmp_path / "log.fifo"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    ini = SMALL.replace("[gateway]", f"[gateway]\naccess_log = {path}")
    gateway = start_gateway(ini, ping_interval="20s", app=serve(echo_both, timeout=30.0).address)
    before = 0
    for number in range(700):
        assert echoed(gateway)
        if number == 350:
            before = gateway.rss()
    assert gateway.rss() - before < 8 << 20
    os.close(reader)


# Time (row 35)


def test_deadlines_follow_a_clock_that_nobody_can_set(tmp_path: Path) -> None:
    """As the entry point of twistd leaves the reactor: a step of the wall clock moves no deadline."""
    ini = tmp_path / "wsgate.ini"
    ini.write_text(
        "[listener raw]\nbind = 127.0.0.1:0\nmode = tcp\nupstream = app\n[upstream app]\nservers = 127.0.0.1:9\n"
    )
    program = (
        "import time\n"
        "from wsgate.tap import Options, makeService\n"
        "options = Options()\n"
        f"options.parseOptions(['--config', {str(ini)!r}])\n"
        "makeService(options)\n"
        "from twisted.internet import reactor\n"
        "assert reactor.seconds is time.monotonic\n"
        "call = reactor.callLater(5, lambda: None)\n"
        "assert 4 < call.getTime() - time.monotonic() <= 5\n"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()


# All at once


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RelaySite]:
    with relay_site(tmp_path_factory.mktemp("faults")) as site:
        yield site


#: What a connection says first that is to be echoed in peace.
SPARED = "spared"


class Survivor:
    """A client whose stream is echoed while others fail; both ends must have the same bytes."""

    def __init__(self, site: RelaySite, listener: str, path: str, seed: int) -> None:
        self.wire = site.join(listener, path and f"{path}{SPARED}")
        self.path, self.listener = path, listener
        if not path:
            self.wire.send(SPARED.encode())
        self.heard, self.said = sha256(), sha256()
        self.rounds = 0
        self._chance = random.Random(seed)

    def talk(self) -> None:
        """Say something and hear it back."""
        data = self._chance.randbytes(self._chance.choice([1, 100, 3000, 60_000]))
        self.said.update(data)
        self.wire.send(encode(BINARY, data) if self.path.startswith("/frames") else data)
        if self.path.startswith("/frames"):
            frame = read_frame(self.wire)
            while frame.opcode == PING:
                frame = read_frame(self.wire)
            self.heard.update(frame.payload)
        else:
            self.heard.update(self.wire.exactly(len(data)))
        self.rounds += 1


def test_a_storm_of_faults_touches_no_other_connection(shared: RelaySite) -> None:
    site, app = shared, shared.app
    app.begin()
    app.runs(fails)
    sockets, fds = site.sockets(), site.gateway.fds()
    survivors = [
        Survivor(site, listener, path, seed)
        for seed, (listener, path) in enumerate(
            (("raw", ""), ("rawsecure", ""), ("web", "/frames/"), ("secure", "/frames/"))
        )
    ]
    done = threading.Event()
    failed: list[BaseException] = []

    def talk() -> None:
        try:
            while not done.is_set():
                for survivor in survivors:
                    survivor.talk()
        except BaseException as error:
            failed.append(error)

    talker = threading.Thread(target=talk)
    talker.start()
    made = storm(site)
    until(lambda: failed or all(survivor.rounds > 5 for survivor in survivors), "five rounds of the others")
    done.set()
    talker.join()
    assert not failed, failed
    for survivor in survivors:
        assert survivor.heard.digest() == survivor.said.digest()
        survivor.wire.close()
    until(lambda: site.sockets() <= sockets, "sockets given back")
    # Pipes of the pool stay; nothing else does.
    assert site.gateway.fds() - fds <= 2 * 64
    # Layer 4 has one record for each connection, HTTP for each request that came.
    for listener, count in made.items():
        wanted = count + sum(survivor.listener == listener for survivor in survivors)
        if listener.startswith("raw"):
            wait_recorded(site, listener, wanted)
        ports = [record["client_port"] for record in recorded(site, listener)]
        assert len(ports) == len(set(ports)) <= wanted
    assert {record["cause"] for record in site.gateway.records()} <= CAUSES


#: How a connection may end in the storm.
CAUSES = {
    "done",
    "client_closed",
    "client_lost",
    "server_closed",
    "server_lost",
    "client_protocol",
    "bad_request",
    "bad_answer",
    "connect_failed",
}


def recorded(site: RelaySite, listener: str) -> list[dict[str, Any]]:
    """The records of a listener, what is still to be written included."""
    site.gateway.signal(signal.SIGUSR1)
    return [record for record in site.gateway.records() if record["listener"] == listener]


def wait_recorded(site: RelaySite, listener: str, count: int) -> None:
    until(lambda: len(recorded(site, listener)) >= count, f"{count} records of {listener}")


def storm(site: RelaySite) -> dict[str, int]:
    """Connections that end badly, many at a time; how many were made to each listener."""
    ways = [("raw", ""), ("rawsecure", ""), ("web", "/frames/"), ("secure", "/frames/"), ("web", "/tunnel/")] * 30
    with ThreadPoolExecutor(16) as pool:
        made = [pool.submit(suffer, site, *way, random.Random(number)) for number, way in enumerate(ways)]
        for one in made:
            one.result()
    return {listener: sum(name == listener for name, _ in ways) for listener, _ in ways}


def suffer(site: RelaySite, listener: str, path: str, chance: random.Random) -> None:
    """Connect, say something right or wrong, and leave in some way, perhaps in the middle of it."""
    wire = site.connect(listener)
    wire.sock.settimeout(0.3)
    with suppress(OSError, AssertionError):
        if path:
            request = upgrade_request(path)
            wire.send(request[: chance.choice([len(request), len(request), len(request), 20])])
            wire.until(b"\r\n\r\n")
        for _ in range(chance.randrange(5)):
            data = chance.randbytes(chance.choice([1, 1000, 100_000]))
            frame = encode(BINARY, data) if path and chance.random() < 0.9 else data
            wire.send(frame[: chance.choice([len(frame), len(frame), 1 + len(frame) // 2])])
            if chance.random() < 0.7:
                wire.exactly(1)
    with suppress(OSError):
        chance.choice([wire.reset, wire.close, wire.half_close])()
    wire.close()


def fails(wire: Wire) -> None:
    """Echo what is to be spared; of the rest read a little, say a little, and fail."""
    first = wire.exactly(1)
    wire.unread[:0] = first
    if first != b"G":
        if first == SPARED[:1].encode() and wire.exactly(len(SPARED)) == SPARED.encode():
            echoes(wire)
            return
    else:
        head = wire.until(HEAD_END)
        wire.unread[:0] = head
        if SPARED.encode() in head:
            upgrades(echoes_frames)(wire)
            return
        if CHANCE.random() < 0.8:
            upgrades(lambda wire: None)(wire)
    frame = encode(BINARY, bytes(CHANCE.choice([0, 10, 5000])), mask=b"")
    with suppress(OSError):
        wire.send(frame[: CHANCE.choice([len(frame), len(frame) // 2])])
        wire.sock.settimeout(0.2)
        wire.some()
        CHANCE.choice([wire.reset, wire.close, wire.half_close])()


CHANCE = random.Random(11)
