"""Bodies stream through: each piece at once, at the pace of whoever is slower, and never a cut one as a whole."""

from __future__ import annotations

import contextlib
import hashlib
import threading
import time
from collections.abc import Callable

import pytest

from tests.doubles.http import Message, answer, read_answer, read_body, read_head, read_request, request
from tests.doubles.raw import EndOfStream, Wire
from tests.doubles.scripts import floods, in_turn, sends, waits_for
from tests.doubles.waiting import until
from tests.e2e.shared_site import BODY, CALM, Backend, Site

MB = 2**20
GROWTH = 8 * MB
CHUNKED_HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def upload(target: str, *fields: str) -> bytes:
    return request("POST", target, "Transfer-Encoding: chunked", *fields)


# Pieces pass at once


def test_events_of_a_stream_pass_at_once(site: Site, app: Backend) -> None:
    """Server-sent events: the head before any event, each event before the next is made."""
    step = threading.Semaphore(0)

    def streams(server: Wire) -> None:
        read_request(server)
        server.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        for n in range(3):
            assert step.acquire(timeout=30)
            server.send(b"9\r\ndata: %d\n\n\r\n" % n)
        assert step.acquire(timeout=30)
        server.send(b"0\r\n\r\n")

    app.runs(streams)
    wire = site.connect()
    wire.send(request("GET", "/app/events"))
    head = read_head(wire)
    assert head.get("Content-Type") == "text/event-stream"
    for n in range(3):
        step.release()
        assert wire.until(b"\n\n\r\n") == b"9\r\ndata: %d\n\n\r\n" % n
    step.release()
    assert wire.until(b"\r\n\r\n") == b"0\r\n\r\n"
    assert site.record(wire)["cause"] == "done"


def test_pieces_of_an_upload_reach_the_server_at_once(site: Site, app: Backend) -> None:
    def echoes(server: Wire) -> None:
        head = read_head(server)
        assert head.get("Transfer-Encoding") == "chunked"
        server.send(CHUNKED_HEAD)
        for piece in (b"one", b"three"):
            assert server.until(piece + b"\r\n") == b"%x\r\n%b\r\n" % (len(piece), piece)
            server.send(b"%x\r\n%b\r\n" % (len(piece), piece))
        assert server.until(b"\r\n\r\n") == b"0\r\n\r\n"
        server.send(b"0\r\n\r\n")

    app.runs(echoes)
    wire = site.connect()
    wire.send(upload("/app/"))
    for piece in (b"one", b"three"):
        wire.send(b"%x\r\n%b\r\n" % (len(piece), piece))
        # The answer comes while the request goes on.
        assert wire.until(piece + b"\r\n")
    wire.send(b"0\r\n\r\n")
    assert wire.until(b"0\r\n\r\n")
    wire.send(request("GET", "/hello"))
    assert read_answer(wire).body == b"hello"


def test_a_body_with_a_length_keeps_it(site: Site, app: Backend) -> None:
    site.ask(request("POST", "/app/", "Content-Type: text/plain", body=b"hello"))
    seen = app.request()
    assert (seen.get("Content-Length"), seen.get("Transfer-Encoding"), seen.body) == ("5", None, b"hello")


def test_trailers_pass_both_ways(site: Site, app: Backend) -> None:
    """They stay trailers: none becomes a field of the head, and those that would change the message end here."""
    app.answers(CHUNKED_HEAD + b"5\r\nhello\r\n0\r\nX-Sum: 1\r\nSet-Cookie: a=b\r\n\r\n")
    wire = site.connect()
    wire.send(upload("/app/") + b"5\r\nworld\r\n0\r\nX-Check: 2\r\nX-Forwarded-For: 1.2.3.4\r\n\r\n")
    found = read_answer(wire)
    assert (found.body, found.trailers, found.get("X-Sum")) == (b"hello", [("X-Sum", "1")], None)
    seen = app.request()
    assert (seen.body, seen.trailers, seen.get("X-Check")) == (b"world", [("X-Check", "2")], None)


# Where an answer ends


@pytest.mark.parametrize(
    ("data", "status", "fields"),
    [
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204, {}),
        (b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", 204, {"Content-Length": None}),
        (b'HTTP/1.1 304 Not Modified\r\nETag: "a"\r\nContent-Length: 5\r\n\r\n', 304, {"Content-Length": "5"}),
        (b"HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n", 304, {"Transfer-Encoding": None}),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200, {"Content-Length": "0"}),
        (b"HTTP/1.1 302 \r\nLocation: /x\r\nContent-Length: 0\r\n\r\n", 302, {"Location": "/x"}),
    ],
)
def test_an_answer_without_a_body_ends_at_its_head(
    site: Site, app: Backend, data: bytes, status: int, fields: dict[str, str | None]
) -> None:
    app.answers(data)
    wire = site.connect()
    for _ in range(2):
        wire.send(request("GET", "/app/"))
        found = read_answer(wire)
        assert (found.status, found.body) == (status, b"")
        assert {name: found.get(name) for name in fields} == fields
    wire.expect_silence(0.05)
    site.records(wire, 2)


