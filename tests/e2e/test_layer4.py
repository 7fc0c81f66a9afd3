"""Layer 4 in a running gateway: bytes, ends, servers, and the addresses of both sides."""

from __future__ import annotations

import random
import ssl
import threading
import time
from collections.abc import Iterator
from hashlib import sha256

import pytest

from tests.doubles.faults import Fault, FaultProxy
from tests.doubles.frames import open_websocket, read_frame, text
from tests.doubles.http import answer, read_answer, request
from tests.doubles.raw import Wire, connect
from tests.doubles.raw_tls import CutOff, TlsWire, client_context, connect_tls
from tests.doubles.scripts import (
    echoes,
    echoes_frames,
    half_closes,
    in_turn,
    reads,
    reads_only,
    resets,
    sends,
    upgrades,
)
from tests.doubles.waiting import until
from tests.doubles.websocket_peers import open_client
from tests.e2e.relay_site import LAYER_4, RelaySite, relay_site
from tests.e2e.shared_site import Backend

BOTH = pytest.mark.parametrize(("listener", "path"), LAYER_4)
MiB = 1 << 20
#: Seconds: more than a busy machine takes, less than any deadline that could be at work instead.
AT_ONCE = 4.0


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RelaySite]:
    with relay_site(tmp_path_factory.mktemp("layer4")) as site:
        yield site


@pytest.fixture
def site(shared: RelaySite) -> Iterator[RelaySite]:
    for backend in (shared.app, shared.by_unix, shared.by_six):
        backend.begin()
    yield shared
    shared.end_test()
    for backend in (shared.app, shared.by_unix, shared.by_six):
        backend.finish()


@pytest.fixture
def app(site: RelaySite) -> Backend:
    return site.app


# Bytes


@BOTH
def test_bytes_pass_whole_both_ways_at_once(site: RelaySite, app: Backend, listener: str, path: str) -> None:
    down, up = random.Random(1).randbytes(3 * MiB), random.Random(2).randbytes(3 * MiB)
    digests: list[bytes] = []

    def talks(wire: Wire) -> None:
        sender = threading.Thread(target=wire.send, args=(down,))
        sender.start()
        digests.append(sha256(wire.exactly(len(up))).digest())
        sender.join()
        wire.send(b"seen")

    app.runs(talks)
    client = site.join(listener, path)
    sender = threading.Thread(target=client.send, args=(up,))
    if isinstance(client, TlsWire):
        client.send(up)  # the engine is for one thread
    else:
        sender.start()
    assert sha256(client.exactly(len(down))).digest() == sha256(down).digest()
    assert client.exactly(4) == b"seen"
    if sender.is_alive():
        sender.join()
    record = site.closed(client)
    assert digests == [sha256(up).digest()]
    assert (record["bytes_in"], record["bytes_out"]) == (len(up), len(down) + 4)


@BOTH
def test_bulk_and_little_messages_take_turns(site: RelaySite, app: Backend, listener: str, path: str) -> None:
    app.runs(echoes)
    client = site.join(listener, path)
    chance = random.Random(3)
    for size in (10, 500_000, 1, 65_536, 65_537, 300_000, 3):
        data = chance.randbytes(size)
        sender = threading.Thread(target=client.sock.sendall, args=(data,))
        if isinstance(client, TlsWire):
            for start in range(0, size, 50_000):
                piece = data[start : start + 50_000]
                client.send(piece)
                assert client.exactly(len(piece)) == piece
        else:
            sender.start()
            assert client.exactly(size) == data
            sender.join()


def test_single_bytes_both_ways_pass_and_cost_little(site: RelaySite, app: Backend) -> None:
    app.runs(echoes)
    slicer = Fault(slice=1)
    with FaultProxy(site.gateway.where("raw"), up=slicer, down=slicer) as proxy, connect(proxy.where) as client:
        before = site.gateway.cpu()
        data = random.Random(4).randbytes(3000)
        client.send(data)
        assert client.exactly(len(data)) == data
        assert site.gateway.cpu() - before < 2


@BOTH
def test_the_server_may_speak_first(site: RelaySite, app: Backend, listener: str, path: str) -> None:
    app.runs(in_turn(sends(b"220 ready\r\n"), echoes))
    client = site.join(listener, path)
    assert client.until(b"\r\n") == b"220 ready\r\n"
    client.send(b"EHLO")
    assert client.exactly(4) == b"EHLO"


def test_what_is_said_does_not_matter_nor_the_path(site: RelaySite, app: Backend) -> None:
    """The two set-ups of the talk: Layer 4 reaches the one application by every path."""
    app.runs(upgrades(echoes_frames))
    for path in ("/", "/blahblah?x=1"):
        with open_client(site.gateway.url("raw", path)) as client:
            client.send("hello")
            assert client.recv() == "hello"
    wire = site.connect("raw")
    open_websocket(wire, "/any")
    wire.send(text("hi"))
    assert read_frame(wire).payload == b"hi"


