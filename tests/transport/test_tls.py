"""A TLS leg with stock peers: whole streams, ends of every kind, and peers that mean harm."""

from __future__ import annotations

import gc
import socket
import ssl
import struct
import weakref
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from OpenSSL import SSL

from tests.doubles.waiting import until
from tests.tls.handshakes import End, StdlibEnd, openssl_client, stdlib_client
from tests.transport.tls_ends import HandReactor, RecordWriter, TlsPair
from wsgate.config.model import UpstreamTls
from wsgate.tls.certificates import load_chain
from wsgate.tls.policies import INTERMEDIATE, server_connection, server_context
from wsgate.tls.self_signed import SelfSignedPaths, self_signed
from wsgate.tls.towards_servers import UpstreamTlsContext
from wsgate.transport.hub import EpollHub
from wsgate.transport.interfaces import Reactor
from wsgate.transport.openssl import PIECE, RECORD, Buffers
from wsgate.transport.tls import BARREN, TlsLeg

TLS12, TLS13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
BOTH = pytest.mark.parametrize("version", [TLS12, TLS13])
MiB = 1 << 20


class Room:
    """A hub, its buffers, and legs of both roles."""

    def __init__(self, paths: SelfSignedPaths) -> None:
        self.paths = paths
        self.hub = EpollHub(cast(Reactor, HandReactor()))
        self.buffers = Buffers(self.hub.buffer)
        self.context = server_context(load_chain(*paths), INTERMEDIATE, section="site")
        self._pairs: list[TlsPair] = []

    def serving(
        self,
        version: ssl.TLSVersion | None = None,
        *,
        tcp: bool = False,
        client: ssl.SSLContext | None = None,
        peer: End | None = None,
    ) -> TlsPair:
        """Our leg is the server; the client is one of the standard library where none is given."""
        connection = server_connection(self.context, tls13=version is not TLS12)
        pair = self._pair(connection, tcp)
        pair.peer = peer or StdlibEnd(client or stdlib_client(version=version))
        return pair

    def calling(self, version: ssl.TLSVersion | None = None, *, host: str = "localhost") -> TlsPair:
        """Our leg is the client."""
        trust = UpstreamTlsContext(UpstreamTls(True, self.paths.certificate, ""))
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.load_cert_chain(self.paths.certificate, self.paths.key)
        if version is not None:
            server.minimum_version = server.maximum_version = version
        pair = self._pair(trust.connection(host), False)
        pair.peer = StdlibEnd(server, server_side=True)
        return pair

    def _pair(self, connection: SSL.Connection, tcp: bool) -> TlsPair:
        pair = TlsPair(self.hub, self.buffers, connection, tcp=tcp)
        self._pairs.append(pair)
        return pair

    def forget(self, pair: TlsPair) -> None:
        self._pairs.remove(pair)
        pair.close()

    def close(self) -> None:
        for pair in self._pairs:
            pair.close()
        self.hub.close()


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> SelfSignedPaths:
    return self_signed(tmp_path_factory.mktemp("state"), (), datetime.now(UTC))


@pytest.fixture
def room(paths: SelfSignedPaths) -> Iterator[Room]:
    room = Room(paths)
    yield room
    room.close()


# Handshakes


@BOTH
@pytest.mark.parametrize("role", ["serving", "calling"])
def test_both_roles_shake_hands_and_talk(room: Room, role: str, version: ssl.TLSVersion) -> None:
    pair: TlsPair = getattr(room, role)(version).shake()
    assert pair.secured == 1
    assert not pair.refusals
    pair.leg.write(b"from the leg")
    pair.peer_says(b"from the peer")
    pair.until(lambda: pair.heard and pair.listening.data)
    assert pair.heard == b"from the leg"
    assert pair.listening.data == b"from the peer"
    assert (pair.leg.received, pair.leg.sent) == (13, 12)


