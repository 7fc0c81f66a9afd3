"""How long a client's connection lives and in which order it is answered (RFC 9112 section 9)."""

from __future__ import annotations

import signal
import subprocess
import threading

import pytest

from tests.conftest import StartGateway
from tests.doubles.http import Message, answer, read_answer, read_body, read_head, read_request, request
from tests.doubles.raw import Wire
from tests.doubles.waiting import until
from tests.e2e.shared_site import BODY, Backend, Site

CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"


def chunked_post(target: str) -> bytes:
    return request("POST", target)[:-2] + CHUNKED


def test_a_connection_carries_one_request_after_the_other(site: Site, app: Backend) -> None:
    wire = site.connect()
    for n in range(5):
        wire.send(request("GET", f"/app/{n}"))
        found = read_answer(wire)
        assert (found.status, found.body, found.get("Connection")) == (200, BODY, None)
    assert [seen.target for seen in app.requests] == [f"/app/{n}" for n in range(5)]
    records = site.records(wire, 5)
    assert [record["path"] for record in records] == [f"/app/{n}" for n in range(5)]
    assert {record["cause"] for record in records} == {"done"}


def test_bytes_are_counted_from_the_end_of_the_request_before(site: Site, app: Backend) -> None:
    """Head, body and trailing bytes of each exchange: what the client sent and got, no more and no less."""
    requests = [
        request("GET", "/app/"),
        request("POST", "/app/", body=b"x" * 1000),
        request("GET", "/hello"),
        request("HEAD", "/page.html"),
        request("GET", "/missing", "Connection: close"),
    ]
    wire = site.connect()
    wire.send(b"".join(requests))
    assert len(wire.rest()) == wire.total
    records = site.records(wire, len(requests))
    assert [record["bytes_in"] for record in records] == [len(data) for data in requests]
    assert sum(record["bytes_out"] for record in records) == wire.total
    assert all(record["bytes_out"] > 50 for record in records)


def test_a_hundred_pipelined_requests_are_answered_in_order(site: Site, app: Backend) -> None:
    """Files, fixed answers, servers and errors in turn, all sent before the first answer is read."""
    app.responds(lambda seen: answer(200, seen.target.encode()))
    kinds = [
        ("/digits.txt", 200, b"0123456789"),
        ("/hello", 200, b"hello"),
        ("/app/{n}", 200, b"/app/{n}"),
        ("/missing", 404, b"not found\n"),
    ]
    wanted = [kinds[n % 4] for n in range(100)]
    wire = site.connect()
    wire.send(b"".join(request("GET", path.format(n=n)) for n, (path, _, _) in enumerate(wanted)))
    for n, (_, status, body) in enumerate(wanted):
        found = read_answer(wire)
        assert (found.status, found.body) == (status, body.replace(b"{n}", str(n).encode())), n
    assert [seen.target for seen in app.requests] == [f"/app/{n}" for n in range(2, 100, 4)]
    assert [record["path"] for record in site.records(wire, 100)] == [
        path.format(n=n) for n, (path, _, _) in enumerate(wanted)
    ]


def test_pipelined_bodies_keep_their_order_whoever_takes_them(site: Site, app: Backend) -> None:
    """POST chunked, POST with a length, GET: to servers that answer late, and to answers that need no body."""
    app.responds(lambda seen: answer(200, seen.target.encode() + b" " + seen.body))
    wire = site.connect()
    wire.send(
        chunked_post("/app/1")
        + request("POST", "/app/2", body=b"world")
        + chunked_post("/hello")
        + request("POST", "/hello", body=b"w" * 3000)
        + request("GET", "/app/3")
        + request("DELETE", "/digits.txt", body=b"x")
        + request("GET", "/digits.txt")
    )
    found = [read_answer(wire) for _ in range(7)]
    assert [(message.status, message.body) for message in found] == [
        (200, b"/app/1 hello"),
        (200, b"/app/2 world"),
        (200, b"hello"),
        (200, b"hello"),
        (200, b"/app/3 "),
        (405, b"method not allowed\n"),
        (200, b"0123456789"),
    ]
    assert len(app.requests) == 3
    site.records(wire, 7)


@pytest.mark.parametrize("size", [1, 7])
def test_requests_in_small_pieces_are_the_same(site: Site, app: Backend, size: int) -> None:
    app.responds(lambda seen: answer(200, seen.body))
    wire = site.connect()
    wire.send_sliced(chunked_post("/app/1") + request("POST", "/app/2", body=b"world") + request("GET", "/hello"), size)
    assert [read_answer(wire).body for _ in range(3)] == [b"hello", b"world", b"hello"]


