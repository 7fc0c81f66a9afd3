"""An upgrade is no way past the routes: a tunnel opens after a right request and a right 101, and never else."""

from __future__ import annotations

import pytest

from tests.conftest import StartGateway
from tests.doubles.frames import KEY, accept_for, open_websocket, read_frame, text, upgrade_request
from tests.doubles.http import answer, read_answer, read_head, request
from tests.doubles.raw import Wire
from tests.doubles.scripts import HEAD_END, echoes_frames, in_turn, reads_only, sends, upgrades, waits_for
from tests.doubles.waiting import until
from tests.e2e.shared_site import BODY, Backend, Site, refused

INTERNAL = request("GET", "/internal")


def changed(old: str, new: str, path: str = "/app/ws") -> bytes:
    """A right WebSocket request with one thing in it replaced, and a request behind it."""
    data = upgrade_request(path)
    assert old.encode() in data
    return data.replace(old.encode(), new.encode("latin-1")) + INTERNAL


KEY_LINE = f"Sec-WebSocket-Key: {KEY}\r\n"
VERSION_LINE = "Sec-WebSocket-Version: 13\r\n"
UPGRADE_LINE = "Upgrade: websocket\r\n"


@pytest.mark.parametrize(
    ("data", "status", "cause"),
    [
        pytest.param(changed("Version: 13", "Version: 777"), 426, "upgrade_required", id="version 777"),
        pytest.param(changed("Version: 13", "Version: 7"), 426, "upgrade_required", id="version 7"),
        pytest.param(changed("Version: 13", "Version: 13, 8"), 426, "upgrade_required", id="a list of versions"),
        pytest.param(changed(VERSION_LINE, ""), 426, "upgrade_required", id="no version"),
        pytest.param(changed(VERSION_LINE, VERSION_LINE * 2), 400, "bad_request", id="two versions"),
        pytest.param(changed(KEY_LINE, ""), 400, "bad_request", id="no key"),
        pytest.param(changed(KEY_LINE, KEY_LINE * 2), 400, "bad_request", id="two keys"),
        pytest.param(changed(KEY, "AAAA"), 400, "bad_request", id="a short key"),
        pytest.param(changed(KEY, "!" * 24), 400, "bad_request", id="a key that is no base64"),
        pytest.param(changed(UPGRADE_LINE, UPGRADE_LINE * 2), 400, "bad_request", id="two Upgrades"),
        pytest.param(changed(UPGRADE_LINE, "Upgrade: websocket, h2c\r\n"), 400, "bad_request", id="and h2c"),
        pytest.param(changed("GET", "POST"), 405, "method", id="POST"),
        pytest.param(changed("GET", "HEAD"), 405, "method", id="HEAD"),
        pytest.param(changed("HTTP/1.1", "HTTP/1.0"), 400, "bad_request", id="HTTP/1.0"),
        pytest.param(changed("/app/ws", "/app/ws#x"), 400, "bad_request", id="a fragment"),
        pytest.param(changed(UPGRADE_LINE, UPGRADE_LINE + "Content-Length: 5\r\n"), 400, "bad_request", id="a body"),
        pytest.param(
            changed(UPGRADE_LINE, UPGRADE_LINE + "Transfer-Encoding: chunked\r\n"), 400, "bad_request", id="chunks"
        ),
        pytest.param(
            changed(UPGRADE_LINE, UPGRADE_LINE + "Origin: http://a\r\nOrigin: http://b\r\n"),
            400,
            "bad_request",
            id="two Origins",
        ),
        pytest.param(
            changed(UPGRADE_LINE, UPGRADE_LINE + "Sec-WebSocket-Protocol: a,,b\r\n"), 400, "bad_request", id="a hole"
        ),
        pytest.param(
            changed(UPGRADE_LINE, UPGRADE_LINE + "Sec-WebSocket-Extensions: ;\r\n"),
            400,
            "bad_request",
            id="a semicolon",
        ),
    ],
)
def test_a_handshake_that_is_not_right_reaches_no_server(
    site: Site, app: Backend, data: bytes, status: int, cause: str
) -> None:
    """The gateway answers itself and closes; what is pipelined behind the request is not read as one."""
    refused(site, data, status, cause)
    assert not app.taken