def test_the_negotiated_protocol(room: Room) -> None:
    pair = room.serving(client=stdlib_client(alpn=("h2", "http/1.1"))).shake()
    assert pair.leg.negotiated_protocol() == b"http/1.1"
    assert room.serving().shake().leg.negotiated_protocol() == b""


@pytest.mark.parametrize("cut", [1, 5, 6, 100, 10_000])
def test_a_hello_that_was_read_ahead(room: Room, cut: int) -> None:
    pair = room.serving()
    pair.peer.step()
    hello = pair.peer.outgoing()
    pair.peer_sock.send(hello[cut:])
    pair.leg.start(hello[:cut])
    pair.until(lambda: pair.secured)


def test_the_first_request_comes_with_the_end_of_the_handshake(room: Room) -> None:
    """In one segment with the client's Finished."""
    pair = room.serving(TLS13)
    pair.leg.start()
    pair.peer.step()
    pair.peer_sends()
    until(lambda: pair.turn() and pair.peer_receives() and pair.peer.step(), "the server's flight")
    pair.peer.write(b"GET / HTTP/1.1\r\n\r\n")
    pair.peer_sends()
    assert not pair.secured
    pair.turn()
    assert pair.secured
    assert pair.listening.data == b"GET / HTTP/1.1\r\n\r\n"


def test_a_handshake_byte_by_byte(room: Room) -> None:
    pair = room.serving()
    pair.leg.start()
    pair.peer.step()
    while not pair.secured:
        pair.peer_sends(1)
        pair.turn()
        pair.peer_receives(1)
    pair.peer_says(b"hello")
    pair.until(lambda: pair.listening.data == b"hello")


@pytest.mark.parametrize(
    ("sent", "why"),
    [
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "http request"),
        (b"\x16\x03\x01\x00\x05hello", "unexpected message"),
        (b"\0" * 600, ""),
    ],
)
def test_what_is_no_handshake_is_refused(room: Room, sent: bytes, why: str) -> None:
    pair = room.serving()
    pair.leg.start()
    pair.peer_sock.send(sent)
    pair.until(lambda: pair.refusals and pair.leg.closed)
    assert len(pair.refusals) == 1
    assert why in pair.refusals[0]
    assert not pair.secured
    assert pair.listening.lost == []


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_a_refused_peer_gets_its_alert(room: Room) -> None:
    client = stdlib_client(version=ssl.TLSVersion.TLSv1_1, ciphers="DEFAULT@SECLEVEL=0")
    pair = room.serving(client=client).shake()
    assert pair.refusals == ["unsupported protocol"]
    pair.until(lambda: "alert protocol version" in pair.peer_end.lower().replace("_", " "))


def test_a_peer_without_common_protocol_is_told_and_the_log_says_which(room: Room) -> None:
    pair = room.serving(client=stdlib_client(alpn=("h2",))).shake()
    assert pair.refusals == ["the client speaks no protocol of ours, only h2"]
    pair.until(lambda: "no application protocol" in pair.peer_end.lower().replace("_", " "))


def test_an_untrusted_server_is_refused_with_the_reason(room: Room, tmp_path: Path) -> None:
    other = Room(self_signed(tmp_path, (), datetime.now(UTC)))
    try:
        pair = other.calling()
        stranger = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        stranger.load_cert_chain(room.paths.certificate, room.paths.key)
        pair.peer = StdlibEnd(stranger, server_side=True)
        pair.shake()
        assert pair.refusals == ["the server's certificate is not trusted: it is self-signed and not trusted itself"]
    finally:
        other.close()


@pytest.mark.parametrize("said", [False, True])
def test_a_peer_that_leaves_during_the_handshake(room: Room, said: bool) -> None:
    pair = room.serving()
    pair.leg.start()
    if said:
        pair.peer.step()
        pair.peer_sends()
        pair.turn()
    pair.peer_sock.close()
    pair.peer_end = "gone"
    pair.until(lambda: pair.leg.closed)
    assert pair.refusals == ["the peer left during the handshake"]


