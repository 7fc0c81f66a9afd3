"""WebSockets through the ``frames`` relay of a running gateway: ends, faults, limits and keep-alive on real sockets."""

from __future__ import annotations

import contextlib
import random
import ssl
import threading
import time
from collections.abc import Iterator
from hashlib import sha256

import pytest
from websockets.exceptions import ConnectionClosed

from tests.doubles.faults import Fault, FaultProxy
from tests.doubles.frames import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    Frame,
    close,
    encode,
    open_websocket,
    read_frame,
    text,
    upgrade_request,
)
from tests.doubles.peers import Script
from tests.doubles.raw import EndOfStream, Wire, connect
from tests.doubles.raw_tls import client_context, connect_tls
from tests.doubles.scripts import echoes_frames, holds, in_turn, reads_only, resets, sends, upgrades
from tests.doubles.waiting import until
from tests.doubles.websocket_peers import WebSocketServer, open_client
from tests.e2e.relay_site import RelaySite, relay_site
from tests.e2e.shared_site import Backend

TLS = pytest.mark.parametrize("listener", ["web", "secure"])


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RelaySite]:
    with relay_site(tmp_path_factory.mktemp("frames")) as site:
        yield site


@pytest.fixture
def site(shared: RelaySite) -> Iterator[RelaySite]:
    shared.app.begin()
    yield shared
    shared.end_test()
    shared.app.finish()


@pytest.fixture
def app(site: RelaySite) -> Backend:
    return site.app


def hears(heard: list[Frame], then: Script | None = None) -> Script:
    """Keep every frame until the stream ends or a Close comes, which is answered; then ``then``."""

    def run(wire: Wire) -> None:
        while not heard or heard[-1].opcode != CLOSE:
            heard.append(read_frame(wire))
        wire.send(encode(CLOSE, heard[-1].payload, mask=b""))
        if then is not None:
            then(wire)

    return upgrades(run)


def read_until_close(wire: Wire) -> list[Frame]:
    """Every frame up to and with a Close."""
    frames = [read_frame(wire)]
    while frames[-1].opcode != CLOSE:
        frames.append(read_frame(wire))
    return frames


# Bytes


@TLS
@pytest.mark.parametrize("path", ["/frames/", "/tunnel/"])
def test_frames_arrive_as_they_were_sent(site: RelaySite, app: Backend, listener: str, path: str) -> None:
    """Not only the same messages: the same bytes, masks and all."""
    chance = random.Random(1)
    stream = b"".join(
        encode(
            TEXT if number % 3 else BINARY,
            bytes(chance.choices(range(32, 127), k=chance.choice([0, 5, 125, 126, 70_000]))),
            mask=chance.randbytes(4),
        )
        for number in range(40)
    )
    digests: list[bytes] = []

    def takes(wire: Wire) -> None:
        digests.append(sha256(wire.exactly(len(stream))).digest())
        wire.send(close(1000, "seen", mask=b""))
        reads_only(wire)

    app.runs(upgrades(takes))
    client = site.open(path, listener)
    client.send(stream)
    assert read_frame(client).close_reason == "seen"
    assert digests == [sha256(stream).digest()]


def test_single_bytes_both_ways_pass(site: RelaySite, app: Backend) -> None:
    """Row 8: whatever the network does to packets."""
    app.runs(upgrades(echoes_frames))
    slicer = Fault(slice=1)
    with FaultProxy(site.gateway.where("web"), up=slicer, down=slicer) as proxy, connect(proxy.where) as client:
        open_websocket(client, "/frames/")
        for size in (0, 1, 125, 126, 900):
            client.send(encode(BINARY, bytes(size)))
            assert read_frame(client).payload == bytes(size)
        client.send(close(1000))
        assert read_frame(client).opcode == CLOSE
        client.expect_eof()


def test_frames_right_behind_both_handshakes_arrive(site: RelaySite, app: Backend) -> None:
    app.runs(upgrades(echoes_frames, behind=encode(TEXT, b"prompt", mask=b"")))
    client = site.connect("web")
    client.send(upgrade_request("/frames/") + text("early"))
    assert client.until(b"\r\n\r\n").startswith(b"HTTP/1.1 101 ")
    assert [read_frame(client).payload for _ in range(2)] == [b"prompt", b"early"]


