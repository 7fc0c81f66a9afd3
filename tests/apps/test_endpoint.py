"""The factory over a transport in memory, on a Clock; the client is the ``websockets`` library's, without a socket."""

from __future__ import annotations

import pytest
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from websockets.client import ClientProtocol
from websockets.frames import CloseCode, Frame, Opcode
from websockets.uri import parse_uri

from wsgate.apps.echo import Echo
from wsgate.apps.endpoint import (
    CLOSE_TIMEOUT,
    HANDSHAKE_TIMEOUT,
    MAX_HEAD,
    MAX_MESSAGE,
    MAX_VISITORS,
    MAX_WAITING,
    PING_INTERVAL,
    PING_TIMEOUT,
    Endpoint,
    EndpointFactory,
)
from wsgate.apps.messages import JsonApplication
from wsgate.apps.visitor import Application, Visitor


class Witness:
    """An application that keeps what it is told."""

    def __init__(self, *subprotocols: str) -> None:
        self.subprotocols = subprotocols
        self.events: list[object] = []
        self.visitors: list[Visitor] = []

    def opened(self, visitor: Visitor) -> None:
        self.visitors.append(visitor)
        self.events.append("opened")

    def received(self, visitor: Visitor, payload: bytes, binary: bool) -> None:
        self.events.append((payload, binary))

    def closed(self, visitor: Visitor) -> None:
        self.events.append("closed")


class Room:
    """A factory, its clock, and as many connections as a test asks for."""

    def __init__(self, app: Application) -> None:
        self.clock = Clock()
        self.factory = EndpointFactory(app, "demo", self.clock)

    def connect(self) -> Connection:
        return Connection(self.factory)

    def open(self, path: str = "/", subprotocols: tuple[str, ...] = ()) -> Connection:
        connection = self.connect()
        connection.handshake(path, subprotocols)
        return connection


class Connection:
    def __init__(self, factory: EndpointFactory) -> None:
        self.transport = StringTransport()
        self.endpoint = factory.buildProtocol(None)
        assert isinstance(self.endpoint, Endpoint)
        self.endpoint.makeConnection(self.transport)

    def handshake(self, path: str, subprotocols: tuple[str, ...]) -> None:
        self.client = ClientProtocol(parse_uri(f"ws://localhost{path}"), subprotocols=list(subprotocols) or None)
        self.client.send_request(self.client.connect())
        self.flush()
        self.response, *_ = self.frames()
        assert self.client.handshake_exc is None, self.client.handshake_exc

    def flush(self) -> None:
        """Give the server what the client has to say."""
        for data in self.client.data_to_send():
            if data:
                self.endpoint.dataReceived(data)

    def frames(self) -> list[object]:
        """What the client has received since the last call."""
        data = self.transport.value()
        self.transport.clear()
        if data:
            self.client.receive_data(data)
        return self.client.events_received()

    @property
    def closed_with(self) -> tuple[int, str] | None:
        """The code and the reason of the Close that the client has received."""
        close = self.client.close_rcvd
        return None if close is None else (close.code, close.reason)

    def lose(self) -> None:
        self.endpoint.connectionLost(Failure(ConnectionDone()))