def test_the_next_request_waits_while_the_first_is_answered(site: Site, app: Backend) -> None:
    """Not even a fixed answer overtakes; the client that sends ahead is not read without bound."""
    wire = site.connect()

    def slow(server: Wire) -> None:
        read_request(server)
        wire.send(request("GET", "/hello"))
        wire.expect_silence(0.1)
        server.send(answer(200, BODY))

    app.runs(slow)
    wire.send(request("GET", "/app/"))
    app.visit().wait_over()
    assert [read_answer(wire).body for _ in range(2)] == [BODY, b"hello"]


def test_a_connection_ends_where_the_client_says_so(site: Site, app: Backend) -> None:
    wire, found = site.ask(request("GET", "/app/", "Connection: close"))
    assert (found.body, found.get("Connection")) == (BODY, "close")
    wire.expect_eof()
    assert app.request().get("Connection") is None
    site.record(wire)


def test_requests_of_one_connection_have_a_number(site: Site) -> None:
    wire = site.connect("short")
    wire.send(request("GET", "/hello") * 4)
    found = [read_answer(wire) for _ in range(3)]
    assert [message.get("Connection") for message in found] == [None, None, "close"]
    wire.expect_eof()
    site.records(wire, 3)


def test_http_1_0_ends_after_the_answer(site: Site, app: Backend) -> None:
    wire = site.connect()
    wire.send(b"GET /app/ HTTP/1.0\r\n\r\n")
    found = read_answer(wire)
    assert (found.status, found.body, found.get("Connection")) == (200, BODY, "close")
    wire.expect_eof()
    seen = app.request()
    assert seen.start[2] == "HTTP/1.1"
    assert seen.get("Host") == app.address
    assert site.record(wire)["version"] == "1.0"


def test_http_1_0_goes_on_where_the_client_asks(site: Site, app: Backend) -> None:
    wire = site.connect()
    for target in ("/app/", "/hello"):
        wire.send(f"GET {target} HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n".encode())
        assert read_answer(wire).get("Connection") == "keep-alive"
    site.records(wire, 2)