@pytest.mark.parametrize("framing", [b"Content-Length: 1000\r\n", b"Transfer-Encoding: chunked\r\n", b""])
def test_an_answer_to_head_has_no_body_whatever_it_says(site: Site, app: Backend, framing: bytes) -> None:
    app.answers(b"HTTP/1.1 200 OK\r\n" + framing + b"\r\n")
    wire = site.connect()
    for _ in range(2):
        wire.send(request("HEAD", "/app/"))
        found = read_head(wire)
        assert found.status == 200
        assert found.get("Content-Length") == ("1000" if b"1000" in framing else None)
    wire.expect_silence(0.05)
    assert {record["cause"] for record in site.records(wire, 2)} == {"done"}


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_an_answer_without_a_length_ends_with_the_stream(site: Site, app: Backend, version: str) -> None:
    """To a client of HTTP/1.1 it is chunked, so that its end can be told from a loss."""

    def ends(server: Wire) -> None:
        read_request(server)
        server.send(f"HTTP/{version} 200 OK\r\n\r\n".encode())
        server.send(b"hello ")
        server.send(b"world")

    app.runs(ends)
    wire = site.connect()
    wire.send(request("GET", "/app/") + request("GET", "/hello"))
    found = read_answer(wire)
    assert (found.get("Transfer-Encoding"), found.body) == ("chunked", b"hello world")
    assert read_answer(wire).body == b"hello"


def test_an_early_hint_reaches_the_client_before_the_answer(site: Site, app: Backend) -> None:
    answered = threading.Event()

    def hints(server: Wire) -> None:
        read_request(server)
        server.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\nConnection: x\r\nContent-Length: 9\r\n\r\n")
        assert answered.wait(30)
        server.send(b"HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" + answer(200, BODY))

    app.runs(hints)
    wire = site.connect()
    wire.send(request("GET", "/app/"))
    hint = read_head(wire)
    assert (hint.status, hint.fields) == (103, [("Link", "</a.css>")])
    answered.set()
    assert [read_head(wire).status for _ in range(2)] == [102, 200]
    assert wire.exactly(len(BODY)) == BODY
    assert site.record(wire)["status"] == 200