@pytest.mark.parametrize(
    ("path", "origin", "cookie", "cause"),
    [
        ("/guarded/", "https://evil", "", "origin"),
        ("/guarded/", "https://good.evil.com", "", "origin"),
        ("/guarded/", "https://good.example.evil.com", "", "origin"),
        ("/guarded/", "http://good.example", "", "origin"),
        ("/guarded/", "https://good.example:444", "", "origin"),
        ("/guarded/", "null", "", "origin"),
        ("/guarded/", "http://localhost.evil", "", "origin"),
        ("/app/ws", "https://evil", "Cookie: session=1", "origin"),
        ("/app/ws", "null", "Cookie: session=1", "origin"),
        ("/closed/", "http://localhost", "", "forbidden"),
    ],
)
def test_another_origin_gets_403_and_the_end(
    site: Site, app: Backend, path: str, origin: str, cookie: str, cause: str
) -> None:
    """Cross-site WebSocket hijacking: cookies ride along, so pages of others are refused before a server is dialled."""
    fields = [line for line in (f"Origin: {origin}" if origin else "", cookie) if line]
    refused(site, upgrade_request(path, "localhost", *fields) + INTERNAL, 403, cause)
    assert not app.taken


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/guarded/", ["Origin: https://good.example"]),
        ("/guarded/", ["Origin: HTTPS://Good.Example:443"]),
        ("/guarded/", ["Origin: http://localhost"]),
        ("/app/ws", ["Origin: https://evil"]),
        ("/app/ws", ["Origin: http://localhost", "Cookie: session=1"]),
        ("/app/ws", ["Cookie: session=1"]),
    ],
)
def test_an_origin_that_is_allowed_is_passed_on(site: Site, app: Backend, path: str, fields: list[str]) -> None:
    heads: list[bytes] = []

    def opens(server: Wire) -> None:
        heads.append(server.until(HEAD_END))
        server.send(switching())

    app.runs(opens)
    wire = site.connect()
    open_websocket(wire, path, "localhost", *fields)
    app.visit().wait_over()
    for field in fields:
        assert f"\r\n{field}\r\n".encode() in heads[0]


def switching(accept: str = "", *fields: str, status: str = "101 Switching Protocols") -> bytes:
    """A server's 101 for the key of the doubles, with further lines."""
    lines = (f"HTTP/1.1 {status}", *fields, f"Sec-WebSocket-Accept: {accept or accept_for(KEY)}")
    if not any(line.startswith("Upgrade") for line in fields):
        lines = (*lines, "Upgrade: websocket", "Connection: Upgrade")
    return "".join(f"{line}\r\n" for line in lines).encode() + b"\r\n"


WRONG_101 = {
    "a bare 101": b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
    "no accept": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    "another key's accept": switching("HSmrc0sMlYUkAGmm5OPpG2HaGWk="),
    "an accept in lower case": switching(accept_for(KEY).lower()),
    "two accepts": switching("", f"Sec-WebSocket-Accept: {accept_for(KEY)}"),
    "no Connection": switching("", "Upgrade: websocket"),
    "another Upgrade": switching("", "Upgrade: h2c", "Connection: Upgrade"),
    "two Upgrades": switching("", "Upgrade: websocket", "Upgrade: websocket", "Connection: Upgrade"),
    "HTTP/1.0": switching().replace(b"HTTP/1.1", b"HTTP/1.0"),
    "a subprotocol nobody asked for": switching("", "Sec-WebSocket-Protocol: chat"),
    "an extension nobody asked for": switching("", "Sec-WebSocket-Extensions: permessage-deflate"),
}


@pytest.mark.parametrize("path", ["/app/", "/tunnelled/", "/messaged/"])
@pytest.mark.parametrize("data", list(WRONG_101.values()), ids=list(WRONG_101))
def test_a_101_that_is_not_right_opens_nothing(site: Site, app: Backend, data: bytes, path: str) -> None:
    """502 for the client, a cut for the server, and not a byte from behind the request for it."""
    heads: list[bytes] = []

    def switches(server: Wire) -> None:
        heads.append(server.until(HEAD_END))
        server.send(data + b"\x81\x02hi")
        server.expect_reset()
        heads.append(bytes(server.unread))

    app.runs(switches)
    refused(site, upgrade_request(path) + INTERNAL, 502, "bad_answer")
    assert app.visit().wait_over().failure is None
    assert len(heads) == 2 and not heads[1]