# Half-close


@BOTH
def test_the_clients_end_is_carried_over_and_the_answer_comes_back(
    site: RelaySite, app: Backend, listener: str, path: str
) -> None:
    answered = random.Random(5).randbytes(2 * MiB)

    def counts(wire: Wire) -> None:
        assert wire.rest() == b"question"
        wire.send(answered)

    app.runs(counts)
    client = site.join(listener, path)
    client.send(b"question")
    client.half_close()
    assert client.rest() == answered
    record = site.record(client)
    assert (record["cause"], record["closed_by"]) == ("client_closed", "client")
    app.visit().wait_over()


@BOTH
def test_the_servers_end_is_carried_over_and_the_client_goes_on(
    site: RelaySite, app: Backend, listener: str, path: str
) -> None:
    heard: list[bytes] = []

    def talks(wire: Wire) -> None:
        wire.send(b"all I have to say")
        wire.half_close()
        heard.append(wire.rest())

    app.runs(talks)
    client = site.join(listener, path)
    assert client.rest() == b"all I have to say"
    client.send(b"and I go on")
    client.half_close()
    record = site.record(client)
    app.visit().wait_over()
    assert heard == [b"and I go on"]
    assert (record["cause"], record["closed_by"]) == ("server_closed", "server")


def test_without_half_close_an_end_ends_both(site: RelaySite, app: Backend) -> None:
    app.runs(reads_only)
    client = site.connect("rawshut")
    client.send(b"x")
    client.half_close()
    client.expect_eof()
    app.visit().wait_over()
    assert site.record(client)["cause"] == "client_closed"


def test_tls_1_2_cannot_end_one_way(site: RelaySite, app: Backend) -> None:
    app.runs(reads_only)
    context = client_context(version=ssl.TLSVersion.TLSv1_2)
    with connect_tls(site.gateway.where("rawsecure"), context) as client:
        client.send(b"x")
        client.half_close()
        client.expect_eof()
        app.visit().wait_over()


def test_an_end_without_close_notify_is_a_loss(site: RelaySite, app: Backend) -> None:
    ends: list[str] = []

    def listens(wire: Wire) -> None:
        try:
            wire.rest()
            ends.append("in good order")
        except ConnectionResetError:
            ends.append("reset")

    app.runs(listens)
    client = site.connect("rawsecure", server_name="localhost")
    assert isinstance(client, TlsWire)
    client.send(b"half a req")
    client.cut()
    app.visit().wait_over()
    assert ends == ["reset"]
    assert site.record(client)["cause"] == "client_lost"


# Losses


@BOTH
def test_a_server_that_resets_is_a_reset_for_its_client(
    site: RelaySite, app: Backend, listener: str, path: str
) -> None:
    app.runs(in_turn(sends(b"half an ans"), reads(2), resets))
    client = site.join(listener, path)
    assert client.exactly(11) == b"half an ans"
    client.send(b"go")
    with pytest.raises((ConnectionResetError, CutOff)):
        client.rest()
    assert site.record(client)["cause"] == "server_lost"


@BOTH
def test_a_client_that_resets_is_a_reset_for_its_server_at_once(
    site: RelaySite, app: Backend, listener: str, path: str
) -> None:
    noticed: list[float] = []

    def listens(wire: Wire) -> None:
        with pytest.raises(ConnectionResetError):
            wire.rest()
        noticed.append(time.monotonic())

    app.runs(listens)
    client = site.join(listener, path)
    client.send(b"x")
    until(lambda: app.taken and app.taken[0].wire.total, "a byte at the server")
    port, began = client.sock.getsockname()[1], time.monotonic()
    client.reset()
    app.visit().wait_over()
    assert noticed and noticed[0] - began < AT_ONCE
    assert site.records_of(port)[0]["cause"] == "client_lost"


def test_nothing_moves_for_too_long(site: RelaySite, app: Backend) -> None:
    app.runs(echoes)
    client = site.connect("rawidle")
    for _ in range(4):
        client.send(b"x")
        assert client.exactly(1) == b"x"
        client.expect_silence(0.5)
    client.expect_eof()
    record = site.record(client)
    assert (record["cause"], record["closed_by"]) == ("idle", "gateway") and record["duration"] > 2


def test_two_who_do_not_read_are_idle_and_cost_nothing(site: RelaySite, app: Backend) -> None:
    def floods(wire: Wire) -> None:
        wire.sock.settimeout(0.2)
        with pytest.raises(TimeoutError):
            wire.send(bytes(64 * MiB))
        wire.hold()

    app.runs(floods)
    client = site.connect("rawidle", receive_buffer=4096)
    client.sock.settimeout(0.2)
    with pytest.raises(TimeoutError):
        client.send(bytes(64 * MiB))
    before = site.gateway.cpu()
    record = site.record(client)
    assert record["cause"] == "idle" and site.gateway.cpu() - before < 0.6
    app.visit().wire.released.set()


