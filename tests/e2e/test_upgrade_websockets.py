"""WebSockets from end to end: handshake, messages, pings and closes, between peers that nobody here wrote."""

from __future__ import annotations

import ssl
import subprocess

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection

from tests.doubles.frames import (
    BINARY,
    CLOSE,
    CONTINUATION,
    KEY,
    PING,
    PONG,
    TEXT,
    close,
    encode,
    open_websocket,
    read_frame,
    text,
    upgrade_request,
)
from tests.doubles.http import answer, read_answer, read_head, request
from tests.doubles.peers import Script
from tests.doubles.raw import Wire
from tests.doubles.scripts import HEAD_END, echoes_frames, in_turn, reads_only, sends, upgrades, waits_for
from tests.doubles.websocket_peers import Session, WebSocketServer, open_client
from tests.e2e.shared_site import BODY, Backend, Site, refused

RELAYS = ("/app/", "/tunnelled/", "/messaged/")
# For peers that never answer a Close.
PARTING = ("/parting/", "/parting/messaged/")
# The same relays in front of the library's server.
LIBRARY = ("/library/", "/library/tunnelled/", "/library/messaged/")


def opened(site: Site, path: str, listener: str = "web", **options: object) -> ClientConnection:
    """The library as a client, over TLS where the listener has it."""
    if listener == "secure":
        context = ssl.create_default_context(cafile=str(site.ca_path))
        return open_client(site.gateway.url(listener, path, "wss"), ssl=context, **options)
    return open_client(site.gateway.url(listener, path), **options)


def session(library: WebSocketServer) -> Session:
    """The one that was opened last; the client has been answered, so it is there."""
    return library.sessions[-1]


# The handshake


@pytest.mark.parametrize("path", LIBRARY)
def test_what_the_client_says_reaches_the_server(site: Site, library: WebSocketServer, path: str) -> None:
    origin = site.gateway.url("web", "", "http")
    fields = {"Cookie": "a=1; b=2", "Authorization": "Bearer x", "X-Own": "1", "User-Agent": "t"}
    with opened(site, f"{path}room?x=%20", additional_headers=fields, origin=origin) as client:
        client.send("hello")
        assert client.recv() == "hello"
        found = session(library)
        assert found.path == f"{path}room?x=%20"
        for name, value in fields.items():
            assert found.header(name) == [value]
        assert found.header("Origin") == [origin]
        assert found.header("X-Forwarded-For") == ["127.0.0.1"]
        assert found.header("X-Forwarded-Proto") == ["http"]
        assert found.header("Host") == [f"localhost:{site.gateway.ports['web']}"]


@pytest.mark.parametrize("path", RELAYS)
def test_what_the_server_says_on_its_101_reaches_the_client(site: Site, app: Backend, path: str) -> None:
    heads: list[str] = []

    def opens(server: Wire) -> None:
        heads.append(server.until(HEAD_END).decode())
        server.unread[:0] = heads[0].encode()
        upgrades(
            echoes_frames,
            "Sec-WebSocket-Protocol: second",
            "Set-Cookie: a=1",
            "Set-Cookie: b=2",
            "X-Own: 1",
            "Server: theirs",
            "Keep-Alive: x",
            "Content-Length: 0",
        )(server)

    app.runs(opens)
    wire = site.connect()
    wire.send(
        upgrade_request(path, "localhost", "Sec-WebSocket-Protocol: first, second", "Sec-WebSocket-Protocol: third")
    )
    head = read_head(wire)
    assert head.status == 101
    assert head.get("Sec-WebSocket-Protocol") == "second"
    assert head.all("Set-Cookie") == ["a=1", "b=2"]
    assert (head.get("X-Own"), head.get("Keep-Alive"), head.get("Content-Length")) == ("1", None, None)
    assert [str(head.get(name)).lower() for name in ("Upgrade", "Connection")] == ["websocket", "upgrade"]
    assert "Sec-WebSocket-Protocol: first, second, third\r\n" in heads[0]
    wire.send(close(1000))
    assert read_frame(wire).close_code == 1000
    wire.expect_gone()
    record = site.record(wire)
    assert (record["kind"], record["status"], record["subprotocol"]) == ("websocket", 101, "second")


@pytest.mark.parametrize(
    ("path", "negotiated"),
    [("/library/", True), ("/library/tunnelled/", True), ("/library/unextended/", False)],
)
def test_extensions_are_between_the_ends_unless_the_route_strips_them(
    site: Site, library: WebSocketServer, path: str, negotiated: bool
) -> None:
    """permessage-deflate passes through opaque; a message of many equal letters arrives whole either way."""
    with opened(site, path) as client:
        names = [extension.name for extension in client.protocol.extensions]
        assert (names == ["permessage-deflate"]) is negotiated
        message = "compress me " * 10_000
        client.send(message)
        assert client.recv() == message