def test_the_accept_of_the_slide_is_wrong(site: Site, app: Backend) -> None:
    """HSmerc0s for HSmrc0s: one sign more than the right answer to this key."""
    key = "x3JJHMbDL1EzLkh9GBhXDw=="
    app.runs(in_turn(waits_for(), sends(switching("HSmerc0sMlYUkAGmm5OPpG2HaGWk="))))
    refused(site, upgrade_request("/app/", key=key), 502, "bad_answer")
    app.runs(in_turn(waits_for(), sends(switching("HSmrc0sMlYUkAGmm5OPpG2HaGWk=")), reads_only))
    wire = site.connect()
    wire.send(upgrade_request("/app/", key=key))
    assert read_head(wire).status == 101


@pytest.mark.parametrize("path", ["/app/", "/tunnelled/", "/messaged/"])
@pytest.mark.parametrize("size", [0, 1])
def test_no_byte_reaches_a_server_before_its_101(site: Site, app: Backend, path: str, size: int) -> None:
    """What the client sends behind its request waits, and then goes first; the server's early frames are not lost."""
    behind: list[object] = []

    def opens(server: Wire) -> None:
        server.until(HEAD_END)
        server.expect_silence(0.15)
        server.send(switching() + b"\x81\x05early")
        behind.append(read_frame(server).payload)
        behind.append(read_frame(server).payload)

    app.runs(opens)
    wire = site.connect()
    data = upgrade_request(path) + text("first") + text("second")
    if size:
        wire.send_sliced(data, size)
    else:
        wire.send(data)
    assert read_head(wire).status == 101
    assert read_frame(wire).payload == b"early"
    assert app.visit().wait_over().failure is None
    assert behind == [b"first", b"second"]


@pytest.mark.parametrize("path", ["/app/", "/tunnelled/", "/messaged/"])
@pytest.mark.parametrize("then", ["200 OK", "403 Forbidden", "301 Moved"])
def test_an_answer_that_is_no_101_opens_nothing(site: Site, app: Backend, path: str, then: str) -> None:
    """Whatever its fields say it is relayed as the plain answer it is; the client's bytes go nowhere."""
    rest: list[bytes] = []

    def refuses(server: Wire) -> None:
        server.until(HEAD_END)
        server.send(switching("", "Content-Length: 4", "X-Kept: 1", status=then) + b"body")
        server.expect_gone()
        rest.append(bytes(server.unread))

    app.runs(refuses)
    wire = site.connect()
    wire.send(upgrade_request(path) + request("GET", "/admin"))
    found = read_answer(wire)
    assert (" ".join(found.start[1:]), found.body, found.get("X-Kept")) == (then, b"body", "1")
    assert (found.get("Upgrade"), found.get("Sec-WebSocket-Accept"), found.get("Connection")) == (None, None, "close")
    wire.expect_eof()
    assert app.visit().wait_over().failure is None
    assert rest == [b""]
    record = site.record(wire)
    assert (record["kind"], record["cause"], record["status"]) == ("websocket", "server_refused", found.status)


def test_a_post_is_no_upgrade_whatever_the_server_says(site: Site, app: Backend) -> None:
    """Upgrade without Connection: the request is plain, and a 101 to it opens nothing."""
    heads: list[bytes] = []

    def switches(server: Wire) -> None:
        heads.append(server.until(HEAD_END))
        server.send(switching())
        server.expect_reset()

    app.runs(switches)
    data = request("POST", "/app/health?u=evil", "Upgrade: websocket", f"Sec-WebSocket-Key: {KEY}")
    refused(site, data + INTERNAL, 502, "bad_answer")
    assert app.visit().wait_over().failure is None
    assert b"upgrade" not in heads[0].lower() and b"sec-websocket" not in heads[0].lower()


@pytest.mark.parametrize("upgrade", ["h2c", "foo", "TLS/1.2", "websocket2", "foo, bar"])
def test_other_upgrades_are_not_known(site: Site, app: Backend, upgrade: str) -> None:
    """The request goes on without them, and so does the connection."""
    wire, found = site.ask(request("GET", "/app/", "Connection: Upgrade", f"Upgrade: {upgrade}"))
    assert found.body == BODY
    assert app.request().get("Upgrade") is None
    wire.send(request("GET", "/hello"))
    assert read_answer(wire).body == b"hello"


