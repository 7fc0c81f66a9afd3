"""Requests answered by servers: what each side is told of the other, what is used again, what is tried again."""

from __future__ import annotations

import threading

import pytest

from tests.doubles.http import Message, answer, read_answer, read_head, read_request, request
from tests.doubles.raw import Wire
from tests.doubles.scripts import in_turn, resets, sends, waits_for
from tests.doubles.waiting import until
from tests.e2e.shared_site import BODY, Backend, Site, refused

# What each side is told


def test_the_servers_fields_reach_the_client_but_those_of_one_connection(site: Site, app: Backend) -> None:
    app.answers(
        answer(
            418,
            BODY,
            "Set-Cookie: a=1",
            "Set-Cookie: b=2",
            "X-Empty:",
            "Server: theirs",
            "Date: theirs too",
            "Connection: close, X-Hop",
            "X-Hop: 1",
            "Keep-Alive: timeout=5",
            "Proxy-Authenticate: Basic",
            "Upgrade: h2c",
            "Sec-WebSocket-Accept: x",
            "WWW-Authenticate: Basic",
            reason="I'm a teapot",
        )
    )
    wire, found = site.ask(request("GET", "/app/"))
    assert found.start == ("HTTP/1.1", "418", "I'm a teapot")
    assert found.fields == [
        ("Content-Length", str(len(BODY))),
        ("Set-Cookie", "a=1"),
        ("Set-Cookie", "b=2"),
        ("X-Empty", ""),
        ("Server", "theirs"),
        ("Date", "theirs too"),
        ("WWW-Authenticate", "Basic"),
    ]
    wire.send(request("GET", "/hello"))
    assert read_answer(wire).body == b"hello"


def test_the_clients_fields_reach_the_server_in_order(site: Site, app: Backend) -> None:
    fields = ("Cookie: a=1", "Accept: */*", "X-Twice: 1", "x-twice: 2", "Authorization: Bearer x", "User-Agent: t")
    site.ask(request("GET", "/app/", *fields, host="Site.Example:8080"))
    seen = app.request()
    assert seen.fields[:7] == [
        ("Host", "Site.Example:8080"),
        ("Cookie", "a=1"),
        ("Accept", "*/*"),
        ("X-Twice", "1"),
        ("x-twice", "2"),
        ("Authorization", "Bearer x"),
        ("User-Agent", "t"),
    ]


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_methods_pass_as_they_are(site: Site, app: Backend, method: str) -> None:
    app.responds(lambda seen: answer(200, b"" if seen.method == "HEAD" else BODY))
    _, found = site.ask(request(method, "/app/x"))
    assert found.status == 200
    assert app.request().start == (method, "/app/x", "HTTP/1.1")


def test_the_server_is_told_of_tls(site: Site, app: Backend) -> None:
    wire, _ = site.ask(request("GET", "/app/"), "secure")
    seen = app.request()
    assert seen.get("X-Forwarded-Proto") == "https"
    assert seen.get("X-Forwarded-Port") == str(site.gateway.ports["secure"])
    assert seen.get("Forwarded") == "for=127.0.0.1;proto=https;host=localhost"
    record = site.record(wire)
    assert (record["tls_name"], record["tls_version"]) == ("localhost", "TLSv1.3")


def test_h2c_is_stripped_as_curl_sends_it(site: Site, app: Backend) -> None:
    fields = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA")
    wire, found = site.ask(request("GET", "/app/", *fields))
    assert found.body == BODY
    names = {name.lower() for name, _ in app.request().fields}
    assert not names & {"connection", "upgrade", "http2-settings"}
    wire.send(request("GET", "/hello"))
    assert read_answer(wire).body == b"hello"
    assert {record["kind"] for record in site.records(wire, 2)} == {"http"}


def test_records_tell_the_way_of_a_request(site: Site, app: Backend) -> None:
    wire, _ = site.ask(request("GET", "/app/x?secret=1", "User-Agent: t", "Referer: http://r/?q=1"))
    record = site.record(wire)
    wanted = {
        "kind": "http",
        "listener": "web",
        "client": "127.0.0.1",
        "method": "GET",
        "host": "localhost",
        "path": "/app/x",
        "version": "1.1",
        "status": 200,
        "user_agent": "t",
        "route": "app",
        "upstream": "app",
        "server": app.address,
        "tries": 1,
        "cause": "done",
    }
    assert {name: record.get(name) for name in wanted} == wanted
    assert "secret" not in str(record)
    assert 0 <= record["connect_time"] <= record["answer_time"] <= record["duration"] < 5


# Connections that are used again