CUTS: list[tuple[str, bytes]] = [
    ("a length", b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf of "),
    ("chunks", CHUNKED_HEAD + b"8\r\nhalf of \r\n"),
    ("inside a chunk", CHUNKED_HEAD + b"64\r\nhalf of "),
    ("before the last line", CHUNKED_HEAD + b"8\r\nhalf of \r\n0\r\n"),
]


@pytest.mark.parametrize("loses", [Wire.close, Wire.reset], ids=["by its end", "by a reset"])
@pytest.mark.parametrize("data", [data for _, data in CUTS], ids=[name for name, _ in CUTS])
def test_a_cut_answer_never_looks_complete(
    site: Site, app: Backend, data: bytes, loses: Callable[[Wire], None]
) -> None:
    def cuts(server: Wire) -> None:
        read_request(server)
        server.send(data)
        wire.until(b"half of ")
        loses(server)

    app.runs(cuts)
    wire = site.connect()
    wire.send(request("GET", "/app/"))
    app.visit().wait_over()
    wire.expect_reset()
    record = site.record(wire)
    assert (record["cause"], record["closed_by"], record["status"]) == ("server_lost", "server", 200)


def test_a_stream_without_a_length_that_is_reset_never_looks_complete(site: Site, app: Backend) -> None:
    def cuts(server: Wire) -> None:
        read_request(server)
        server.send(b"HTTP/1.1 200 OK\r\n\r\nhalf of ")
        wire.until(b"half of ")
        server.reset()

    app.runs(cuts)
    wire = site.connect()
    wire.send(b"GET /app/ HTTP/1.0\r\n\r\n")
    app.visit().wait_over()
    wire.expect_reset()
    assert site.record(wire)["cause"] == "server_lost"


def test_a_stream_under_tls_that_is_cut_never_looks_complete(site: Site, verified: Backend) -> None:
    """Without close_notify the end of the TCP stream is a loss."""

    def cuts(server: Wire) -> None:
        read_request(server)
        server.send(b"HTTP/1.1 200 OK\r\n\r\nhalf of ")
        wire.until(b"half of ")
        server.sock.close()

    verified.runs(cuts)
    wire = site.connect()
    wire.send(request("GET", "/verified/"))
    verified.visit().wait_over()
    wire.expect_reset()
    assert site.record(wire)["cause"] == "server_lost"


def test_chunks_of_a_server_that_are_wrong_cut_the_answer(site: Site, app: Backend) -> None:
    wire = site.connect()

    def breaks(server: Wire) -> None:
        read_head(server)
        server.send(CHUNKED_HEAD + b"8\r\nhalf of \r\n")
        wire.until(b"half of ")
        server.send(b"zz\r\n")
        server.expect_reset()

    app.runs(breaks)
    wire.send(request("GET", "/app/"))
    assert app.visit().wait_over().failure is None
    wire.expect_reset()
    assert site.record(wire)["cause"] == "bad_answer"


def test_an_upload_that_is_cut_never_looks_complete(site: Site, app: Backend) -> None:
    def reads(server: Wire) -> None:
        read_head(server)
        assert server.exactly(8) == b"half of "
        wire.close()
        server.expect_reset()

    app.runs(reads)
    wire = site.connect()
    port = wire.sock.getsockname()[1]
    wire.send(b"POST /app/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nhalf of ")
    assert app.visit().wait_over().failure is None
    assert site.records_of(port)[0]["cause"] == "client_closed"


def test_a_server_that_answers_before_the_body_is_heard(site: Site, app: Backend) -> None:
    """The client gets the refusal, and the connection, on which it may go on sending, ends."""

    def refuses(server: Wire) -> None:
        read_head(server)
        server.send(answer(403, b"no"))
        server.expect_reset()

    app.runs(refuses)
    wire = site.connect()
    wire.send(b"POST /unbounded/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 900000\r\n\r\nhello")
    found = read_answer(wire)
    assert (found.status, found.body) == (403, b"no")
    assert app.visit().wait_over().failure is None
    wire.send(b"y" * 100_000)
    wire.expect_gone()
    assert site.record(wire)["status"] == 403


def test_a_refusal_is_heard_although_the_server_resets(site: Site, app: Backend) -> None:
    """A server that answers and closes with the upload unread resets it: its answer is in our kernel before that."""

    def refuses(server: Wire) -> None:
        read_head(server)
        server.exactly(100_000)
        server.send(answer(413, b"too big", "Connection: close"))

    app.runs(refuses)
    for _ in range(5):
        wire = site.connect()
        with contextlib.suppress(OSError):
            wire.send(request("POST", "/unbounded/", body=b"x" * 5_000_000))
        assert (read_answer(wire).body, site.record(wire)["status"]) == (b"too big", 413)


# The slower side sets the pace


def stalls(count: Callable[[], int]) -> int:
    """Wait until ``count`` has stopped growing; its value."""
    last = [-1, 0]

    def steady() -> bool:
        now = count()
        last[1] = last[1] + 1 if now == last[0] else 0
        last[0] = now
        return last[1] > 10

    until(steady, "a sender that is held back")
    return last[0]


@pytest.mark.parametrize("listener", ["web", "secure"])
def test_a_client_that_does_not_read_holds_the_server_back(site: Site, app: Backend, listener: str) -> None:
    size = 200 * MB if listener == "web" else 50 * MB
    sent = [0]

    def flood(server: Wire) -> None:
        read_request(server)
        server.sock.settimeout(30)
        server.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        piece = bytes(65_536)
        for _ in range(size // len(piece)):
            server.send(piece)
            sent[0] += len(piece)

    app.runs(flood)
    wire = site.connect(listener, receive_buffer=65_536)
    before = site.gateway.rss()
    wire.send(request("GET", "/app/"))
    head = read_head(wire)
    assert stalls(lambda: sent[0]) < size // 2
    assert site.gateway.rss() - before < GROWTH
    found = wire.drain(size)
    assert (head.status, found) == (200, size)
    assert site.gateway.rss() - before < GROWTH
    record = site.record(wire)
    assert record["bytes_out"] > size
    assert record["cause"] == "done"


def test_a_server_that_reads_slowly_holds_the_client_back(site: Site, app: Backend) -> None:
    size, sent, go_on = 100 * MB, [0], threading.Event()
    digest = hashlib.sha256()

    def reads(server: Wire) -> None:
        read_head(server)
        assert go_on.wait(20)
        left = size
        while left:
            piece = server.some()
            digest.update(piece)
            left -= len(piece)
        server.send(answer(200, BODY))

    app.runs(reads)
    wire = site.connect()
    before = site.gateway.rss()
    piece = bytes(range(256)) * 256

    def sends_all() -> None:
        wire.sock.settimeout(30)
        wire.send(b"POST /unbounded/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % size)
        for _ in range(size // len(piece)):
            wire.send(piece)
            sent[0] += len(piece)

    sender = threading.Thread(target=sends_all)
    sender.start()
    assert stalls(lambda: sent[0]) < size // 2
    assert site.gateway.rss() - before < GROWTH
    go_on.set()
    assert read_answer(wire).status == 200
    sender.join()
    assert digest.digest() == hashlib.sha256(piece * (size // len(piece))).digest()
    assert site.gateway.rss() - before < GROWTH
    assert site.record(wire)["bytes_in"] > size


def test_a_server_that_never_reads_an_upload_is_given_up(site: Site, app: Backend) -> None:
    """The client is held back, and told when the server has taken nothing for response_timeout."""
    app.runs(lambda server: server.hold())
    wire = site.connect()
    before = site.gateway.rss()
    wire.send(b"POST /hasty/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000000\r\n\r\n")
    piece = bytes(65_536)
    with pytest.raises(OSError):
        while True:
            wire.send(piece)
    assert site.gateway.rss() - before < GROWTH
    assert read_answer(wire).status == 504
    record = site.record(wire)
    assert (record["cause"], record["closed_by"]) == ("server_stuck", "server")


def test_files_wait_for_their_client(site: Site) -> None:
    wire = site.connect(receive_buffer=4096)
    before = site.gateway.rss()
    wire.send(request("GET", "/big.bin") * 8)
    head = read_head(wire)
    assert site.gateway.rss() - before < GROWTH
    read_body(wire, head, until_end=False)
    assert head.body == bytes(range(256)) * 16_384


@pytest.mark.parametrize(("target", "count"), [("/long", 1_000), ("/missing", 60_000)])
def test_a_client_that_asks_and_never_reads_is_read_no_further(site: Site, target: str, count: int) -> None:
    """Answers that cost nothing to make would otherwise pile up: 20 and 11 MB of them."""
    one = request("GET", target)
    wire = site.connect(receive_buffer=4096)
    before = site.gateway.rss()
    sent = [0]

    def asks() -> None:
        with contextlib.suppress(OSError):
            for _ in range(count // 100):
                wire.send(one * 100)
                sent[0] += 100

    sender = threading.Thread(target=asks)
    sender.start()
    stalls(lambda: sent[0])
    stalls(lambda: int(site.gateway.cpu() * 100))
    assert site.gateway.rss() - before < GROWTH
    wire.reset()
    sender.join()


def test_pipelined_answers_of_any_size_arrive_when_they_are_read(site: Site) -> None:
    wire = site.connect(receive_buffer=4096)
    wire.send(request("GET", "/long") * 300 + request("GET", "/hello", "Connection: close"))
    found = [read_answer(wire) for _ in range(301)]
    assert {len(message.body) for message in found[:300]} == {len("long " * 4000) - 1}
    assert found[300].body == b"hello"
    wire.expect_eof()
    assert sum(record["bytes_out"] for record in site.records(wire, 301)) == wire.total


def test_an_endless_answer_goes_on_for_as_long_as_it_moves(site: Site, app: Backend) -> None:
    """response_timeout is the time between two pieces, not for the whole."""
    pieces = 10

    def drips(server: Wire) -> None:
        read_request(server)
        server.send(CHUNKED_HEAD)
        for _ in range(pieces):
            server.released.wait(1.1 * CALM / pieces)
            server.send(b"1\r\nx\r\n")
        server.send(b"0\r\n\r\n")

    app.runs(drips)
    began = time.monotonic()
    assert site.ask(request("GET", "/calm/"))[1].body == b"x" * pieces
    assert time.monotonic() - began > CALM


def test_bodies_arrive_byte_for_byte_under_tls_on_both_sides(site: Site, verified: Backend) -> None:
    seen: list[bytes] = []

    def respond(message: Message) -> bytes:
        seen.append(message.body)
        return answer(200, message.body[::-1])

    verified.responds(respond)
    data = bytes(range(251)) * 3000
    wire = site.connect("secure")
    wire.send(request("POST", "/verified/", body=data))
    assert read_answer(wire).body == data[::-1]
    assert seen == [data]


def test_a_flood_that_nobody_asked_for_ends_with_its_server(site: Site, app: Backend) -> None:
    """Bytes behind a complete answer are dropped with the connection; the next request has an answer of its own."""
    app.runs(in_turn(waits_for(), sends(answer(200, BODY)), floods(MB)))
    wire = site.connect()
    wire.send(request("GET", "/app/"))
    assert read_answer(wire).body == BODY
    app.visit().wait_over()
    app.runs(in_turn(waits_for(), sends(answer(200, b"second"))))
    wire.send(request("GET", "/app/"))
    assert read_answer(wire).body == b"second"
    with pytest.raises((EndOfStream, TimeoutError)):
        wire.sock.settimeout(0.05)
        wire.exactly(1)