@pytest.mark.parametrize("path", LIBRARY)
@pytest.mark.parametrize("listener", ["web", "secure"])
def test_messages_pass_whole_and_in_order(site: Site, library: WebSocketServer, path: str, listener: str) -> None:
    messages: list[str | bytes] = [
        "",
        "hello",
        "ünïcödé \U0001f600",
        b"",
        b"\x00\xff" * 100,
        "x" * 126,
        b"y" * 65_536,
        "z" * 900_000,
    ]
    with opened(site, path, listener) as client:
        for message in messages:
            client.send(message)
        assert [client.recv(timeout=30) for _ in messages] == messages


def test_a_websocket_may_follow_requests_on_its_connection(site: Site, app: Backend) -> None:
    wire = site.connect()
    wire.send(request("GET", "/hello") + request("GET", "/app/"))
    assert [read_answer(wire).body for _ in range(2)] == [b"hello", BODY]
    app.runs(upgrades(echoes_frames))
    open_websocket(wire, "/app/")
    wire.send(text("hi"))
    assert read_frame(wire).payload == b"hi"
    wire.send(close(1000))
    assert read_frame(wire).opcode == CLOSE
    wire.expect_gone()
    records = site.records(wire, 3)
    assert [record["kind"] for record in records] == ["http", "http", "websocket"]
    assert records[2]["bytes_in"] == len(upgrade_request("/app/")) + len(text("hi")) + len(close(1000))
    assert sum(record["bytes_out"] for record in records) == wire.total


def test_pipelined_requests_come_before_the_websocket(site: Site, app: Backend) -> None:
    app.runs(upgrades(echoes_frames))
    wire = site.connect()
    wire.send(request("GET", "/hello") + upgrade_request("/app/") + text("hi"))
    assert read_answer(wire).body == b"hello"
    assert read_head(wire).status == 101
    assert read_frame(wire).payload == b"hi"


def test_curl_speaks_the_handshake(site: Site, app: Backend) -> None:
    app.runs(upgrades(lambda server: server.send(encode(TEXT, b"from the server", mask=b"") + close(1000, mask=b""))))
    fields = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {KEY}")
    command = ["curl", "-sS", "-i", "-N", "--http1.1", "--max-time", "30"]
    for field in fields:
        command += ["-H", field]
    url = site.gateway.url("secure", "/parting/", "https")
    finished = subprocess.run(
        [*command, "--cacert", str(site.ca_path), url], capture_output=True, timeout=60, check=False
    )
    assert finished.stdout.startswith(b"HTTP/1.1 101 Switching Protocols\r\n"), finished
    assert b"from the server" in finished.stdout


def test_curl_asking_for_http2_in_the_clear_gets_http1(site: Site, app: Backend) -> None:
    """It sends Connection: Upgrade, HTTP2-Settings."""
    finished = subprocess.run(
        ["curl", "-sS", "-i", "--http2", "-d", "a=b", site.gateway.url("web", "/app/", "http")],
        capture_output=True,
        timeout=60,
        check=True,
    )
    assert finished.stdout.startswith(b"HTTP/1.1 200")
    assert finished.stdout.endswith(BODY)
    seen = app.request()
    assert seen.body == b"a=b"
    assert not {name.lower() for name, _ in seen.fields} & {"upgrade", "http2-settings", "connection"}


# A server that does not upgrade


@pytest.mark.parametrize("path", RELAYS)
def test_a_refusal_reaches_the_client_as_it_is(site: Site, app: Backend, path: str) -> None:
    app.answers(answer(401, b'{"why":"token"}', "WWW-Authenticate: Bearer", "Content-Type: application/json"))
    with pytest.raises(InvalidStatus) as raised, opened(site, path):
        pass
    response = raised.value.response
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"] == "Bearer"
    assert response.headers["Connection"] == "close"
    assert response.body == b'{"why":"token"}'


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 503 Busy\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n5\r\nworld\r\n0\r\n\r\n",
        b"HTTP/1.1 503 Busy\r\nContent-Length: 10\r\n\r\nhelloworld",
        b"HTTP/1.0 503 Busy\r\n\r\nhelloworld",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 503 Busy\r\nContent-Length: 10\r\n\r\nhelloworld",
    ],
)
def test_a_refusal_may_be_framed_in_any_way(site: Site, app: Backend, data: bytes) -> None:
    app.runs(in_turn(waits_for(), sends(data)))
    wire = site.connect()
    wire.send(upgrade_request("/app/"))
    found = read_answer(wire)
    assert (found.status, found.start[2], found.body, found.get("Connection")) == (503, "Busy", b"helloworld", "close")
    wire.expect_eof()
    record = site.record(wire)
    assert (record["kind"], record["cause"], record["closed_by"]) == ("websocket", "server_refused", "server")


