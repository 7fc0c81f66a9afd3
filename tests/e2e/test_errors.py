"""Every status of the table of causes, as a client gets it over plain TCP and TLS."""

from __future__ import annotations

import pytest

from tests.doubles.frames import upgrade_request
from tests.doubles.http import read_answer, request
from tests.doubles.raw import Wire
from tests.doubles.scripts import in_turn, sends, waits_for
from tests.e2e.shared_site import Backend, Site, refused

LONG = "x" * 20_000
SWITCHING = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
NOISE = (b"", b"\n", b"GET", b"\x16\x03\x01\x00\xff", b"\xff" * 300, b"HELO x\r\n", b"GET / HTTP/1.1\r\nHost: a\r\n")

CASES = [
    (400, "bad_request", request("GET", "/app/", "A : b")),
    (403, "origin", upgrade_request("/guarded/", "localhost", "Origin: https://evil.example")),
    (403, "forbidden", upgrade_request("/closed/")),
    (405, "method", request("CONNECT", "localhost:80")),
    (413, "body_size", request("POST", "/app/", "Content-Length: 1048577")),
    (417, "expectation", request("POST", "/app/", "Content-Length: 1", "Expect: x")),
    (426, "upgrade_required", upgrade_request("/app/").replace(b"Version: 13", b"Version: 12")),
    (431, "head_size", request("GET", f"/{LONG}")),
    (501, "not_implemented", request("POST", "/app/", "Transfer-Encoding: br")),
    (502, "connect_failed", request("GET", "/nowhere/")),
    (503, "no_server", request("GET", "/none/")),
    (505, "version", request("GET", "/").replace(b"HTTP/1.1", b"HTTP/3.0")),
]


@pytest.mark.parametrize("listener", ["web", "secure"])
@pytest.mark.parametrize(("status", "cause", "data"), CASES, ids=[f"{status} {cause}" for status, cause, _ in CASES])
def test_a_status_of_the_table(site: Site, app: Backend, status: int, cause: str, data: bytes, listener: str) -> None:
    """Short plain text without the request, caches kept out, and the connection ends in good order behind it."""
    found = refused(site, data, status, cause, listener)
    assert 0 < len(found.body) < 60 and found.body.endswith(b"\n")
    assert found.get("Cache-Control") == "no-store"
    assert found.get("X-Content-Type-Options") == "nosniff"
    assert found.get("Date")
    assert found.get("Server") is None
    assert (found.get("Retry-After") is not None) == (status == 503)
    assert (found.get("Allow") is not None) == (status == 405)
    assert not app.taken


def test_a_426_says_what_is_spoken(site: Site) -> None:
    data = upgrade_request("/app/").replace(b"Version: 13", b"Version: 8")
    found = refused(site, data, 426, "upgrade_required")
    assert found.get("Upgrade") == "websocket"
    assert found.get("Connection") == "close, Upgrade"
    assert found.get("Sec-WebSocket-Version") == "13"


@pytest.mark.parametrize(("name", "host"), [("localhost", "other.example"), ("other.example", "localhost")])
def test_a_host_that_belongs_to_another_certificate_is_a_421(site: Site, app: Backend, name: str, host: str) -> None:
    """A client of one name's certificate gets nothing of the other's, over HTTP or WebSocket."""
    for data in (request("GET", "/app/", host=host), upgrade_request("/app/", f"{host}:443")):
        wire = site.connect("secure", server_name=name)
        wire.send(data)
        assert read_answer(wire).status == 421
        wire.expect_eof()
        assert site.record(wire)["cause"] == "misdirected"
    assert not app.taken


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "localhost:8443", "localhost.", "unknown.example", "[::1]"])
def test_a_host_of_the_certificate_that_was_served_is_answered(site: Site, host: str) -> None:
    """Names of no certificate, and addresses, belong to the first one."""
    wire, found = site.ask(request("GET", "/hello", host=host), "secure")
    assert found.status == 200
    assert site.record(wire)["cause"] == "done"


@pytest.mark.parametrize(
    ("script", "status", "cause"),
    [
        (sends(b"garbage\r\n\r\n"), 502, "bad_answer"),
        (
            sends(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"),
            502,
            "bad_answer",
        ),
        (Wire.reset, 502, "server_lost"),
        (Wire.expect_gone, 504, "answer_timeout"),
    ],
)
def test_a_server_that_fails(site: Site, app: Backend, script: object, status: int, cause: str) -> None:
    assert callable(script)
    app.runs(in_turn(waits_for(), script))
    refused(site, request("GET", "/hasty/" if status == 504 else "/app/"), status, cause)


def test_an_error_without_an_unread_body_keeps_the_connection(site: Site) -> None:
    """404 and 405 are answers like any other."""
    wire = site.connect()
    wire.send(request("GET", "/missing") + request("PUT", "/digits.txt", body=b"x") + request("GET", "/hello"))
    assert [read_answer(wire).status for _ in range(3)] == [404, 405, 200]
    assert [record["cause"] for record in site.records(wire, 3)] == ["no_route", "method", "done"]


def test_http_on_a_port_that_speaks_tls_is_told_so(site: Site) -> None:
    wire = site.gateway.connect("secure")
    wire.send(request("GET", "/"))
    found = read_answer(wire)
    assert (found.status, found.body) == (400, b"bad request: this port speaks TLS\n")
    wire.expect_eof()
    assert site.record(wire)["cause"] == "tls_failed"
    wire.close()


def test_noise_disturbs_nobody(site: Site) -> None:
    """Connections that say nothing of use are closed, and others are served meanwhile."""
    wires = []
    for data in (
        b"",
        b"\n",
        b"GET",
        b"\x16\x03\x01\x00\xff",
        b"\xff" * 300,
        b"HELO x\r\n",
        request("GET", "/hello")[:-2],
    ):
        wire = site.connect()
        wire.send(data)
        wire.half_close()
        wires.append(wire)
    for wire in wires:
        wire.expect_gone()
    assert site.ask(request("GET", "/hello"))[1].status == 200