# Servers


def test_each_client_has_a_connection_of_its_own_to_the_server(site: RelaySite, app: Backend) -> None:
    """Layer 4 shares nothing: what one client left unread is never another's."""

    def leaves_bytes(wire: Wire) -> None:
        name = wire.exactly(1)
        wire.send(name * 200_000)
        wire.rest()

    app.runs(leaves_bytes)
    clients = {name: site.connect("raw") for name in b"abcdef"}
    for name, client in clients.items():
        client.send(bytes([name]))
    for name, client in list(clients.items())[::2]:
        assert client.exactly(1000) == bytes([name]) * 1000
        client.reset()
        del clients[name]
    late = site.connect("raw")
    late.send(b"z")
    for name, client in (*clients.items(), (ord("z"), late)):
        assert client.exactly(200_000) == bytes([name]) * 200_000
        client.half_close()
        client.expect_eof()
    assert len(app.taken) == 7
    assert len({visit.peer for visit in app.taken}) == 7


def test_a_server_that_refuses_is_passed_over(site: RelaySite, app: Backend) -> None:
    app.runs(echoes)
    client = site.connect("rawpair")
    client.send(b"hello")
    assert client.exactly(5) == b"hello"
    record = site.closed(client)
    assert (record["tries"], record["server"]) == (2, app.address)


def test_without_a_server_the_client_is_closed_at_once(site: RelaySite) -> None:
    began = time.monotonic()
    client = site.connect("rawnowhere")
    client.expect_gone()
    assert time.monotonic() - began < AT_ONCE
    record = site.record(client)
    assert (record["cause"], record["closed_by"], record["tries"]) == ("connect_failed", "server", 1)


def test_a_server_that_answers_no_syn_is_given_up_in_time(site: RelaySite) -> None:
    began = time.monotonic()
    client = site.connect("rawdeaf")
    client.expect_gone()
    assert 0.6 <= time.monotonic() - began < 12
    assert site.record(client)["cause"] == "connect_timeout"


def test_a_client_that_leaves_while_a_server_is_dialled_leaves_nothing(site: RelaySite) -> None:
    before = site.sockets()
    client = site.connect("rawdialled")
    client.send(b"never heard")
    until(lambda: site.sockets() > before + 1, "a dial")
    port = client.sock.getsockname()[1]
    client.reset()
    record = site.records_of(port)[0]
    assert (record["cause"], record["detail"]) == ("client_lost", "while a server was dialled")
    site.until_quiet(before)


def test_what_the_client_said_while_a_server_was_dialled_arrives(site: RelaySite, app: Backend) -> None:
    app.runs(reads_only)
    client = site.connect("rawpair")
    client.send(b"said early")
    client.half_close()
    client.expect_eof()
    assert app.visit().wait_over().wire.total == 10


# Addresses


def test_ipv6_on_the_clients_side(site: RelaySite, app: Backend) -> None:
    app.runs(echoes)
    with connect(("::1", site.gateway.ports["six"])) as client:
        client.send(b"six")
        assert client.exactly(3) == b"six"
        port = client.sock.getsockname()[1]
    assert site.records_of(port)[0]["client"] == "::1"


@pytest.mark.parametrize("listener", ["rawsix", "rawmapped", "rawunix"])
def test_every_kind_of_address_on_the_servers_side(site: RelaySite, listener: str) -> None:
    for backend in (site.app, site.by_unix, site.by_six):
        backend.runs(echoes)
    client = site.connect(listener)
    data = random.Random(6).randbytes(MiB)
    sender = threading.Thread(target=client.send, args=(data,))
    sender.start()
    assert client.exactly(len(data)) == data
    sender.join()
    client.half_close()
    client.expect_eof()
    expected = {"rawsix": site.by_six.address, "rawunix": site.by_unix.address}
    mapped = f"[::ffff:7f00:1]:{site.app.port}"
    assert site.record(client)["server"] == expected.get(listener, mapped)


def test_a_unix_socket_on_both_sides(site: RelaySite) -> None:
    site.by_unix.runs(upgrades(echoes_frames))
    client = site.unix("web")
    open_websocket(client, "/unix/")
    client.send(text("by unix"))
    assert read_frame(client).payload == b"by unix"
    site.app.runs(half_closes)
    raw = site.unix("raw")
    raw.half_close()
    raw.expect_eof()
    records = until(lambda: [record for record in site.gateway.records() if record["client"] == "unix"])
    assert "client_port" not in records[0]


def test_requests_pass_a_tcp_listener_unread(site: RelaySite, app: Backend) -> None:
    app.answers(answer(200, b"from the server"))
    client = site.connect("raw")
    client.send(request("GET", "/", host="whatever"))
    assert read_answer(client, "GET").body == b"from the server"