def test_a_large_refusal_arrives_although_frames_are_on_their_way(site: Site, app: Backend) -> None:
    body = b"x" * 300_000
    app.answers(answer(403, body))
    wire = site.connect(receive_buffer=4096)
    wire.send(upgrade_request("/app/") + text("early") * 1000)
    assert read_answer(wire).body == body
    wire.expect_eof()
    site.record(wire)


@pytest.mark.parametrize("path", ["/hasty/", "/hasty/tunnelled/", "/hasty/messaged/"])
def test_a_server_that_does_not_answer_the_handshake_is_a_504(site: Site, app: Backend, path: str) -> None:
    """handshake_timeout; both connections are closed."""
    app.runs(in_turn(waits_for(), lambda server: server.expect_reset()))
    refused(site, upgrade_request(path), 504, "answer_timeout")
    assert app.visit().wait_over().failure is None


@pytest.mark.parametrize(
    ("script", "status", "cause"),
    [
        (Wire.reset, 502, "server_lost"),
        (Wire.close, 502, "server_lost"),
        (sends(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: webs"), 502, "server_lost"),
        (sends(b"garbage" * 100), 502, "bad_answer"),
    ],
)
def test_a_server_that_fails_the_handshake_is_a_502(
    site: Site, app: Backend, script: Script, status: int, cause: str
) -> None:
    app.runs(in_turn(waits_for(), script))
    refused(site, upgrade_request("/app/"), status, cause)


def test_a_handshake_goes_to_the_next_server(site: Site, app: Backend) -> None:
    app.runs(upgrades(echoes_frames))
    for _ in range(2):
        wire = site.connect()
        open_websocket(wire, "/pair/")
        wire.send(text("hi"))
        assert read_frame(wire).payload == b"hi"
        wire.send(close(1000))
        wire.expect_gone()
        assert site.record(wire)["cause"] == "client_closed"


@pytest.mark.parametrize(
    ("path", "status", "cause"), [("/nowhere/", 502, "connect_failed"), ("/none/", 503, "no_server")]
)
def test_without_a_server_a_websocket_is_told(site: Site, path: str, status: int, cause: str) -> None:
    found = refused(site, upgrade_request(path), status, cause)
    assert found.get("Retry-After") == ("1" if status == 503 else None)


def test_a_client_that_leaves_during_the_handshake_takes_the_server_with_it(site: Site, app: Backend) -> None:
    def waits(server: Wire) -> None:
        server.until(HEAD_END)
        wire.close()
        server.expect_reset()

    app.runs(waits)
    wire = site.connect()
    port = wire.sock.getsockname()[1]
    wire.send(upgrade_request("/app/"))
    assert app.visit().wait_over().failure is None
    record = site.records_of(port)[0]
    assert (record["kind"], record["cause"]) == ("websocket", "client_closed")


# Frames


@pytest.mark.parametrize("path", [LIBRARY[0], LIBRARY[2]])
def test_pings_pass_both_ways(site: Site, library: WebSocketServer, path: str) -> None:
    with opened(site, path) as client:
        assert client.ping(b"from the client").wait(30)
        client.send("ping")
        assert client.recv(timeout=30) == "ponged"


def test_control_frames_pass_between_fragments(site: Site, app: Backend) -> None:
    """frames: everything as it is, each fragment a frame of its own."""
    app.runs(upgrades(echoes_frames))
    wire = site.connect()
    open_websocket(wire, "/app/")
    sent = [
        (TEXT, b"one ", False),
        (PING, b"between", True),
        (CONTINUATION, b"two ", False),
        (CONTINUATION, b"", False),
        (PONG, b"unasked", True),
        (CONTINUATION, b"three", True),
        (BINARY, b"\x00" * 70_000, True),
    ]
    for opcode, payload, fin in sent:
        wire.send_sliced(encode(opcode, payload, fin=fin), 3 if len(payload) < 100 else 5000)
    assert [(found.opcode, found.payload, found.fin) for found in (read_frame(wire) for _ in sent)] == sent
    wire.send(close(1000, "done"))
    assert read_frame(wire).close_reason == "done"
    wire.expect_gone()
    record = site.record(wire)
    assert (record["relay"], record["close_code"], record["close_reason"]) == ("frames", 1000, "done")
    assert (record["messages_in"], record["messages_out"]) == (2, 2)
    assert record["frames_in"] == record["frames_out"] == len(sent) + 1


@pytest.mark.parametrize("path", LIBRARY)
@pytest.mark.parametrize("code", [1000, 1001, 1008, 1011, 1012, 3000, 4999])
def test_the_clients_close_reaches_the_server(site: Site, library: WebSocketServer, path: str, code: int) -> None:
    with opened(site, path) as client:
        client.close(code, "because of ümlauts")
    found = session(library).wait_over()
    assert (found.close_code, found.close_reason) == (code, "because of ümlauts")
    assert client.close_code == code


@pytest.mark.parametrize("path", LIBRARY)
@pytest.mark.parametrize("code", [1000, 1001, 1008, 1011, 1012, 3000, 4999])
def test_the_servers_close_reaches_the_client(site: Site, library: WebSocketServer, path: str, code: int) -> None:
    with opened(site, path) as client:
        client.send(f"close {code} because of ümlauts")
        with pytest.raises(ConnectionClosed) as raised:
            client.recv(timeout=30)
    received = raised.value.rcvd
    assert received is not None
    assert (received.code, received.reason) == (code, "because of ümlauts")


@pytest.mark.parametrize("path", RELAYS)
def test_a_close_without_a_code_stays_one(site: Site, app: Backend, path: str) -> None:
    seen: list[bytes] = []

    def closes(server: Wire) -> None:
        frame = read_frame(server)
        seen.append(frame.payload)
        server.send(close(None, mask=b""))

    app.runs(upgrades(closes))
    wire = site.connect()
    open_websocket(wire, path)
    wire.send(close(None))
    frame = read_frame(wire)
    assert (frame.opcode, frame.payload) == (CLOSE, b"")
    wire.expect_gone()
    app.visit().wait_over()
    assert seen == [b""]
    record = site.record(wire)
    # A tunnel knows no frames: it sees who ends the stream.
    closer = "server" if path == "/tunnelled/" else "client"
    assert (record["cause"], record["closed_by"]) == (f"{closer}_closed", closer)


@pytest.mark.parametrize("path", [LIBRARY[0], LIBRARY[2]])
def test_a_server_that_is_lost_is_a_1011(site: Site, library: WebSocketServer, path: str) -> None:
    with opened(site, path) as client:
        client.send("drop")
        with pytest.raises(ConnectionClosed) as raised:
            client.recv(timeout=30)
    received = raised.value.rcvd
    assert received is not None and received.code == 1011


@pytest.mark.parametrize("path", [*PARTING, "/tunnelled/"])
def test_a_client_that_is_lost_takes_its_server_with_it(site: Site, app: Backend, path: str) -> None:
    app.runs(upgrades(reads_only))
    wire = site.connect()
    port = wire.sock.getsockname()[1]
    open_websocket(wire, path)
    wire.reset()
    app.visit().wait_over()
    record = site.records_of(port)[0]
    assert (record["cause"], record["closed_by"], record["status"]) == ("client_lost", "client", 101)


@pytest.mark.parametrize("path", PARTING)
def test_a_frame_that_is_not_masked_ends_the_websocket(site: Site, app: Backend, path: str) -> None:
    """Nothing of it reaches the server: unmasked bytes could be a request to whoever reads along."""
    seen: list[int] = []

    def reads(server: Wire) -> None:
        frame = read_frame(server)
        seen.append(frame.opcode)
        server.expect_gone()

    app.runs(upgrades(reads))
    wire = site.connect()
    open_websocket(wire, path)
    wire.send(encode(TEXT, b"GET / HTTP/1.1\r\n\r\n", mask=b""))
    assert read_frame(wire).close_code == 1002
    wire.expect_gone()
    app.visit().wait_over()
    assert seen == [CLOSE]
    assert site.record(wire)["cause"] == "client_protocol"


def test_records_count_messages_and_bytes(site: Site, app: Backend) -> None:
    app.runs(upgrades(echoes_frames))
    wire = site.connect("secure")
    open_websocket(wire, "/app/", "localhost", "Origin: https://localhost", "User-Agent: t")
    for n in range(10):
        wire.send(text(f"message {n}"))
        read_frame(wire)
    wire.send(close(4000, "bye"))
    assert read_frame(wire).close_code == 4000
    wire.expect_gone()
    record = site.record(wire)
    wanted = {
        "kind": "websocket",
        "listener": "secure",
        "path": "/app/",
        "status": 101,
        "origin": "https://localhost",
        "route": "app",
        "server": app.address,
        "relay": "frames",
        "close_code": 4000,
        "close_reason": "bye",
        "frames_in": 11,
        "frames_out": 11,
        "messages_in": 10,
        "messages_out": 10,
        "bytes_out": wire.total,
        "cause": "client_closed",
        "closed_by": "client",
    }
    assert {name: record.get(name) for name in wanted} == wanted


def test_a_plain_request_for_a_websocket_is_answered_by_its_server(site: Site, app: Backend) -> None:
    app.answers(answer(426, b"use a WebSocket\n", "Upgrade: websocket", "Connection: Upgrade"))
    wire, found = site.ask(request("GET", "/app/ws"))
    assert (found.status, found.body) == (426, b"use a WebSocket\n")
    assert site.record(wire)["kind"] == "http"
