"""Requests that could be read in two ways are refused before any server hears of them (RFC 9112)."""

from __future__ import annotations

import contextlib
from random import Random

import pytest

from tests.doubles.frames import upgrade_request
from tests.doubles.http import Message, read_answer, read_head, request
from tests.doubles.raw import Wire
from tests.e2e.shared_site import BODY, Backend, Site, refused

HIDDEN = b"GET /app/hidden HTTP/1.1\r\nHost: localhost\r\n\r\n"


def raw(*lines: str, body: bytes = b"") -> bytes:
    """A head as it is, line by line, and what stands behind it."""
    return "".join(f"{line}\r\n" for line in lines).encode("latin-1") + b"\r\n" + body


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(
            raw("POST /app/ HTTP/1.1", "Host: a", "Content-Length: 5", "Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
            id="length and chunked",
        ),
        pytest.param(
            raw("POST /app/ HTTP/1.1", "Host: a", "Transfer-Encoding: chunked", "Content-Length: 0", body=b"0\r\n\r\n"),
            id="chunked and length",
        ),
        pytest.param(raw("POST /app/ HTTP/1.1", "Host: a", "Content-Length: 0", "Content-Length: 5"), id="two lengths"),
        pytest.param(raw("POST /app/ HTTP/1.1", "Host: a", "Content-Length: 5", "Content-Length: 5"), id="one twice"),
        pytest.param(raw("POST /app/ HTTP/1.1", "Host: a", "Content-Length: 5, 5"), id="a list of lengths"),
        pytest.param(raw("POST /app/ HTTP/1.1", "Host: a", "Content-Length: +5"), id="signed length"),
        pytest.param(raw("POST /app/ HTTP/1.1", "Host: a", "Content-Length: 0x5"), id="hexadecimal length"),
        pytest.param(raw("POST /app/ HTTP/1.1", "Host: a", "Content-Length: -1"), id="negative length"),
        pytest.param(
            raw("POST /app/ HTTP/1.1", "Host: a", "Content-Length: 9999999999999999999"), id="a length beyond 63 bits"
        ),
        pytest.param(
            raw("POST /app/ HTTP/1.1", "Host: a", "Transfer-Encoding: chunked, chunked"), id="chunked in chunked"
        ),
        pytest.param(
            raw("POST /app/ HTTP/1.1", "Host: a", "Transfer-Encoding: chunked", "Transfer-Encoding: chunked"),
            id="chunked twice",
        ),
        pytest.param(raw("POST /app/ HTTP/1.1", "Host: a", "Transfer-Encoding: chunked, x"), id="chunked is not last"),
        pytest.param(raw("POST /app/ HTTP/1.1", "Host: a", "Transfer-Encoding : chunked"), id="blank before the colon"),
        pytest.param(raw("POST /app/ HTTP/1.1", "Host: a", "Transfer-Encoding:\x0bchunked"), id="a vertical tab"),
        pytest.param(raw("GET /app/ HTTP/1.0", "Transfer-Encoding: chunked", body=b"0\r\n\r\n"), id="chunked in 1.0"),
        pytest.param(raw("GET /app/ HTTP/1.1", "Host: a", "A: b", " c"), id="a folded line"),
        pytest.param(raw("GET /app/ HTTP/1.1", "Host: a", "A: b", "\tc"), id="a line folded by a tab"),
        pytest.param(raw("GET /app/ HTTP/1.1", " Host: a"), id="the first field folded"),
        pytest.param(raw("GET /app/ HTTP/1.1", "A: b"), id="no Host"),
        pytest.param(raw("GET /app/ HTTP/1.1", "Host:"), id="an empty Host"),
        pytest.param(raw("GET /app/ HTTP/1.1", "Host: a", "Host: a"), id="two Hosts"),
        pytest.param(raw("GET /app/ HTTP/1.1", "Host: a", "host: b"), id="two different Hosts"),
        pytest.param(raw("GET http://b/app/ HTTP/1.1", "Host: a"), id="another host in the target"),
        pytest.param(raw("GET /app/ HTTP/1.1", "Host: a b"), id="a blank in Host"),
        pytest.param(raw("GET /app/ HTTP/1.1", "Host: a/b"), id="a slash in Host"),
        pytest.param(raw("GET /app/ HTTP/1.1", "Host: a@b"), id="user information in Host"),
        pytest.param(raw("GET /app/ HTTP/1.1", "Host: a", ": y"), id="a field without a name"),
        pytest.param(raw("GET /app/ HTTP/1.1", "Host: a", "no colon"), id="a line without a colon"),
        pytest.param(raw("GET /app/ HTTP/1.1", "Host: a", "A\x00: b"), id="NUL in a name"),
        pytest.param(raw("GET /app/ HTTP/1.1", "Host: a", "A: b\x00c"), id="NUL in a value"),
        pytest.param(b"GET /app/ HTTP/1.1\r\nHost: a\r\nA: b\nC: d\r\n\r\n", id="a bare LF in a value"),
        pytest.param(b"GET /app/ HTTP/1.1\r\nHost: a\r\nA: b\rC: d\r\n\r\n", id="a bare CR in a value"),
        pytest.param(b"GET /app/ HTTP/1.1\nHost: a\n\n", id="LF for every line end"),
        pytest.param(b"GET /app/ HTTP/1.1\r\nHost: a\r\n\n", id="LF for the empty line"),
        pytest.param(raw("GET /app/? HTTP/1.1 /static HTTP/1.1", "Host: a"), id="blanks in the target"),
        pytest.param(raw("GET  /app/ HTTP/1.1", "Host: a"), id="two blanks"),
        pytest.param(raw("GET\t/app/ HTTP/1.1", "Host: a"), id="a tab for a blank"),
        pytest.param(raw("GET /app/ HTTP/1.1 ", "Host: a"), id="a blank behind the version"),
        pytest.param(raw("G<T /app/ HTTP/1.1", "Host: a"), id="a method that is no token"),
        pytest.param(raw("GET /app/#x HTTP/1.1", "Host: a"), id="a fragment"),
        pytest.param(raw("GET app HTTP/1.1", "Host: a"), id="a target without a slash"),
        pytest.param(raw("GET ftp://a/app/ HTTP/1.1", "Host: a"), id="another scheme"),
        pytest.param(raw("GET /app/\xe4 HTTP/1.1", "Host: a"), id="a byte outside of ASCII"),
        pytest.param(raw("GET /app/ http/1.1", "Host: a"), id="the version in lower case"),
        pytest.param(raw("GET /app/", "Host: a"), id="HTTP/0.9"),
        pytest.param(b"\r\n" * 8 + raw("GET /app/ HTTP/1.1", "Host: a"), id="many empty lines"),
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64), id="TLS to a plain port"),
        pytest.param(b"SSH-2.0-OpenSSH_9.6\r\n\r\n", id="SSH"),
        pytest.param(b"\x00" * 64, id="zeros"),
    ],
)
def test_a_head_with_two_readings_is_refused(site: Site, app: Backend, data: bytes) -> None:
    """400 and the end; neither it nor what is pipelined behind it reaches a server."""
    refused(site, data + HIDDEN, 400, "bad_request")
    assert not app.taken