# Ends


@TLS
def test_a_server_killed_between_frames_is_told_by_a_close(site: RelaySite, app: Backend, listener: str) -> None:
    """Row 5."""
    app.runs(upgrades(in_turn(sends(encode(TEXT, b"whole", mask=b"")), lambda wire: wire.exactly(7), resets)))
    client = site.open("/frames/", listener)
    assert read_frame(client).payload == b"whole"
    client.send(text("x"))
    frame = read_frame(client)
    assert (frame.opcode, frame.close_code) == (CLOSE, 1011)
    client.send(close(1011))
    client.expect_eof()
    record = site.record(client)
    assert (record["cause"], record["closed_by"]) == ("server_lost", "server")
    assert "close_code" not in record


@TLS
@pytest.mark.parametrize("sent", [3, 7, 9])
def test_a_server_reset_inside_a_frame_aborts_the_client(
    site: RelaySite, app: Backend, listener: str, sent: int
) -> None:
    """Row 6: a Close inside an unfinished frame would be data."""
    frame = encode(BINARY, b"01234567", mask=b"")
    app.runs(upgrades(in_turn(sends(frame[:sent]), lambda wire: wire.exactly(7), resets)))
    client = site.open("/frames/", listener)
    assert client.exactly(sent) == frame[:sent]
    client.send(text("x"))
    with pytest.raises(ConnectionError):
        assert client.rest() == b""
    assert site.record(client)["cause"] == "server_lost"


@TLS
def test_a_client_reset_inside_a_frame_aborts_the_server_at_once(site: RelaySite, app: Backend, listener: str) -> None:
    """Row 18."""
    gone: list[tuple[float, bytes]] = []

    def listens(wire: Wire) -> None:
        with pytest.raises(ConnectionResetError):
            wire.rest()
        gone.append((time.monotonic(), bytes(wire.unread)))

    app.runs(upgrades(listens))
    client = site.open("/frames/", listener)
    frame = encode(BINARY, b"01234567")
    client.send(frame[:9])
    until(lambda: app.visit().wire.unread, "the first bytes at the server")
    port, began = client.sock.getsockname()[1], time.monotonic()
    client.reset()
    app.visit().wait_over()
    assert gone[0][0] - began < 4 and gone[0][1] == frame[:9]
    record = site.records_of(port)[0]
    assert (record["cause"], record["closed_by"]) == ("client_lost", "client")


def test_a_client_that_leaves_between_frames_is_told_to_the_server(site: RelaySite, app: Backend) -> None:
    heard: list[Frame] = []
    app.runs(hears(heard))
    client = site.open("/frames/")
    client.send(text("whole"))
    client.half_close()
    client.expect_eof()
    app.visit().wait_over()
    assert [frame.opcode for frame in heard] == [TEXT, CLOSE]
    assert (heard[-1].close_code, heard[-1].close_reason) == (1001, "the client's connection was lost")
    assert all(frame.masked for frame in heard)


def test_a_client_that_says_close_and_ends_at_once_gets_its_answer(site: RelaySite, app: Backend) -> None:
    heard: list[Frame] = []
    app.runs(hears(heard))
    client = site.open("/frames/")
    client.send(close(4321, "bye"))
    client.half_close()
    assert read_frame(client).close_code == 4321
    client.expect_eof()
    assert site.record(client)["close_code"] == 4321


def test_nothing_follows_a_close_whatever_is_sent(site: RelaySite, app: Backend) -> None:
    heard: list[Frame] = []
    rest: list[bytes] = []
    app.runs(hears(heard, lambda wire: rest.append(wire.rest())))
    client = site.open("/parting/")
    client.send(text("last") + close(1000) + text("never") + b"\xff\xff\xff")
    assert [frame.opcode for frame in read_until_close(client)] == [CLOSE]
    app.visit().wait_over()
    assert [frame.opcode for frame in heard] == [TEXT, CLOSE] and rest == [b""]