def test_a_connection_is_used_again(site: Site, app: Backend) -> None:
    """By the next request, whoever sends it, as long as nothing is left of the one before."""
    path = site.pool()
    for data in (request("GET", path), request("POST", path, body=b"x" * 1000), request("HEAD", path)):
        app.responds(lambda seen: answer(200, b"" if seen.method == "HEAD" else BODY))
        assert site.ask(data)[1].status == 200
    assert len(app.taken) == 1
    assert [seen.method for seen in app.requests] == ["GET", "POST", "HEAD"]


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(answer(200, BODY, "Connection: close"), id="the server says close"),
        pytest.param(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi", id="HTTP/1.0"),
        pytest.param(answer(200, BODY) + answer(200, b"for the next"), id="bytes behind the answer"),
        pytest.param(answer(200, BODY) + b"\r\n", id="an empty line behind the answer"),
    ],
)
def test_a_connection_with_something_left_is_not_used_again(site: Site, app: Backend, data: bytes) -> None:
    path = site.pool()
    app.answers(data)
    first = site.ask(request("GET", path))[1]
    app.answers(answer(200, b"second"))
    assert first.status == 200
    assert site.ask(request("GET", path))[1].body == b"second"
    assert len(app.taken) == 2


def test_an_answer_without_a_question_never_reaches_a_client(site: Site, app: Backend) -> None:
    """A server that speaks on an idle connection loses it."""
    path = site.pool()
    went = threading.Event()

    def speaks(server: Wire) -> None:
        read_request(server)
        server.send(answer(200, BODY))
        assert went.wait(30)
        server.send(answer(200, b"poison"))
        server.expect_reset()

    app.runs(speaks)
    assert site.ask(request("GET", path))[1].body == BODY
    went.set()
    app.visit().wait_over()
    app.runs(in_turn(waits_for(), sends(answer(200, b"second"))))
    assert site.ask(request("GET", path))[1].body == b"second"


def test_a_connection_whose_upload_was_not_read_whole_is_not_used_again(site: Site, app: Backend) -> None:
    path = site.pool()

    def refuses(server: Wire) -> None:
        read_head(server)
        server.send(answer(200, b"early"))
        server.expect_gone()

    app.runs(refuses)
    wire = site.connect()
    wire.send(f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nhalf".encode())
    assert read_answer(wire).body == b"early"
    assert app.visit().wait_over().failure is None
    wire.send(b"x" * 996 + request("GET", "/hello"))
    assert read_answer(wire).body == b"hello"


def test_only_so_many_idle_connections_are_kept(site: Site, app: Backend) -> None:
    path = site.pool()
    together = threading.Barrier(4)

    def respond(seen: Message) -> bytes:
        together.wait(30)
        return answer(200, BODY)

    app.responds(respond)
    wires = [site.connect() for _ in range(4)]
    for wire in wires:
        wire.send(request("GET", path))
    assert all(read_answer(wire).body == BODY for wire in wires)
    until(lambda: sum(not visit.over.is_set() for visit in app.taken) == 2, "two idle connections")


def test_a_stale_connection_costs_a_free_try(site: Site, app: Backend) -> None:
    """The server closes the connection just as the next request is on it: asked anew, the client notices nothing."""
    path = site.pool()
    app.runs(in_turn(waits_for(), sends(answer(200, BODY)), waits_for()))
    site.ask(request("GET", path))
    app.runs(in_turn(waits_for(), sends(answer(200, b"fresh"))))
    wire, found = site.ask(request("GET", path))
    assert (found.status, found.body) == (200, b"fresh")
    record = site.record(wire)
    assert (record["cause"], record["tries"]) == ("done", 1)
    assert len(app.taken) == 2


def test_a_request_that_may_have_had_its_effect_is_not_sent_twice(site: Site, app: Backend) -> None:
    """RFC 9110 section 9.2.2: a proxy repeats no POST, not even on a connection that may have been stale."""
    path = site.pool()
    app.runs(in_turn(waits_for(), sends(answer(200, BODY)), waits_for()))
    site.ask(request("GET", path))
    app.runs(in_turn(waits_for(), sends(answer(200, b"fresh"))))
    refused(site, request("POST", path), 502, "server_lost")
    assert len(app.taken) == 1


def test_an_idle_connection_that_the_server_closes_is_forgotten(site: Site, app: Backend) -> None:
    path = site.pool()
    app.runs(in_turn(waits_for(), sends(answer(200, BODY))))
    assert site.ask(request("GET", path))[1].body == BODY
    app.visit().wait_over()
    wire, found = site.ask(request("POST", path, body=b"x"))
    assert found.body == BODY
    assert site.record(wire)["tries"] == 1


def test_a_slow_client_leaves_the_connection_fit_for_the_next(site: Site, app: Backend) -> None:
    """The server's leg was paused at the end of the exchange: it must not stay so."""
    path = site.pool()
    app.answers(answer(200, bytes(6 * 2**20)))
    wire = site.connect(receive_buffer=4096)
    wire.send(request("GET", path))
    until(lambda: app.requests, "a request")
    assert len(read_answer(wire).body) == 6 * 2**20
    app.answers(answer(200, BODY))
    assert site.ask(request("GET", path))[1].body == BODY
    assert len(app.taken) == 1


# Failures


def test_a_server_that_is_not_there_is_passed_over(site: Site, app: Backend) -> None:
    for _ in range(2):
        wire, found = site.ask(request("POST", "/pair/", body=b"x"))
        assert found.body == BODY
        assert site.record(wire)["tries"] in {1, 2}
    assert len(app.requests) == 2


def test_a_lost_get_is_asked_of_the_next_server(site: Site, app: Backend) -> None:
    """As proxy_next_upstream: nothing has reached the client.  Here no other is left, so it learns the last fault."""
    app.runs(in_turn(waits_for(), resets))
    wire, found = site.ask(request("GET", "/pair/"))
    assert found.status == 502
    assert site.record(wire)["tries"] == 2
    assert len(app.taken) == 1


@pytest.mark.parametrize(
    ("target", "status", "cause"),
    [("/nowhere/", 502, "connect_failed"), ("/none/", 503, "no_server")],
)
def test_without_a_server_the_client_is_told(site: Site, target: str, status: int, cause: str) -> None:
    found = refused(site, request("GET", target), status, cause)
    assert found.get("Retry-After") == ("1" if status == 503 else None)
    refused(site, request("POST", target, body=b"x" * 100_000), status, cause)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"HTTP/1.1 200",
        b"HTTP/1.1 100 Continue\r\n\r\n",
    ],
)
def test_a_server_that_leaves_without_an_answer_is_a_502(site: Site, app: Backend, data: bytes) -> None:
    app.runs(in_turn(waits_for(), sends(data)))
    refused(site, request("GET", "/app/"), 502, "server_lost")