@pytest.mark.parametrize(
    "chunked",
    [
        pytest.param(b"+5\r\nhello\r\n0\r\n\r\n", id="a signed size"),
        pytest.param(b"0x5\r\nhello\r\n0\r\n\r\n", id="a prefix of the size"),
        pytest.param(b"5 \r\nhello\r\n0\r\n\r\n", id="a blank behind the size"),
        pytest.param(b" 5\r\nhello\r\n0\r\n\r\n", id="a blank before the size"),
        pytest.param(b"5;a\nb\r\nhello\r\n0\r\n\r\n", id="LF in an extension"),
        pytest.param(b"5\nhello\r\n0\r\n\r\n", id="LF behind the size"),
        pytest.param(b"5\r\nhello\n0\r\n\r\n", id="LF behind the data"),
        pytest.param(b"5\r\nhelloXX0\r\n\r\n", id="more data than announced"),
        pytest.param(b"\r\nhello\r\n0\r\n\r\n", id="no size"),
        pytest.param(b"10000000000000005\r\nhello\r\n0\r\n\r\n", id="a size beyond 64 bits"),
        pytest.param(b"5;" + b"a" * 2000 + b"\r\nhello\r\n0\r\n\r\n", id="a line of 2000 bytes"),
        pytest.param(b"5\r\nhello\r\n0\r\nContent-Length: 3\r\n\r\n", id="a trailer that frames"),
        pytest.param(b"5\r\nhello\r\n0\r\nHost: b\r\n\r\n", id="a trailer that routes"),
        pytest.param(b"5\r\nhello\r\n0\r\n folded\r\n\r\n", id="a folded trailer"),
        pytest.param(b"5\r\nhello\r\n0\r\nA: " + b"b" * 9000 + b"\r\n\r\n", id="trailers of 9 kB"),
    ],
)
def test_chunks_that_are_not_to_the_letter_end_the_request(site: Site, app: Backend, chunked: bytes) -> None:
    """The client gets 400; the server's connection is cut, so that it never takes the body for complete."""
    heads: list[Message] = []

    def reads(wire: Wire) -> None:
        heads.append(read_head(wire))
        wire.expect_reset()

    app.runs(reads)
    head = raw("POST /app/ HTTP/1.1", "Host: localhost", "Transfer-Encoding: chunked")
    refused(site, head + chunked + HIDDEN, 400, "bad_request")
    assert app.visit().wait_over().failure is None
    assert [head.target for head in heads] == ["/app/"]


