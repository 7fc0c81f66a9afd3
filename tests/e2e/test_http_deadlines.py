"""Every wait for a client has an end, however it spends the time."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.doubles.http import read_answer, read_head, request
from tests.doubles.raw import Wire
from tests.e2e.shared_site import BODY, CALM, HASTY, Backend, Site


@contextmanager
def closed_in_time(least: float) -> Iterator[None]:
    """What happens in the block takes the deadline, never less; that it takes about so long only a calm machine tells.

    The clock starts before the gateway's does: before the connection, or before the request whose answer starts it.
    """
    began = time.monotonic()
    yield
    assert least <= time.monotonic() - began < 20 * least


class Dripping:
    """Sends one byte after the other until it is stopped, the connection is closed or ``data`` is at its end."""

    def __init__(self, wire: Wire, data: bytes, pause: float) -> None:
        self._wire, self._data, self._pause = wire, data, pause
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            for byte in self._data:
                self._wire.send(bytes([byte]))
                if self._wire.released.wait(self._pause):
                    return
        except OSError:
            return

    def stop(self) -> None:
        self._wire.released.set()
        self._thread.join()


def test_a_dripping_head_is_a_408(site: Site) -> None:
    with closed_in_time(HASTY):
        wire = site.connect("hasty")
        drip = Dripping(wire, request("GET", "/hello", f"X: {'x' * 1000}"), 0.1)
        found = read_answer(wire)
    drip.stop()
    assert (found.status, found.get("Connection")) == (408, "close")
    record = site.record(wire)
    assert (record["status"], record["cause"]) == (408, "head_timeout")


def test_half_a_head_is_a_408(site: Site) -> None:
    with closed_in_time(HASTY):
        wire = site.connect("hasty")
        wire.send(b"GET /hello HTTP/1.1\r\nHost:")
        assert read_answer(wire).status == 408
    wire.expect_eof()
    assert site.record(wire)["cause"] == "head_timeout"


def test_a_silent_client_is_closed_without_a_word(site: Site) -> None:
    """Browsers open connections ahead of need: 408 would then be read as the answer to the next request."""
    with closed_in_time(HASTY):
        wire = site.connect("hasty")
        wire.expect_eof()
    assert not [record for record in site.gateway.records() if record.get("client_port") == wire.sock.getsockname()[1]]


def test_empty_lines_put_nothing_off(site: Site) -> None:
    with closed_in_time(HASTY):
        wire = site.connect("hasty")
        drip = Dripping(wire, b"\r\n" * 100, 0.15)
        wire.expect_gone()
    drip.stop()


def test_a_connection_without_a_next_request_is_closed(site: Site) -> None:
    with closed_in_time(CALM):
        wire, found = site.ask(request("GET", "/hello"), "calm")
        assert found.status == 200
        wire.expect_eof()
    site.record(wire)


def test_the_head_of_a_later_request_has_the_same_time(site: Site) -> None:
    wire, _ = site.ask(request("GET", "/hello"), "calm")
    with closed_in_time(CALM):
        wire.send(b"G")
        assert read_answer(wire).status == 408
    assert [record["cause"] for record in site.records(wire, 2)] == ["done", "head_timeout"]


def test_a_dripping_body_is_a_408_and_the_server_is_left(site: Site, app: Backend) -> None:
    def reads(server: Wire) -> None:
        read_head(server)
        server.expect_reset()

    app.runs(reads)
    with closed_in_time(CALM):
        wire = site.connect("calm")
        wire.send(b"POST /app/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n")
        drip = Dripping(wire, b"x" * 1000, 0.1)
        found = read_answer(wire)
    drip.stop()
    assert (found.status, found.get("Connection")) == (408, "close")
    record = site.record(wire)
    assert (record["cause"], record["closed_by"]) == ("body_timeout", "client")
    assert app.visit().wait_over().failure is None


def test_dripping_chunks_are_a_408(site: Site, app: Backend) -> None:
    with closed_in_time(CALM):
        wire = site.connect("calm")
        wire.send(request("POST", "/app/", "Transfer-Encoding: chunked"))
        drip = Dripping(wire, b"1\r\nx\r\n" * 300, 0.02)
        assert read_answer(wire).status == 408
    drip.stop()
    assert site.record(wire)["cause"] == "body_timeout"


def test_a_steady_upload_may_take_longer_than_the_deadline(site: Site, app: Backend) -> None:
    """The deadline asks for progress, not for the whole body."""
    wire = site.connect("calm")
    pieces = 10
    size = 80_000
    began = time.monotonic()
    wire.send(f"POST /app/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: {pieces * size}\r\n\r\n".encode())
    for _ in range(pieces):
        wire.send(b"x" * size)
        wire.released.wait(1.1 * CALM / pieces)
    assert read_answer(wire).body == BODY
    assert time.monotonic() - began > CALM
    assert len(app.request().body) == pieces * size


def test_a_body_held_back_by_the_server_is_not_the_clients_fault(site: Site, app: Backend) -> None:
    """While the gateway does not read, the client cannot send; its deadline is not counted."""

    def pauses(server: Wire) -> None:
        head = read_head(server)
        server.released.wait(1.2 * CALM)
        left = int(head.get("Content-Length") or 0)
        while left:
            left -= len(server.some())
        server.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    app.runs(pauses)
    size = 24 * 2**20
    wire = site.connect("calm")
    wire.send(f"POST /unbounded/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: {size}\r\n\r\n".encode())
    sender = threading.Thread(target=wire.send, args=(bytes(size),))
    sender.start()
    assert read_answer(wire).status == 200
    sender.join()


def test_what_is_left_of_an_unneeded_body_has_a_deadline(site: Site) -> None:
    with closed_in_time(CALM):
        wire = site.connect("calm")
        wire.send(b"POST /hello HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nhalf")
        assert read_answer(wire).status == 200
        wire.expect_eof()
    site.record(wire)


def test_a_slow_answer_is_no_fault_of_the_client(site: Site, app: Backend) -> None:
    """Neither head_timeout nor keepalive_timeout counts while a server thinks."""

    def thinks(server: Wire) -> None:
        read_head(server)
        server.released.wait(1.2 * CALM)
        server.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    app.runs(thinks)
    wire, found = site.ask(request("GET", "/app/"), "calm")
    assert found.body == b"ok"
    site.record(wire)