def test_http_1_0_gets_no_chunks_and_no_interim_answers(site: Site, app: Backend) -> None:
    app.answers(
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n5\r\nworld\r\n0\r\nX-End: 1\r\n\r\n"
    )
    wire = site.connect()
    wire.send(b"GET /app/ HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    head = read_head(wire)
    assert (head.status, head.get("Transfer-Encoding"), head.get("Connection")) == (200, None, "close")
    assert wire.rest() == b"helloworld"


def test_a_target_in_absolute_form_names_the_host(site: Site, app: Backend) -> None:
    wire = site.connect()
    wire.send(b"GET http://site.example/app/ HTTP/1.0\r\n\r\n")
    assert read_answer(wire).status == 200
    assert app.request().get("Host") == "site.example"


# Bodies that nobody needs


def test_an_answer_that_needs_no_body_keeps_the_connection_where_the_body_is_small(site: Site) -> None:
    wire, found = site.ask(request("POST", "/hello", body=b"x" * 60_000))
    assert (found.status, found.get("Connection")) == (200, None)
    wire.send(request("GET", "/digits.txt"))
    assert read_answer(wire).body == b"0123456789"


def test_a_large_body_that_nobody_needs_ends_the_connection(site: Site) -> None:
    head = b"POST /hello HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n"
    wire, found = site.ask(head)
    assert (found.status, found.get("Connection")) == (200, "close")
    wire.expect_eof()


def test_the_rest_of_an_unneeded_body_is_dropped_as_it_comes(site: Site) -> None:
    wire = site.connect()
    wire.send(request("POST", "/hello")[:-2] + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhe")
    assert read_answer(wire).status == 200
    wire.send(b"llo\r\n0\r\n\r\n" + request("GET", "/digits.txt"))
    assert read_answer(wire).body == b"0123456789"
    site.records(wire, 2)


@pytest.mark.parametrize("rest", [b"x\r\n", b"100000\r\n" + b"y" * 200_000])
def test_an_unneeded_body_that_is_wrong_or_large_ends_the_connection(site: Site, rest: bytes) -> None:
    wire = site.connect()
    wire.send(request("POST", "/hello")[:-2] + b"Transfer-Encoding: chunked\r\n\r\n")
    assert read_answer(wire).status == 200
    wire.send(rest)
    wire.expect_gone()
    site.record(wire)


# Expect


def test_a_client_that_asks_is_told_to_go_on_when_a_server_is_there(site: Site, app: Backend) -> None:
    wire = site.connect()
    wire.send(b"POST /app/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
    assert read_head(wire).status == 100
    wire.send(b"hello")
    found = read_answer(wire)
    assert (found.status, found.get("Connection")) == (200, None)
    seen = app.request()
    assert (seen.body, seen.get("Expect")) == (b"hello", None)
    site.record(wire)


def test_a_client_that_does_not_wait_is_not_told(site: Site, app: Backend) -> None:
    """RFC 9110 section 10.1.1: 100 may be left out where a part of the body is there already."""
    wire = site.connect()
    wire.send(b"POST /app/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\nhello")
    assert read_head(wire).status == 200
    assert app.request().body == b"hello"


def test_the_100_of_a_server_is_not_passed_on(site: Site, app: Backend) -> None:
    app.answers(b"HTTP/1.1 100 Continue\r\n\r\n" + answer(200, BODY))
    wire = site.connect()
    wire.send(request("POST", "/app/", body=b"x"))
    assert read_head(wire).status == 200


@pytest.mark.parametrize(
    ("target", "status"), [("/nowhere/", 502), ("/none/", 503), ("/missing", 405), ("/hello", 200), ("/reading", 405)]
)
def test_a_client_that_asks_is_refused_without_100(site: Site, target: str, status: int) -> None:
    """It may now leave the body out or send it: the connection ends, since what follows could be either."""
    wire = site.connect()
    wire.send(
        f"POST {target} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n".encode()
    )
    found = read_head(wire)
    assert (found.status, found.get("Connection")) == (status, "close")
    read_body(wire, found, until_end=True)
    wire.expect_eof()


def test_a_body_too_big_is_refused_before_it_is_sent(site: Site, app: Backend) -> None:
    wire = site.connect()
    wire.send(b"POST /app/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2000000\r\nExpect: 100-continue\r\n\r\n")
    assert read_head(wire).status == 413
    assert not app.taken


# Closing with care


@pytest.mark.parametrize("size", [100_000, 1_000_000, 8_000_000])
def test_an_error_arrives_although_the_client_goes_on_sending(site: Site, app: Backend, size: int) -> None:
    """413 for a body that is on its way: a close with bytes unread would reset the connection and destroy it."""
    wire = site.connect()
    wire.send(b"POST /app/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9000000\r\n\r\n")
    try:
        wire.send(b"x" * size)
    except OSError:
        assert size > 1_000_000
    assert read_answer(wire).status == 413
    record = site.record(wire)
    assert (record["status"], record["cause"]) == (413, "body_size")
    assert not app.taken


def test_a_body_that_grows_too_big_is_refused_on_the_way(site: Site, app: Backend) -> None:
    def reads(server: Wire) -> None:
        read_head(server)
        server.expect_reset()

    app.runs(reads)
    wire = site.connect()
    wire.send(request("POST", "/app/")[:-2] + b"Transfer-Encoding: chunked\r\n\r\n")
    for _ in range(17):
        wire.send(b"10000\r\n" + b"x" * 65_536 + b"\r\n")
    assert read_answer(wire).status == 413
    wire.expect_gone()
    record = site.record(wire)
    assert (record["cause"], record["closed_by"]) == ("body_size", "client")
    assert app.visit().wait_over().failure is None


def test_a_client_that_has_closed_its_direction_gets_its_file(site: Site) -> None:
    """As nginx: what costs only sending is sent."""
    wire = site.connect(receive_buffer=4096)
    wire.send(request("GET", "/big.bin"))
    wire.half_close()
    found = read_answer(wire)
    assert len(found.body) == 4 * 2**20
    wire.expect_eof()
    assert site.record(wire)["cause"] == "done"


def test_a_client_that_has_closed_its_direction_leaves_a_server_alone(site: Site, app: Backend) -> None:
    """As nginx: it is taken to have left, and the server's connection is closed."""
    ends: list[bytes] = []

    def waits(server: Wire) -> None:
        read_request(server)
        wire.half_close()
        server.expect_reset()
        ends.append(b"reset")

    app.runs(waits)
    wire = site.connect()
    wire.send(request("GET", "/app/"))
    wire.expect_eof()
    app.visit().wait_over()
    assert ends == [b"reset"]
    record = site.record(wire)
    assert (record["cause"], record.get("status")) == ("client_closed", None)


def test_an_answer_that_is_given_up_never_looks_complete(site: Site, app: Backend) -> None:
    """To HTTP/1.0 the end of the stream is the end of the body."""

    def half(server: Wire) -> None:
        read_request(server)
        server.send(b"HTTP/1.1 200 OK\r\n\r\nhalf of ")
        assert wire.until(b"half of ")
        wire.half_close()
        server.expect_reset()

    app.runs(half)
    wire = site.connect()
    wire.send(b"GET /app/ HTTP/1.0\r\n\r\n")
    app.visit().wait_over()
    wire.expect_reset()
    assert site.record(wire)["cause"] == "client_closed"


def test_a_client_that_resets_ends_the_request(site: Site, app: Backend) -> None:
    def waits(server: Wire) -> None:
        read_request(server)
        wire.reset()
        server.expect_reset()

    app.runs(waits)
    wire = site.connect()
    port = wire.sock.getsockname()[1]
    wire.send(request("GET", "/app/"))
    visit = app.visit().wait_over()
    assert visit.failure is None
    assert site.records_of(port)[0]["cause"] == "client_lost"


def test_a_client_that_leaves_while_a_server_is_dialled_takes_the_dialling_with_it(site: Site, mute: Backend) -> None:
    """The server has taken the connection and does not answer the TLS handshake."""

    def waits(server: Wire) -> None:
        server.exactly(100)
        wire.close()
        server.expect_reset()

    mute.runs(waits)
    wire = site.connect()
    port = wire.sock.getsockname()[1]
    wire.send(request("GET", "/mute/"))
    assert mute.visit().wait_over().failure is None
    assert site.records_of(port)[0]["cause"] == "client_closed"


def test_curl_reuses_a_connection_and_uploads(site: Site, app: Backend) -> None:
    """Code that nobody here wrote: keep-alive, Expect with a chunked upload, and a file."""
    app.responds(lambda seen: answer(200, f"{seen.method} {len(seen.body)}\n".encode()))
    base = site.gateway.url("web", "", "http")
    upload = ["-T", "-", "-H", "Expect: 100-continue", f"{base}/app/up"]
    finished = subprocess.run(
        ["curl", "-sS", *upload, "--next", "-sS", f"{base}/hello", "--next", "-sS", "-d", "a=b", f"{base}/app/form"],
        input=b"y" * 500_000,
        capture_output=True,
        timeout=60,
        check=True,
    )
    assert finished.stdout == b"PUT 500000\nhelloPOST 3\n"
    assert not finished.stderr


def test_a_file_goes_out_whole_to_a_client_of_any_pace(site: Site) -> None:
    wanted = bytes(range(256)) * 16_384
    assert site.ask(request("GET", "/big.bin"))[1].body == wanted
    slow = site.connect(receive_buffer=4096)
    slow.send(request("GET", "/big.bin") + request("GET", "/hello"))
    found: list[Message] = [read_answer(slow), read_answer(slow)]
    assert found[0].body == wanted
    assert found[1].body == b"hello"


STOPPING = """
[gateway]
drain_timeout = 2s

[listener web]
bind = 127.0.0.1:{web}

[route app]
upstream = app

[upstream app]
servers = {app}
"""


def test_a_gateway_that_stops_lets_answers_finish_and_cuts_the_rest(start_gateway: StartGateway, app: Backend) -> None:
    """Idle connections end at once, busy ones behind their answer, and at drain_timeout those that are left."""
    gateway = start_gateway(STOPPING, app=app.address)
    finish = threading.Event()

    def respond(seen: Message) -> bytes:
        if seen.target == "/never":
            finish.wait(60)
        elif seen.target == "/late":
            idle.expect_eof()
        return answer(200, seen.target.encode())

    app.responds(respond)
    idle, late, never = (gateway.connect("web") for _ in range(3))
    idle.send(request("GET", "/first"))
    assert read_answer(idle).body == b"/first"
    late.send(request("GET", "/late") + request("GET", "/too-late"))
    never.send(request("GET", "/never"))
    until(lambda: len(app.requests) == 3, "the requests at the server")
    gateway.signal(signal.SIGTERM)
    found = read_answer(late)
    assert (found.body, found.get("Connection")) == (b"/late", "close")
    late.expect_eof()
    late.close()
    never.expect_reset()
    gateway.wait()
    finish.set()
    causes = {record["path"]: (record["cause"], record["closed_by"]) for record in gateway.records()}
    assert causes == {"/first": ("done", "gateway"), "/late": ("done", "gateway"), "/never": ("stopping", "gateway")}