@pytest.mark.parametrize(
    "path",
    [
        "/app/..%2fhello",
        "/app/%2e%2e/hello",
        "/app/.%2e/hello",
        "/app/%2E/hello",
        "/app/..;x=1/hello",
        "/app/..;/hello",
        "/app/a%5cb",
        "/app/a\\b",
        "/app/a%00b",
        "/app/a%0d%0ab",
        "/app/a%2fb",
        "/app/a%2Fb",
        "/app/%%36%36",
        "/app/%",
        "/app/%4",
        "/app/%zz",
        "/app/%ff",
        "/app/%c0%ae%c0%ae/",
        "/../hello",
        "/app/../../hello",
        "/loose/..%2f..%2fhello",
    ],
)
def test_a_path_that_servers_may_read_otherwise_is_refused(site: Site, app: Backend, path: str) -> None:
    refused(site, request("GET", path) + HIDDEN, 400, "bad_request")
    assert not app.taken


@pytest.mark.parametrize(
    ("path", "seen"),
    [
        ("/app/a?b=%2f&c=%5c#".rstrip("#"), "/app/a?b=%2f&c=%5c"),
        ("/app//a", "/app//a"),
        ("//app/a", "//app/a"),
        ("/app/./a", "/app/a"),
        ("/files/../app/a", "/app/a"),
        ("/%61pp/b", "/%61pp/b"),
        ("/app/a%20b", "/app/a%20b"),
        ("/app/%C3%A4", "/app/%C3%A4"),
        ("/app/a;b=1", "/app/a;b=1"),
        ("/app/a...b", "/app/a...b"),
        ("/app/%2566", "/app/%2566"),
        ("/loose/a%2fb%2Fc", "/loose/a%2fb%2Fc"),
        ("/stripped/a%20b?x=1", "/a%20b?x=1"),
        ("/stripped/", "/"),
        ("/rewritten/a/b?x", "/to/a/b?x"),
        ("http://localhost/app/a?b", "/app/a?b"),
    ],
)
def test_the_path_that_chose_the_route_is_the_one_the_server_gets(
    site: Site, app: Backend, path: str, seen: str
) -> None:
    _, answer = site.ask(request("GET", path))
    assert (answer.status, answer.body) == (200, BODY)
    assert app.request().target == seen


def test_an_escaped_path_takes_the_guarded_route_and_no_other(site: Site, app: Backend) -> None:
    """/%61pp is /app for the choice too: it never falls to a route that guards less."""
    wire, _ = site.ask(request("GET", "/%61pp/x"))
    assert site.record(wire)["route"] == "app"


def test_clients_cannot_forge_who_they_are(site: Site, app: Backend) -> None:
    """From a peer that is no trusted proxy every forwarding field is dropped, and the gateway's own are set."""
    forged = (
        "X-Forwarded-For: 1.2.3.4",
        "x-forwarded-for: 5.6.7.8",
        "X_Forwarded_For: 1.2.3.4",
        "X-Forwarded-Proto: https",
        "X-Forwarded-Host: evil",
        "X-Forwarded-Port: 1",
        "X-Forwarded-Prefix: /evil",
        "X-Real-IP: 1.2.3.4",
        "X_Real_IP: 1.2.3.4",
        "Forwarded: for=1.2.3.4",
    )
    wire, _ = site.ask(request("GET", "/app/", *forged, host="site.example:81"))
    seen = app.request()
    assert seen.get("X-Forwarded-For") == "127.0.0.1"
    assert seen.get("X-Forwarded-Proto") == "http"
    assert seen.get("X-Forwarded-Host") == "site.example:81"
    assert seen.get("X-Forwarded-Port") == str(site.gateway.ports["web"])
    assert seen.get("Forwarded") == 'for=127.0.0.1;proto=http;host="site.example:81"'
    names = {name for name, _ in seen.fields}
    assert not names & {"X_Forwarded_For", "X-Real-IP", "X_Real_IP", "X-Forwarded-Prefix"}
    assert site.record(wire)["client"] == "127.0.0.1"