@pytest.mark.parametrize("code", [1000, 1003, 1012, 1013, 1014, 3000, 4999, None])
def test_close_codes_pass_through_a_closing_handshake_of_raw_frames(
    site: RelaySite, app: Backend, code: int | None
) -> None:
    heard: list[Frame] = []
    app.runs(hears(heard))
    client = site.open("/frames/")
    client.send(close(code, "why" if code else ""))
    answered = read_frame(client)
    client.expect_eof()  # the server's end closes first: towards the client that is the gateway
    assert heard[-1].payload == answered.payload == (b"" if code is None else code.to_bytes(2, "big") + b"why")
    record = site.record(client)
    assert (record["close_code"], record["cause"]) == (code or 1005, "client_closed")


@pytest.mark.parametrize("payload", [b"\x03", b"\x03\xed", b"\x03\xec", b"\x03\xf7", b"\x07\xcf", b"\x13\x88"])
def test_invalid_close_codes_reach_nobody(site: RelaySite, app: Backend, payload: bytes) -> None:
    heard: list[Frame] = []
    app.runs(hears(heard))
    client = site.open("/frames/")
    client.send(encode(CLOSE, payload))
    assert read_frame(client).close_code == 1002
    app.visit().wait_over()
    assert heard[-1].close_code == 1001


def test_a_server_that_never_answers_a_close_does_not_keep_the_client(site: RelaySite, app: Backend) -> None:
    app.runs(upgrades(reads_only))
    client = site.open("/parting/")
    began = time.monotonic()
    client.send(close(4000, "mine"))
    frame = read_frame(client)
    assert (frame.close_code, frame.close_reason) == (4000, "mine") and 0.7 <= time.monotonic() - began < 14
    client.expect_eof()


# Faults and limits


@pytest.mark.parametrize(
    ("data", "code", "cause", "told"),
    [
        (encode(TEXT, b"x", mask=b""), 1002, "client_protocol", 1001),
        (encode(TEXT, b"x", rsv=4), 1002, "client_protocol", 1001),
        (encode(3), 1002, "client_protocol", 1001),
        (encode(CONTINUATION, b"x"), 1002, "client_protocol", 1001),
        (encode(TEXT, b"x", fin=False) + encode(TEXT, b"y"), 1002, "client_protocol", 1001),
        (encode(PING, b"x", fin=False), 1002, "client_protocol", 1001),
        (encode(PING, bytes(126)), 1002, "client_protocol", 1001),
        (b"\x82\xff\x80" + bytes(11), 1002, "client_protocol", 1001),
        (b"\x82\xfe\x00\x7d" + bytes(4), 1002, "client_protocol", 1001),
        (encode(TEXT, b"\xff"), 1007, "client_payload", 1001),
        (encode(BINARY, bytes(1001)), 1009, "client_too_big", 1001),
        (encode(BINARY, b"", length=1 << 40), 1009, "client_too_big", 1001),
        (encode(TEXT, fin=False) + encode(CONTINUATION, fin=False) * 200, 1008, "client_limit", 1001),
    ],
)
def test_a_client_that_breaks_a_rule_is_told_which(
    site: RelaySite, app: Backend, data: bytes, code: int, cause: str, told: int
) -> None:
    heard: list[Frame] = []
    app.runs(hears(heard))
    client = site.open("/strict/")
    client.send(text("sound") + data)
    assert read_frame(client).close_code == code
    client.half_close()
    client.expect_eof()
    app.visit().wait_over()
    assert heard[0].payload == b"sound" and heard[-1].close_code == told
    record = site.record(client)
    assert (record["cause"], record["closed_by"], record["close_code"]) == (cause, "client", code)
    assert record["detail"]


@pytest.mark.parametrize(
    ("data", "code", "cause"),
    [
        (encode(TEXT, b"masked"), 1002, "server_protocol"),
        (encode(BINARY, bytes(1001), mask=b""), 1009, "server_too_big"),
        (encode(TEXT, b"\xc3", mask=b""), 1007, "server_payload"),
    ],
)
def test_a_server_that_breaks_a_rule_is_told_which(
    site: RelaySite, app: Backend, data: bytes, code: int, cause: str
) -> None:
    heard: list[Frame] = []
    app.runs(in_turn(upgrades(sends(data)), lambda wire: heard.append(read_frame(wire)), reads_only))
    client = site.open("/strict/")
    assert read_frame(client).close_code == 1011
    client.send(close(1011))
    client.expect_eof()
    app.visit().wait_over()
    assert heard[0].close_code == code and heard[0].masked
    record = site.record(client)
    assert (record["cause"], record["closed_by"]) == (cause, "server")