@pytest.mark.parametrize(
    "fields", [("Sec-WebSocket-Version: 7",), ("Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: x")]
)
def test_handshake_fields_without_an_upgrade_end_here(site: Site, app: Backend, fields: tuple[str, ...]) -> None:
    """Some servers upgrade on the version alone."""
    assert site.ask(request("GET", "/app/", *fields))[1].body == BODY
    assert not [name for name, _ in app.request().fields if name.lower().startswith("sec-websocket")]


def test_connection_cannot_take_away_what_the_gateway_says(site: Site, app: Backend) -> None:
    heads: list[bytes] = []

    def opens(server: Wire) -> None:
        heads.append(server.until(HEAD_END))
        server.send(switching())

    app.runs(opens)
    data = upgrade_request("/app/").replace(
        b"Connection: Upgrade",
        b"Connection: Upgrade, X-Forwarded-For, Host, Sec-WebSocket-Key, X-Private\r\nX-Private: 1",
    )
    wire = site.connect()
    wire.send(data)
    assert read_head(wire).status == 101
    app.visit().wait_over()
    assert b"\r\nX-Forwarded-For: 127.0.0.1\r\n" in heads[0]
    assert b"\r\nConnection: Upgrade\r\n" in heads[0]
    assert b"\r\nHost: localhost\r\n" in heads[0]
    assert f"\r\nSec-WebSocket-Key: {KEY}\r\n".encode() in heads[0]
    assert b"X-Private" not in heads[0]


@pytest.mark.parametrize("data", [answer(200, b"no"), answer(426, b"no"), answer(101, b"")])
def test_a_connection_that_was_to_be_upgraded_is_never_used_again(site: Site, app: Backend, data: bytes) -> None:
    path = site.pool()
    app.runs(in_turn(waits_for(), sends(data), lambda server: server.expect_gone()))
    wire = site.connect()
    wire.send(upgrade_request(path))
    assert read_answer(wire).status in {200, 426, 502}
    app.visit().wait_over()
    app.runs(in_turn(waits_for(), sends(answer(200, BODY))))
    assert site.ask(request("GET", path))[1].body == BODY
    assert len(app.taken) == 2


def test_an_upgrade_takes_no_connection_that_was_used_before(site: Site, app: Backend) -> None:
    path = site.pool()
    assert site.ask(request("GET", path))[1].body == BODY
    app.runs(upgrades(reads_only))
    open_websocket(site.connect(), path)
    assert len(app.taken) == 2


def test_upgrades_to_files_and_fixed_answers_end_their_connection(site: Site) -> None:
    """Frames that follow in good faith must not be read as requests."""
    for path, status in (("/", 200), ("/hello", 200), ("/missing", 404), ("/moved/a", 302), ("/reading", 200)):
        wire = site.connect()
        wire.send(upgrade_request(path) + text("frame") + request("GET", "/hello"))
        found = read_answer(wire)
        assert (found.status, found.get("Connection")) == (status, "close")
        wire.expect_eof()
        record = site.record(wire)
        assert (record["kind"], record["status"]) == ("websocket", status)


def test_a_thousand_resets_right_after_the_upgrade_leave_nothing(start_gateway: StartGateway, app: Backend) -> None:
    """Before the 101, behind it, and inside a frame: the process lives, and every descriptor comes back."""
    app.runs(upgrades(echoes_frames))
    ini = """
[listener web]
bind = 127.0.0.1:{web}

[route app]
upstream = app

[upstream app]
servers = {app} max_fails=0
"""
    gateway = start_gateway(ini, app=app.address)
    with gateway.connect("web") as wire:
        open_websocket(wire)
        wire.send(text("warm"))
        assert read_frame(wire).payload == b"warm"
    until(lambda: len(gateway.records()) == 1, "the first record")
    before = gateway.fds()
    for n in range(1000):
        wire = gateway.connect("web")
        if n % 4 == 0:
            wire.send(upgrade_request())
        else:
            open_websocket(wire)
            wire.send((b"", b"\x81\x85\x00\x00", text("hello"))[n % 3])
        wire.reset()
    until(lambda: gateway.fds() <= before, "all descriptors back", timeout=60)
    records = gateway.records(1001)
    assert len(records) == 1001
    assert {record["cause"] for record in records[1:]} <= {"client_lost", "client_closed"}
    with gateway.connect("web") as wire:
        open_websocket(wire)
        wire.send(text("alive"))
        assert read_frame(wire).payload == b"alive"