def test_a_server_that_says_nothing_is_a_504(site: Site, app: Backend) -> None:
    app.runs(in_turn(waits_for(), lambda server: server.expect_reset()))
    refused(site, request("GET", "/hasty/"), 504, "answer_timeout")
    assert app.visit().wait_over().failure is None


def test_a_server_that_stops_in_the_middle_ends_the_answer(site: Site, app: Backend) -> None:
    app.runs(
        in_turn(waits_for(), sends(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"), lambda w: w.expect_reset())
    )
    wire = site.connect()
    wire.send(request("GET", "/hasty/"))
    wire.expect_reset()
    assert site.record(wire)["cause"] == "answer_timeout"
    assert app.visit().wait_over().failure is None


@pytest.mark.parametrize("body", [b"zz\r\n", b"2\r\nok\r\n0\r\nContent-Length: 2\r\n\r\n"])
def test_a_body_that_is_wrong_in_one_read_with_its_head_is_a_502(site: Site, app: Backend, body: bytes) -> None:
    """Nothing of the answer has gone to the client then: it is told, and the record says what it was told."""
    app.runs(in_turn(waits_for(), sends(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body)))
    refused(site, request("GET", "/app/"), 502, "bad_answer")


def test_the_head_of_an_answer_has_a_size(site: Site, app: Backend) -> None:
    app.answers(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000 + b"\r\nContent-Length: 0\r\n\r\n")
    refused(site, request("GET", "/app/"), 502, "bad_answer")
    app.answers(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 60_000 + b"\r\nContent-Length: 0\r\n\r\n")
    assert site.ask(request("GET", "/app/"))[1].status == 200


# TLS towards servers


def test_a_server_behind_tls_is_verified_and_asked(site: Site, verified: Backend) -> None:
    wire, found = site.ask(request("GET", "/verified/"))
    assert found.body == BODY
    assert site.record(wire)["cause"] == "done"


@pytest.mark.parametrize(
    "data", [answer(200, b"injected"), b"HTTP/1.1 200 OK\r\n\r\ninjected", b"\x15\x03\x03\x00\x02\x02\x28"]
)
def test_what_a_server_says_before_tls_is_never_an_answer(site: Site, mute: Backend, data: bytes) -> None:
    mute.runs(sends(data))
    found = refused(site, request("GET", "/mute/"), 502, "connect_failed")
    assert b"injected" not in found.body


def test_a_tls_handshake_that_takes_too_long_is_a_504(site: Site, mute: Backend) -> None:
    mute.runs(lambda server: server.hold())
    refused(site, request("GET", "/hasty/mute/"), 504, "connect_timeout")