def test_the_library_is_told_that_its_message_is_too_big(site: RelaySite, app: Backend) -> None:
    app.runs(upgrades(echoes_frames))
    with open_client(site.gateway.url("web", "/strict/")) as client:
        client.send("x" * 1000)
        assert client.recv() == "x" * 1000
        client.send("x" * 1001)
        with pytest.raises(ConnectionClosed) as closed:
            client.recv()
        assert closed.value.rcvd is not None and closed.value.rcvd.code == 1009


FLOODS = {
    "empty fragments": encode(CONTINUATION, fin=False),
    "pings": encode(PING),
    "pongs": encode(PONG),
}


@pytest.mark.parametrize("what", FLOODS)
def test_a_million_frames_that_carry_nothing_are_cut_off_quickly(site: RelaySite, app: Backend, what: str) -> None:
    """Rows 12 and 13, with what is the default: whoever floods reads its Close all the same, and nothing is kept.

    They are cut off by their number, before a million has been sent: no clock is asked.
    """
    app.runs(upgrades(reads_frames))
    client = site.open("/patient/")
    before = site.gateway.rss()
    many = FLOODS[what] * 1000
    port = client.sock.getsockname()[1]

    def floods() -> None:
        client.send(encode(TEXT, fin=False))
        with contextlib.suppress(OSError):
            for _ in range(1000):
                client.send(many)

    sender = threading.Thread(target=floods)
    sender.start()
    frame = read_frame(client)
    while frame.opcode == PONG:
        frame = read_frame(client)
    assert (frame.close_code, frame.close_reason) == (1008, "too many control frames and empty fragments")
    sender.join()
    client.reset()
    record = site.records_of(port)[0]
    assert site.gateway.rss() - before < 4 << 20
    assert (record["cause"], record["closed_by"]) == ("client_limit", "client")
    assert record["detail"] == "too many control frames and empty fragments"
    assert 5000 <= record["frames_in"] < 16_384, "the budget is used up before any other limit"


def reads_frames(wire: Wire) -> None:
    """Answers pings and the Close, as fast as it can."""
    with contextlib.suppress(EndOfStream, OSError):
        while (frame := read_frame(wire)).opcode != CLOSE:
            if frame.opcode == PING:
                wire.send(encode(PONG, frame.payload, mask=b""))
        wire.send(encode(CLOSE, frame.payload, mask=b""))


def test_thousands_of_pings_among_messages_are_answered(site: RelaySite, app: Backend) -> None:
    """More of them than the budget holds: messages fill it again, and answers are free."""
    app.runs(upgrades(reads_frames))
    client = site.open("/patient/")
    both = text("x") + encode(PING, b"y")
    for _ in range(20):
        client.send(both * 300)
        for _ in range(300):
            assert read_frame(client) == Frame(PONG, b"y")
    client.send(close(1000))
    assert read_frame(client).close_code == 1000
    client.expect_eof()
    record = site.record(client)
    assert (record["cause"], record["frames_in"]) == ("client_closed", 12_001)


def test_under_tls_1_2_who_breaks_a_rule_is_closed_without_waiting_for_it(site: RelaySite, app: Backend) -> None:
    """No direction can end alone there, and a client that broke a rule is not heard: silence ends it, long before the
    minute that this route has for a closing handshake."""
    app.runs(upgrades(reads_frames))
    version = ssl.TLSVersion.TLSv1_2
    client = connect_tls(site.gateway.where("secure"), client_context(str(site.ca_path), version=version))
    with client:
        open_websocket(client, "/patient/")
        client.send(text("sound") + encode(3))
        assert read_frame(client).close_code == 1002
        client.send(close(1002))
        client.expect_eof()
        port = client.sock.getsockname()[1]
    assert site.records_of(port)[0]["cause"] == "client_protocol"


def test_a_ping_flood_of_one_who_does_not_read_is_cut_off(site: RelaySite, app: Backend) -> None:
    """Row 12: nothing piles up for a peer that takes nothing; it is closed when it is stuck."""
    app.runs(upgrades(echoes_fast))
    before = site.gateway.rss()
    client = site.open("/slow/", receive_buffer=4096)
    many = encode(PING, bytes(125)) * 500
    client.sock.settimeout(30)
    with pytest.raises(OSError):
        for _ in range(100_000):
            client.send(many)
    assert site.gateway.rss() - before < 8 << 20
    record = site.record(client)
    assert record["cause"] in {"client_stuck", "server_stuck"}