def test_a_trusted_proxy_says_who_the_client_is(site: Site, app: Backend) -> None:
    """The last address that no trusted proxy answers for; what stands before it may be forged."""
    fields = ("X-Forwarded-For: 6.6.6.6, 9.8.7.6", "X-Forwarded-Proto: https", "X-Forwarded-Host: site.example")
    wire, _ = site.ask(request("GET", "/app/", *fields), "behind")
    seen = app.request()
    assert seen.get("X-Forwarded-For") == "6.6.6.6, 9.8.7.6, 127.0.0.1"
    assert seen.get("X-Forwarded-Proto") == "https"
    assert seen.get("X-Forwarded-Host") == "site.example"
    assert site.record(wire)["client"] == "9.8.7.6"


def test_names_that_servers_fold_into_others_are_dropped(site: Site, app: Backend) -> None:
    site.ask(request("GET", "/app/", "X_User: root", "X-User: me", "a.b: c", "Proxy: evil:80"))
    seen = app.request()
    assert [name for name, _ in seen.fields if not name.replace("-", "").isalnum()] == []
    assert seen.get("X-User") == "me"
    assert seen.get("Proxy") is None


def test_fields_of_one_connection_end_at_the_gateway(site: Site, app: Backend) -> None:
    fields = (
        "Connection: keep-alive, X-Private, Host, Cookie, X-Forwarded-For",
        "X-Private: 1",
        "Keep-Alive: timeout=5",
        "Proxy-Connection: keep-alive",
        "Proxy-Authorization: Basic eA==",
        "TE: trailers",
        "Trailer: X-End",
        "Cookie: kept=1",
        "Authorization: Bearer kept",
        "X-Public: 1",
    )
    site.ask(request("GET", "/app/", *fields))
    seen = app.request()
    names = {name.lower() for name, _ in seen.fields}
    assert names == {
        *("host", "cookie", "authorization", "x-public", "forwarded"),
        *("x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-forwarded-port"),
    }


def test_a_host_with_a_tag_is_not_repeated_to_anybody(site: Site, app: Backend) -> None:
    answer = refused(site, request("GET", "/app/", host="<h1>x</h1>"), 400, "bad_request")
    assert b"<" not in answer.body
    assert all("<" not in value for _, value in answer.fields)


@pytest.mark.parametrize("path", ["/<script>alert(1)</script>", "/nowhere/<script>", "/none/?<script>"])
def test_error_pages_repeat_nothing_of_the_request(site: Site, path: str) -> None:
    _, answer = site.ask(request("GET", path.replace("<", "%3c").replace(">", "%3E"), "User-Agent: <script>"))
    assert answer.status >= 400
    assert b"script" not in answer.body.lower()
    assert all("script" not in value.lower() for _, value in answer.fields)
    assert answer.get("X-Content-Type-Options") == "nosniff"


def test_no_input_can_forge_a_line_of_the_log(site: Site) -> None:
    """Every field arrives in one JSON object on one line."""
    evil = '"\\\x85\xff{"cause":"forged"}'
    data = request(
        "GET", '/a"b\'{x}?token=secret&q="', f"User-Agent: {evil}", f"Referer: http://x/{evil}", f"Origin: {evil}"
    )
    wire, answer = site.ask(data)
    assert answer.status == 404
    record = site.record(wire)
    assert record["cause"] == "no_route"
    assert record["path"] == "/a\"b'{x}"
    assert "forged" in record["user_agent"]
    log = (site.gateway.directory / "access.log").read_bytes()
    # Behind the last end of a line there may be one that is being written.
    lines = log[: log.rindex(b"\n")].split(b"\n")
    assert all(line.startswith(b'{"time":"') and line.endswith(b"}") for line in lines)
    assert all(0x20 <= byte < 0x7F for line in lines for byte in line)
    (line,) = (line for line in lines if b"forged" in line)
    assert b"secret" not in line