def test_a_failed_handshake_leaves_nothing_for_the_next_connection(room: Room) -> None:
    good = room.serving().shake()
    bad = room.serving()
    bad.leg.start()
    bad.peer_sock.send(b"nonsense, nonsense, nonsense")
    bad.until(lambda: bad.refusals)
    good.peer_says(b"still here")
    good.until(lambda: good.listening.data == b"still here")
    assert good.listening.lost == []


# Streams


def filler(size: int) -> bytes:
    return (bytes(range(251)) * (size // 251 + 1))[:size]


@BOTH
@pytest.mark.parametrize("size", [1, RECORD - 1, RECORD, RECORD + 1, PIECE, PIECE + 1, 3 * PIECE + 7, MiB])
@pytest.mark.parametrize("form", [bytes, lambda data: memoryview(bytearray(data))], ids=["bytes", "view"])
def test_writes_of_any_size(
    room: Room, size: int, form: Callable[[bytes], bytes | memoryview], version: ssl.TLSVersion
) -> None:
    pair = room.serving(version).shake()
    data = filler(size)
    pair.leg.write(form(data))
    pair.leg.write(b"!")
    assert pair.leg.sent == size + 1
    pair.until(lambda: len(pair.heard) >= size + 1)
    assert pair.heard == data + b"!"
    assert pair.leg.queued == 0


@BOTH
def test_reads_of_any_size(room: Room, version: ssl.TLSVersion) -> None:
    pair = room.serving(version).shake()
    data = filler(MiB)
    pair.peer_says(data)
    pair.until(lambda: len(pair.listening.data) >= len(data))
    assert pair.listening.data == data
    assert pair.leg.received == len(data)


def test_an_empty_write_says_nothing(room: Room) -> None:
    pair = room.serving().shake()
    pair.exchange()
    pair.leg.write(b"")
    assert pair.peer_receives() == b""


def test_two_legs_of_one_hub_relay_through_its_buffers(room: Room) -> None:
    """Plaintext is written to the other leg out of the shared buffer, during the call that it is valid for."""
    left, right = room.serving().shake(), room.calling().shake()
    left.listening.on_data = right.leg.write
    right.listening.on_data = left.leg.write
    there, back = filler(300_000), filler(200_003)[::-1]
    left.peer_says(there)
    right.peer_says(back)
    left.until(lambda: right.exchange() and len(right.heard) == len(there) and len(left.heard) == len(back))
    assert right.heard == there
    assert left.heard == back


class Tap:
    """A producer that notes what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def pauseProducing(self) -> None:
        self.told.append("pause")

    def resumeProducing(self) -> None:
        self.told.append("resume")

    def stopProducing(self) -> None:
        self.told.append("stop")


def test_a_peer_that_does_not_read_pauses_the_producer_until_it_does(room: Room) -> None:
    pair = room.serving().shake()
    pair.exchange()
    tap = Tap()
    pair.leg.registerProducer(tap, True)
    while not pair.leg.queued:
        pair.leg.write(filler(PIECE))
    assert tap.told == ["pause"]
    written = pair.leg.sent
    pair.until(lambda: len(pair.heard) == written)
    assert tap.told == ["pause", "resume"]
    assert pair.leg.queued == 0


def test_records_of_one_read_are_delivered_together(room: Room) -> None:
    pair = room.serving().shake()
    pieces: list[bytes] = []
    pair.listening.on_data = lambda data: pieces.append(bytes(data))
    for number in range(3):
        pair.peer.write(b"message %d" % number)
    pair.peer_sends()
    pair.until(lambda: pieces)
    assert pieces == [b"message 0message 1message 2"]


def test_a_paused_leg_delivers_nothing_and_goes_on_where_it_was(room: Room) -> None:
    """The end that OpenSSL holds already comes after the pause without another event of the socket."""
    pair = room.serving().shake()
    pair.listening.on_data = lambda _data: pair.leg.pauseProducing()
    pair.peer.write(b"one")
    pair.peer_closes()
    pair.until(lambda: pair.listening.data)
    pair.exchange()
    assert pair.leg.paused
    assert (bytes(pair.listening.data), pair.listening.read_ended) == (b"one", 0)
    pair.leg.resumeProducing()
    pair.turn()
    assert (bytes(pair.listening.data), pair.listening.read_ended) == (b"one", 1)


@pytest.mark.parametrize("close", [TlsLeg.loseConnection, TlsLeg.abortConnection])
def test_nothing_is_delivered_after_the_protocol_closed_the_leg(room: Room, close: Callable[[TlsLeg], None]) -> None:
    pair = room.serving().shake()
    pair.listening.on_data = lambda _data: close(pair.leg)
    pair.peer_says(b"one")
    pair.until(lambda: pair.listening.data)
    pair.peer_says(b"two")
    pair.until(lambda: pair.listening.lost)
    assert pair.listening.data == b"one"
    assert len(pair.listening.lost) == 1


def test_a_protocol_that_fails_ends_its_leg_and_no_other(room: Room) -> None:
    good, bad = room.serving().shake(), room.serving().shake()

    def fail(_data: memoryview) -> None:
        raise RuntimeError("a fault of ours")

    bad.listening.on_data = fail
    bad.peer_says(b"x")
    bad.until(lambda: bad.listening.lost)
    assert bad.listening.why == "ConnectionAborted"
    good.peer_says(b"fine")
    good.until(lambda: good.listening.data == b"fine")


# Ends


@pytest.mark.parametrize("close", [TlsLeg.loseConnection, TlsLeg.loseWriteConnection])
def test_close_notify_ends_one_direction_of_tls_1_3(room: Room, close: Callable[[TlsLeg], None]) -> None:
    pair = room.serving(TLS13).shake()
    pair.peer_says(b"last words")
    pair.peer_closes()
    pair.until(lambda: pair.listening.read_ended)
    assert pair.leg.half_closes
    assert pair.listening.data == b"last words"
    assert pair.listening.lost == []
    close(pair.leg)
    pair.until(lambda: pair.listening.lost)
    assert pair.listening.why == "ConnectionDone"
    assert pair.listening.read_ended == 1


def test_the_leg_speaks_on_after_the_peers_close_notify(room: Room) -> None:
    pair = room.serving(peer=openssl_client()).shake()
    pair.peer_closes()
    pair.until(lambda: pair.listening.read_ended)
    pair.leg.write(filler(100_000))
    pair.until(lambda: len(pair.heard) == 100_000)
    assert pair.heard == filler(100_000)


def test_close_notify_ends_both_directions_of_tls_1_2(room: Room) -> None:
    pair = room.serving(TLS12).shake()
    pair.peer_closes()
    pair.until(lambda: pair.listening.lost)
    assert not pair.leg.half_closes
    assert pair.listening.read_ended == 1
    assert pair.listening.why == "ConnectionDone"


def test_the_leg_can_end_its_own_direction_of_tls_1_3(room: Room) -> None:
    pair = room.serving(TLS13).shake()
    pair.leg.write(b"all of it")
    pair.leg.loseWriteConnection()
    pair.leg.write(b"nothing after it")
    pair.until(lambda: pair.peer_end)
    assert pair.heard == b"all of it"
    assert pair.peer_end == "close_notify"
    pair.peer_says(b"the answer")
    pair.until(lambda: pair.listening.data == b"the answer")
    assert pair.listening.lost == []
    pair.peer_closes()
    pair.until(lambda: pair.listening.lost)
    assert pair.listening.why == "ConnectionDone"


def test_tls_1_2_has_no_half_close(room: Room) -> None:
    pair = room.serving(TLS12).shake()
    pair.leg.loseWriteConnection()
    pair.leg.write(b"still open")
    pair.until(lambda: pair.heard == b"still open")


def test_an_ended_direction_is_flushed_before_the_leg_ends(room: Room) -> None:
    """The peer says goodbye while bytes of ours still wait for it to read."""
    pair = room.serving(peer=openssl_client()).shake()
    data = filler(MiB)
    pair.leg.write(data)
    pair.leg.loseWriteConnection()
    assert pair.leg.queued
    pair.peer_closes()
    until(lambda: pair.turn() and pair.listening.read_ended, "the peer's goodbye")
    pair.until(lambda: len(pair.heard) >= len(data) or pair.peer_end)
    assert pair.heard == data
    pair.until(lambda: pair.listening.lost)
    assert pair.listening.why == "ConnectionDone"


@BOTH
def test_losing_the_connection_flushes_and_says_goodbye(room: Room, version: ssl.TLSVersion) -> None:
    pair = room.serving(version).shake()
    data = filler(MiB)
    pair.leg.write(data)
    pair.leg.loseConnection()
    pair.leg.write(b"too late")
    assert pair.leg.queued
    pair.until(lambda: pair.peer_end)
    assert pair.heard == data
    assert pair.peer_end == "close_notify"
    pair.until(lambda: pair.listening.lost)
    assert pair.listening.why == "ConnectionDone"


@BOTH
def test_the_end_of_tcp_without_close_notify_is_a_loss(room: Room, version: ssl.TLSVersion) -> None:
    pair = room.serving(version).shake()
    pair.peer_says(b"half a mess")
    pair.peer_sock.close()
    pair.peer_end = "gone"
    pair.until(lambda: pair.listening.lost)
    assert pair.listening.data == b"half a mess"
    assert pair.listening.why == "ConnectionLost"
    assert pair.listening.read_ended == 0


def test_a_reset_is_a_loss(room: Room) -> None:
    pair = room.serving(tcp=True).shake()
    reset(pair)
    pair.until(lambda: pair.listening.lost)
    assert pair.listening.why == "ConnectionLost"


def test_a_reset_is_noticed_while_the_leg_is_paused(room: Room) -> None:
    pair = room.serving(tcp=True).shake()
    pair.leg.pauseProducing()
    reset(pair)
    pair.until(lambda: pair.listening.lost)
    assert pair.listening.why == "ConnectionLost"


def test_aborting_resets_and_drops_what_is_queued(room: Room) -> None:
    pair = room.serving(tcp=True).shake()
    while not pair.leg.queued:
        pair.leg.write(filler(PIECE))
    pair.leg.abortConnection()
    assert pair.leg.queued == 0
    pair.until(lambda: pair.peer_end == "reset")
    assert pair.listening.why == "ConnectionAborted"
    assert len(pair.listening.lost) == 1


def test_writing_to_a_peer_that_is_gone_ends_the_leg(room: Room) -> None:
    pair = room.serving().shake()
    pair.peer_sock.close()
    pair.peer_end = "gone"
    for _ in range(3):
        pair.leg.write(b"into the void")
    assert pair.listening.lost == []
    pair.turn()
    assert pair.listening.why == "ConnectionLost"
    assert len(pair.listening.lost) == 1


def test_the_reason_for_buffers_of_one_size() -> None:
    with pytest.raises(ValueError, match="too small"):
        Buffers(memoryview(bytearray(1000)))


@BOTH
def test_damaged_records_end_the_leg_with_an_alert(room: Room, version: ssl.TLSVersion) -> None:
    pair = room.serving(version).shake()
    pair.peer.write(b"to be damaged")
    record = bytearray(pair.peer.outgoing())
    record[-1] ^= 1
    pair.peer_sock.send(record)
    pair.until(lambda: pair.listening.lost)
    assert pair.listening.data == b""
    assert pair.listening.why == "ConnectionLost"
    pair.until(lambda: "bad record mac" in pair.peer_end.lower().replace("_", " "))


# Peers that mean harm


def writer(room: Room, tmp_path: Path) -> tuple[TlsPair, RecordWriter]:
    client = stdlib_client(version=TLS13)
    client.keylog_filename = str(tmp_path / "keys")
    pair = room.serving(TLS13, client=client).shake()
    pair.exchange()
    assert isinstance(pair.peer, StdlibEnd)
    cipher = pair.peer.tls.cipher()
    assert cipher is not None
    return pair, RecordWriter(tmp_path / "keys", cipher[0])


KEY_UPDATE = 5 + 5 + 1 + 16  # header, message, inner type, tag
DATA = 5 + 1 + 16


@pytest.mark.parametrize("data", [b"", b"with data behind it"])
@pytest.mark.parametrize("requests", [1, 3, 500])
def test_key_updates_are_answered_and_nothing_piles_up(room: Room, tmp_path: Path, requests: int, data: bytes) -> None:
    """RFC 8446 section 4.6.3.  OpenSSL answers each one when it reads the next, and the last one with the next write.

    A protocol that has nothing to say for a while must not leave the answers in OpenSSL's memory.
    """
    pair, records = writer(room, tmp_path)
    pair.peer_sock.send(b"".join(records.key_update() + (records.data(data) if data else b"") for _ in range(requests)))
    pair.turn()
    assert pair.listening.data == data * requests
    assert len(pair.peer_receives()) == KEY_UPDATE * (requests - 1)
    pair.leg.write(b"with new keys")
    assert len(pair.peer_receives()) == KEY_UPDATE + DATA + len(b"with new keys")
    assert pair.heard == b"with new keys"
    pair.peer_sock.send(records.data(b" and on"))
    pair.turn()
    assert pair.listening.data == data * requests + b" and on"
    assert pair.listening.lost == []


def flood(pair: TlsPair, records: Callable[[], bytes], total: int) -> int:
    """Send ``total`` bytes of records as long as the leg lives and takes them; how many were sent."""
    sent, rest = 0, b""
    while sent < total and not pair.listening.lost:
        rest = rest or records()
        try:
            count = pair.peer_sock.send(rest)
        except BlockingIOError:
            count = 0
        except ConnectionError:
            break
        sent, rest = sent + count, rest[count:]
        pair.turn()
    pair.turn()
    return sent


@pytest.mark.parametrize("kind", ["key updates", "empty records"])
def test_a_flood_of_records_without_data_is_cut_off(room: Room, tmp_path: Path, kind: str) -> None:
    pair, records = writer(room, tmp_path)
    make = records.key_update if kind == "key updates" else lambda: records.data(b"")
    sent = flood(pair, make, 4 * BARREN)
    # OpenSSL has a bound of its own for empty records.
    assert pair.listening.why == ("ConnectionAborted" if kind == "key updates" else "ConnectionLost")
    assert sent < 3 * BARREN
    assert pair.listening.data == b""


def test_a_little_data_between_key_updates_does_not_hide_them(room: Room, tmp_path: Path) -> None:
    pair, records = writer(room, tmp_path)

    def batch() -> bytes:
        pair.peer_receives()
        return b"".join(records.key_update() for _ in range(1000)) + records.data(b"x")

    sent = flood(pair, batch, 16 * BARREN)
    assert pair.listening.why == "ConnectionAborted"
    assert sent < 12 * BARREN


def test_bulk_in_the_longest_records_is_no_flood(room: Room, tmp_path: Path) -> None:
    """What a record has besides its data must never add up."""
    pair, records = writer(room, tmp_path)
    pair.listening.on_data = lambda view: pair.listening.data.clear()
    rest = b""
    for _ in range(2 * BARREN // KEY_UPDATE):
        rest += records.data(b"x" * RECORD)
        while len(rest) >= RECORD:
            try:
                rest = rest[pair.peer_sock.send(rest) :]
            except BlockingIOError:
                pass
            pair.turn()
        assert pair.listening.lost == []


def test_data_in_small_records_is_no_flood(room: Room, tmp_path: Path) -> None:
    pair, records = writer(room, tmp_path)
    for _ in range(300):
        pair.peer_sock.send(b"".join(records.data(b"x") for _ in range(100)))
        pair.turn()
    assert pair.listening.data == b"x" * 30_000
    assert pair.listening.lost == []


def test_a_peer_that_asks_for_answers_and_never_reads_them_is_cut_off(room: Room, tmp_path: Path) -> None:
    """Data between the requests does not hide them."""
    pair, records = writer(room, tmp_path)
    most = 0

    def batch() -> bytes:
        nonlocal most
        most = max(most, pair.leg.queued)
        return b"".join(records.key_update() + records.data(b"x") for _ in range(100))

    flood(pair, batch, 4 * MiB)
    assert pair.listening.why == "ConnectionAborted"
    assert most < 2 * BARREN


def test_a_client_that_never_reads_costs_what_is_queued_and_no_more(room: Room) -> None:
    pair = room.serving().shake()
    pair.exchange()
    while not pair.leg.queued:
        pair.leg.write(filler(PIECE))
    queued = pair.leg.queued
    assert queued <= PIECE + 16 * 256
    for _ in range(5):
        pair.turn()
    assert pair.leg.queued == queued


def test_a_leg_that_ended_is_let_go(room: Room) -> None:
    """No cycle and no table keeps it: thousands of connections a second come and go."""
    pair = room.serving().shake()
    watched = weakref.ref(pair.leg.connection)
    pair.leg.loseConnection()
    listening = pair.listening
    pair.until(lambda: listening.lost)
    room.forget(pair)
    del pair
    gc.collect()
    assert watched() is None


# Whatever the order of things


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("leg writes"), st.integers(0, 40_000)),
        st.tuples(st.just("peer writes"), st.integers(1, 40_000)),
        st.tuples(st.just("peer sends"), st.integers(1, 20_000)),
        st.tuples(st.just("peer receives"), st.integers(1, 20_000)),
        st.tuples(st.just("leg turns"), st.just(0)),
        st.tuples(st.just("leg pauses"), st.just(0)),
        st.tuples(st.just("leg resumes"), st.just(0)),
    ),
    max_size=40,
)


@settings(max_examples=60, deadline=None)
@given(steps=STEPS, version=st.sampled_from([TLS12, TLS13]), end=st.sampled_from(["leg", "peer", "leg half"]))
def test_any_interleaving_delivers_the_same_bytes(
    paths: SelfSignedPaths, steps: list[tuple[str, int]], version: ssl.TLSVersion, end: str
) -> None:
    room = Room(paths)
    try:
        pair = room.serving(version).shake()
        from_leg, from_peer = bytearray(), bytearray()
        for step, size in steps:
            interleave(pair, step, size, from_leg, from_peer)
        pair.leg.resumeProducing()
        pair.until(lambda: len(pair.listening.data) == len(from_peer))
        if end == "leg":
            pair.leg.loseConnection()
        elif end == "leg half":
            pair.leg.loseWriteConnection()
        pair.until(lambda: len(pair.heard) == len(from_leg))
        if end == "peer":
            pair.peer_closes()
        pair.until(lambda: pair.listening.lost or pair.listening.read_ended or pair.peer_end or end == "leg half")
        assert pair.listening.data == from_peer
        assert pair.heard == from_leg
        assert (pair.leg.sent, pair.leg.received) == (len(from_leg), len(from_peer))
    finally:
        room.close()


def interleave(pair: TlsPair, step: str, size: int, from_leg: bytearray, from_peer: bytearray) -> None:
    if step == "leg writes":
        data = filler(size)
        from_leg += data
        pair.leg.write(data)
    elif step == "peer writes":
        data = filler(size)
        from_peer += data
        pair.peer.write(data)
    elif step == "peer sends":
        pair.peer_sends(size)
    elif step == "peer receives":
        pair.peer_receives(size)
    elif step == "leg turns":
        pair.turn()
    elif step == "leg pauses":
        pair.leg.pauseProducing()
    else:
        pair.leg.resumeProducing()


def reset(pair: TlsPair) -> None:
    """Close the peer's end with a reset."""
    pair.peer_sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    pair.peer_sock.close()
    pair.peer_end = "gone"