def raw_request(path: str = "/") -> bytes:
    return (
        f"GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: x3JJHMbDL1EzLkh9GBhXDw==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    ).encode()


@pytest.mark.parametrize("slices", ["whole", "byte by byte"])
def test_the_handshake_of_the_tutorial_has_its_right_answer(slices: str) -> None:
    connection = Room(Echo()).connect()
    request = raw_request("/blahblah")
    for piece in [request] if slices == "whole" else [request[i : i + 1] for i in range(len(request))]:
        connection.endpoint.dataReceived(piece)
    assert connection.transport.value() == (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: HSmrc0sMlYUkAGmm5OPpG2HaGWk=\r\n\r\n"
    )


def test_a_frame_right_behind_the_handshake_is_not_lost() -> None:
    connection = Room(Echo()).connect()
    frame = Frame(Opcode.TEXT, b"early").serialize(mask=True)
    connection.endpoint.dataReceived(raw_request() + frame)
    assert connection.transport.value().endswith(b"\r\n\r\n" + Frame(Opcode.TEXT, b"early").serialize(mask=False))


@pytest.mark.parametrize("path", ["/", "/blahblah", "/a/b?c=d", "/%C3%A9"])
def test_any_path_is_accepted_and_messages_come_back(path: str) -> None:
    connection = Room(Echo()).open(path)
    connection.client.send_text(b"hello")
    connection.client.send_binary(b"\x00\xff")
    connection.flush()
    assert connection.frames() == [Frame(Opcode.TEXT, b"hello"), Frame(Opcode.BINARY, b"\x00\xff")]


@pytest.mark.parametrize(
    ("app", "offered", "agreed"),
    [
        (Echo(), (), None),
        (Echo(), ("b", "a"), "b"),
        (Witness("x"), (), None),
        (Witness("x", "y"), ("a", "y", "x"), "y"),
        (JsonApplication("demo", {}), ("wsgate.demo",), "wsgate.demo"),
    ],
)
def test_the_first_subprotocol_that_both_speak_is_agreed_on(
    app: Application, offered: tuple[str, ...], agreed: str | None
) -> None:
    assert Room(app).open("/", offered).client.subprotocol == agreed


def test_an_unknown_subprotocol_is_left_unanswered() -> None:
    connection = Room(Witness("x")).open("/", ("a",))
    assert "Sec-WebSocket-Protocol" not in connection.response.headers


def test_a_visitor_has_the_path_and_the_query_of_its_handshake() -> None:
    app = Witness()
    Room(app).open("/chat/t%C3%A9a?name=Ada&name=Bob&room=t%20ea")
    (visitor,) = app.visitors
    assert visitor.path == "/chat/t%C3%A9a"
    assert visitor.query == {"name": "Ada", "room": "t ea"}


def test_an_application_is_told_of_coming_messages_and_going_once_each() -> None:
    app = Witness()
    connection = Room(app).open()
    connection.client.send_text(b"one")
    connection.client.send_close(CloseCode.NORMAL_CLOSURE)
    connection.flush()
    connection.lose()
    assert app.events == ["opened", (b"one", False), "closed"]


@pytest.mark.parametrize(("code", "reason"), [(1000, ""), (1001, "bye"), (4321, "x" * 100)])
def test_a_close_is_answered_with_its_own_code_and_reason(code: int, reason: str) -> None:
    connection = Room(Echo()).open()
    connection.client.send_close(code, reason)
    connection.flush()
    connection.frames()
    assert connection.closed_with == (code, reason)


def test_a_plain_request_is_told_that_this_is_a_websocket_server() -> None:
    app = Witness()
    connection = Room(app).connect()
    connection.endpoint.dataReceived(b"GET /?redirect=http://evil.example/ HTTP/1.1\r\nHost: localhost\r\n\r\n")
    head, body = connection.transport.value().split(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 426 Upgrade Required\r\n")
    assert b"\r\nUpgrade: websocket\r\nConnection: Upgrade, close" in head
    assert f"\r\nContent-Length: {len(body)}\r\n".encode() in head
    assert body == b"Upgrade Required. This is a WebSocket server (demo): open it with a ws:// address.\n"
    assert connection.transport.disconnecting
    connection.lose()
    assert app.events == []


def test_an_older_version_is_told_the_one_that_is_spoken() -> None:
    connection = Room(Echo()).connect()
    connection.endpoint.dataReceived(raw_request().replace(b"Version: 13", b"Version: 8"))
    assert b"\r\nSec-WebSocket-Version: 13\r\n" in connection.transport.value()


def test_a_refusal_repeats_nothing_of_the_request() -> None:
    connection = Room(Echo()).connect()
    connection.endpoint.dataReceived(raw_request().replace(b"Upgrade: websocket", b"Upgrade: <script>"))
    assert connection.transport.value().startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert b"script" not in connection.transport.value()


def test_a_request_head_without_end_is_refused_at_its_bound() -> None:
    connection = Room(Echo()).connect()
    line = b"X-Filler: " + b"x" * 500 + b"\r\n"
    connection.endpoint.dataReceived(raw_request()[:-2])
    sent = 0
    while not connection.transport.value():
        connection.endpoint.dataReceived(line)
        sent += len(line)
    assert connection.transport.value().startswith(b"HTTP/1.1 431 ")
    assert sent <= MAX_HEAD + len(line)
    assert connection.transport.disconnecting


def test_a_handshake_that_never_comes_is_given_up() -> None:
    room = Room(Echo())
    connection = room.connect()
    connection.endpoint.dataReceived(raw_request()[:30])
    room.clock.advance(HANDSHAKE_TIMEOUT - 0.1)
    assert not connection.transport.disconnecting
    room.clock.advance(0.1)
    assert connection.transport.disconnecting


def test_a_silent_peer_is_pinged_and_then_dropped() -> None:
    room = Room(Echo())
    connection = room.open()
    room.clock.advance(PING_INTERVAL)
    (ping,) = connection.frames()
    assert isinstance(ping, Frame)
    assert ping.opcode is Opcode.PING
    room.clock.advance(PING_TIMEOUT - 0.1)
    assert not connection.transport.disconnecting
    room.clock.advance(0.1)
    assert connection.transport.disconnecting


def test_a_peer_that_answers_pings_stays() -> None:
    room = Room(Echo())
    connection = room.open()
    for _ in range(5):
        room.clock.advance(PING_INTERVAL)
        connection.frames()
        connection.flush()
    assert not connection.transport.disconnecting


def test_the_largest_message_passes_and_a_larger_one_is_closed_with_1009() -> None:
    connection = Room(Echo()).open()
    connection.client.send_text(b"x" * MAX_MESSAGE)
    connection.flush()
    assert connection.frames() == [Frame(Opcode.TEXT, b"x" * MAX_MESSAGE)]
    connection.client.send_text(b"x" * (MAX_MESSAGE + 1))
    connection.flush()
    connection.frames()
    assert connection.closed_with is not None
    assert connection.closed_with[0] == CloseCode.MESSAGE_TOO_BIG


def test_text_that_is_no_utf8_is_closed_with_1007() -> None:
    app = Witness()
    connection = Room(app).open()
    connection.client.send_text(b"\xff")
    connection.flush()
    connection.frames()
    assert connection.closed_with is not None
    assert connection.closed_with[0] == CloseCode.INVALID_DATA
    assert app.events == ["opened"]


def test_a_full_transport_stops_the_reading_until_it_is_empty() -> None:
    connection = Room(Echo()).open()
    assert connection.transport.producer is connection.endpoint
    assert connection.transport.streaming
    connection.endpoint.pauseProducing()
    assert (connection.transport.producerState, connection.endpoint.lagging) == ("paused", True)
    connection.endpoint.resumeProducing()
    assert (connection.transport.producerState, connection.endpoint.lagging) == ("producing", False)


def test_what_waits_for_a_visitor_who_does_not_read_is_bounded() -> None:
    app = Witness()
    connection = Room(app).open()
    (visitor,) = app.visitors
    connection.endpoint.pauseProducing()
    message = b"x" * 1024
    for _ in range(10_000):
        visitor.send(message)
    assert MAX_WAITING <= len(connection.transport.value()) <= MAX_WAITING + 64 * 1024
    connection.frames()
    assert connection.closed_with == (1008, "read faster")


def test_a_visitor_who_catches_up_starts_anew() -> None:
    app = Witness()
    connection = Room(app).open()
    (visitor,) = app.visitors
    for _ in range(10):
        connection.endpoint.pauseProducing()
        visitor.send(b"x" * 40_000)
        visitor.send(b"x" * 40_000)
        connection.frames()
        connection.endpoint.resumeProducing()
    assert connection.closed_with is None
    assert not connection.transport.disconnecting


def test_sending_to_a_closing_visitor_has_no_effect() -> None:
    app = Witness()
    connection = Room(app).open()
    (visitor,) = app.visitors
    connection.client.send_close(1000)
    connection.flush()
    connection.frames()
    visitor.send(b"late")
    assert connection.transport.value() == b""


def test_no_more_than_the_bounded_number_of_visitors_is_let_in() -> None:
    room = Room(Echo())
    room.factory.countConnections = MAX_VISITORS
    connection = room.connect()
    connection.endpoint.dataReceived(raw_request())
    assert connection.transport.value().startswith(b"HTTP/1.1 503 Service Unavailable\r\n")


def test_dismissing_closes_each_visitor_with_1001_and_is_done_when_the_last_is_gone() -> None:
    room = Room(Echo())
    first, second, unopened = room.open(), room.open(), room.connect()
    done: list[object] = []
    room.factory.dismiss().addCallback(done.append)
    for connection in (first, second):
        connection.frames()
        assert connection.closed_with == (1001, "the server stops")
    assert unopened.transport.disconnecting
    for connection in (first, second):
        assert done == []
        connection.lose()
    assert done == []
    unopened.lose()
    assert done == [None]


def test_dismissing_drops_who_does_not_answer_the_close() -> None:
    room = Room(Echo())
    connection = room.open()
    room.factory.dismiss()
    room.clock.advance(CLOSE_TIMEOUT)
    assert connection.transport.disconnecting


def test_dismissing_nobody_is_done_at_once() -> None:
    assert Room(Echo()).factory.dismiss().called


def test_no_timer_outlives_its_connection() -> None:
    room = Room(Echo())
    for connection in (room.connect(), room.open()):
        connection.lose()
    assert room.clock.getDelayedCalls() == []
    assert room.factory.connected == set()