@pytest.mark.parametrize(
    ("data", "status", "cause"),
    [
        (raw("CONNECT localhost:80 HTTP/1.1", "Host: localhost:80", body=b"secret"), 405, "method"),
        (raw("TRACE /app/ HTTP/1.1", "Host: localhost"), 405, "method"),
        (raw("BREW /app/ HTTP/1.1", "Host: localhost"), 501, "not_implemented"),
        (raw("POST /app/ HTTP/1.1", "Host: localhost", "Transfer-Encoding: gzip, chunked"), 501, "not_implemented"),
        (raw("GET /app/ HTTP/2.0", "Host: localhost"), 505, "version"),
        (raw("GET /app/ HTTP/1.2", "Host: localhost"), 505, "version"),
        (raw("POST /app/ HTTP/1.1", "Host: localhost", "Content-Length: 5", "Expect: a-pony"), 417, "expectation"),
    ],
)
def test_what_is_not_served_gets_its_own_status(site: Site, app: Backend, data: bytes, status: int, cause: str) -> None:
    answer = refused(site, data + HIDDEN, status, cause)
    assert (answer.get("Allow") == "GET, HEAD") == (status == 405)
    assert not app.taken


def test_heads_have_a_size(site: Site, app: Backend) -> None:
    wide = request("GET", "/app/", *(f"X-{n}: y" for n in range(10_000)))
    refused(site, wide, 431, "head_size")
    refused(site, request("GET", "/app/" + "a" * 17_000), 431, "head_size")
    refused(site, request("GET", "/app/", *(f"X{n}: y" for n in range(101))), 431, "head_size")
    assert not app.taken
    _, answer = site.ask(request("GET", "/app/" + "a" * 16_000))
    assert answer.status == 200


def test_a_head_of_64_megabytes_costs_no_memory(site: Site) -> None:
    before = site.gateway.rss()
    wire = site.connect()
    wire.send(b"GET /hello HTTP/1.1\r\nHost: localhost\r\nX: ")
    piece = b"y" * 65_536
    with pytest.raises(OSError):
        for _ in range(1024):
            wire.send(piece)
    assert read_answer(wire).status == 431
    assert site.gateway.rss() - before < 8 * 2**20
    assert site.record(wire)["bytes_in"] < 2**20


def test_requests_with_random_faults_break_nothing(site: Site, app: Backend) -> None:
    """400 requests with bytes changed, dropped, doubled or moved: each gets an answer or the end, and others theirs."""
    chance = Random(20_261_122)
    whole = (
        request("POST", "/app/x?y=%20", "Cookie: a=b", "X-Forwarded-For: 1.2.3.4", body=b"hello"),
        raw("POST /app/ HTTP/1.1", "Host: localhost", "Transfer-Encoding: chunked", body=b"5\r\nhello\r\n0\r\n\r\n"),
        upgrade_request("/app/", "localhost", "Sec-WebSocket-Protocol: a, b", "Origin: http://localhost"),
        request("GET", "/digits.txt", "Range: bytes=1-2", "If-None-Match: *", "Connection: close, x"),
    )
    answers = 0
    for n in range(400):
        data = bytearray(whole[n % len(whole)])
        for _ in range(chance.randrange(1, 5)):
            at, length = chance.randrange(len(data)), chance.randrange(1, 9)
            piece = data[at : at + length]
            match chance.randrange(4):
                case 0:
                    data[at : at + 1] = chance.randbytes(1)
                case 1:
                    del data[at : at + length]
                case 2:
                    data[at:at] = piece * chance.randrange(1, 4)
                case _:
                    del data[at : at + length]
                    other = chance.randrange(len(data) + 1)
                    data[other:other] = piece
        with site.connect() as wire:
            wire.send(bytes(data))
            wire.half_close()
            with contextlib.suppress(OSError):
                answers += wire.rest().startswith(b"HTTP/1.1 ")
    assert answers > 200
    assert site.ask(request("GET", "/hello"))[1].body == b"hello"


def test_fields_from_servers_cannot_break_the_answer(site: Site, app: Backend) -> None:
    """A server whose answer could be read in two ways is not believed."""
    for bad in (
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nA: b\nC: d\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: b\r\n c\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n: b\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/2 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"<html>no head at all</html>" + bytes(100),
    ):
        app.answers(bad)
        wire, answer = site.ask(request("GET", "/app/"))
        assert answer.status == 502, bad
        assert site.record(wire)["cause"] == "bad_answer"