def echoes_fast(wire: Wire) -> None:
    """Answers every byte with one, as frames of pongs would."""
    piece = encode(PONG, bytes(125), mask=b"")
    while data := wire.some():
        wire.send(piece * (len(data) // 131))


def test_a_client_above_its_rate_is_closed(site: RelaySite, app: Backend) -> None:
    app.runs(upgrades(reads_only))
    client = site.open("/quick/")
    client.send(text("x" * 100) * 50)
    assert read_frame(client).close_code == 1008
    client.half_close()
    record = site.record(client)
    assert record["cause"] == "client_limit" and record["messages_in"] < 16


def test_a_client_above_its_rate_waits(site: RelaySite, app: Backend) -> None:
    app.runs(upgrades(echoes_frames))
    client = site.open("/waiting/")
    began = time.monotonic()
    client.send(text("x" * 300) * 50)
    for _ in range(50):
        assert read_frame(client).payload == b"x" * 300
    assert 0.7 < time.monotonic() - began < 16  # a bucket of ten, which one message may overdraw, and 50 each second


# Keep-alive


def test_both_ends_are_pinged_and_never_hear_of_it(site: RelaySite, app: Backend) -> None:
    """Clients and servers that answer pings on their own see a quiet connection."""
    with WebSocketServer() as server:
        app.runs(_hands_over_to(server.port))
        with open_client(site.gateway.url("web", "/alive/")) as client:
            began = time.monotonic()
            until(lambda: time.monotonic() - began > 2)
            client.send("still here")
            assert client.recv() == "still here"
            port = client.local_address[1]
    record = site.records_of(port)[0]
    assert record["cause"] == "client_closed"
    assert 0 < record["rtt_client"] < 2 and 0 < record["rtt_server"] < 2


def _hands_over_to(port: int) -> Script:
    """Pass everything to another server and back."""

    def run(wire: Wire) -> None:
        with connect(("127.0.0.1", port)) as other:
            back = threading.Thread(target=_copy, args=(other, wire))
            back.start()
            _copy(wire, other)
            back.join()

    return run


def _copy(source: Wire, sink: Wire) -> None:
    try:
        while data := source.some():
            sink.send(data)
        sink.half_close()
    except OSError:
        return


@pytest.mark.parametrize("listener", ["web", "secure"])
def test_a_client_whose_cable_was_pulled_is_noticed(site: RelaySite, app: Backend, listener: str) -> None:
    """Row 15: it says nothing and takes what the kernel takes."""
    heard: list[Frame] = []

    def talks(wire: Wire) -> None:
        wire.sock.settimeout(0.05)
        while not heard or heard[-1].opcode != CLOSE:
            wire.send(encode(TEXT, b"tick", mask=b""))
            try:
                heard.append(read_frame(wire))
            except TimeoutError:
                continue

    app.runs(upgrades(talks))
    client = site.open("/alive/", listener)
    app.visit().wait_over()
    assert heard[-1].close_code == 1001
    record = site.record(client)
    assert (record["cause"], record["closed_by"]) == ("client_dead", "client")


def test_a_server_that_stalls_inside_a_frame_is_noticed_and_nothing_put_into_it(site: RelaySite, app: Backend) -> None:
    """Row 7."""
    begun = encode(BINARY, b"12", mask=b"", length=50)
    app.runs(upgrades(in_turn(sends(begun), holds)))
    client = site.open("/alive/")
    client.sock.settimeout(0.05)
    got, began = b"", time.monotonic()
    with pytest.raises(ConnectionResetError):
        while time.monotonic() - began < 30:
            client.send(text("alive"))
            try:
                got += client.some()
            except TimeoutError:
                continue
    assert got == begun
    assert site.record(client)["cause"] == "server_dead"
    app.visit().wire.released.set()


def test_a_server_with_a_long_frame_is_not_taken_for_dead(site: RelaySite, app: Backend) -> None:
    frame = encode(BINARY, bytes(2200), mask=b"")

    def drips(wire: Wire) -> None:
        for start in range(0, len(frame), 50):
            wire.send(frame[start : start + 50])
            wire.released.wait(0.05)
        reads_only(wire)

    app.runs(upgrades(drips))
    client = site.open("/alive/")
    client.sock.settimeout(0.1)
    got, pings = bytearray(), 0
    while len(got) < len(frame):
        client.send(text("alive"))
        try:
            got += client.some()
        except TimeoutError:
            continue
    assert bytes(got[: len(frame)]) == frame
    client.sock.settimeout(30)
    client.unread[:0] = got[len(frame) :]
    while pings < 1:
        pings += read_frame(client).opcode == PING


def test_a_client_with_a_long_frame_is_not_taken_for_dead(site: RelaySite, app: Backend) -> None:
    """It cannot answer a ping before its frame is over."""
    app.runs(upgrades(echoes_frames))
    drip = Fault(slice=40, delay=0.05)
    with FaultProxy(site.gateway.where("web"), up=drip) as proxy, connect(proxy.where) as client:
        open_websocket(client, "/alive/")
        client.send(encode(BINARY, bytes(2000)))
        frames = [read_frame(client)]
        while frames[-1].opcode == PING:
            frames.append(read_frame(client))
        assert frames[-1].payload == bytes(2000)


def test_an_idle_websocket_is_closed_although_it_is_pinged(site: RelaySite, app: Backend) -> None:
    heard: list[Frame] = []

    def pongs(wire: Wire) -> None:
        while not heard or heard[-1].opcode != CLOSE:
            heard.append(read_frame(wire))
            if heard[-1].opcode == PING:
                wire.send(encode(PONG, heard[-1].payload, mask=b""))

    app.runs(upgrades(pongs))
    with open_client(site.gateway.url("web", "/idle/")) as client:
        port = client.local_address[1]
        with pytest.raises(ConnectionClosed) as closed:
            client.recv(timeout=30)
    assert closed.value.rcvd is not None and closed.value.rcvd.code == 1001
    assert [frame.opcode for frame in heard].count(PING) >= 2
    assert site.records_of(port)[0]["cause"] == "idle"


def test_an_old_websocket_is_closed_with_1012(site: RelaySite, app: Backend) -> None:
    app.runs(upgrades(echoes_frames))
    client = site.open("/aged/")
    client.send(text("x"))
    frames = read_until_close(client)
    assert frames[-1].close_code == 1012
    client.send(close(1012))
    client.expect_eof()
    assert site.record(client)["cause"] == "max_age"


def test_one_who_takes_nothing_is_closed(site: RelaySite, app: Backend) -> None:
    """Row 17, on both sides: the kernel's window may stay shut for ever."""

    def floods(wire: Wire) -> None:
        piece = encode(BINARY, bytes(60_000), mask=b"")
        wire.sock.settimeout(30)
        while not wire.unread:
            try:
                wire.send(piece)
            except (TimeoutError, OSError):
                return

    app.runs(upgrades(floods))
    client = site.open("/slow/", receive_buffer=4096)
    port = client.sock.getsockname()[1]
    record = site.records_of(port)[0]
    assert (record["cause"], record["closed_by"]) == ("client_stuck", "client")
    assert 0.6 <= record["duration"] < 12


def test_a_server_that_takes_nothing_is_closed(site: RelaySite, app: Backend) -> None:
    app.runs(upgrades(holds))
    client = site.open("/slow/")
    client.sock.settimeout(30)
    piece = encode(BINARY, bytes(60_000))
    with pytest.raises(OSError):
        for _ in range(10_000):
            client.send(piece)
    record = site.record(client)
    assert (record["cause"], record["closed_by"]) == ("server_stuck", "server")
    app.visit().wire.released.set()


def test_the_end_of_a_stream_is_not_an_end_of_the_gateways_making(site: RelaySite, app: Backend) -> None:
    """A tunnel knows no frames: the server's end is the client's, without a Close."""
    app.runs(upgrades(sends(encode(TEXT, b"only", mask=b""))))
    client = site.open("/tunnel/")
    assert read_frame(client).payload == b"only"
    with pytest.raises(EndOfStream):
        read_frame(client)
    record = site.record(client)
    assert (record["cause"], record["relay"]) == ("server_closed", "tunnel")
