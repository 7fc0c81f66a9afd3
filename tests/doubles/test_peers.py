"""Scripted servers and the fault proxy do what their names say."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.doubles.faults import Fault, FaultProxy
from tests.doubles.frames import BINARY, KEY, TEXT, close, encode, open_websocket, read_frame, text, upgrade_request
from tests.doubles.http import Message, answer, read_answer, request
from tests.doubles.peers import ScriptedServer
from tests.doubles.raw import Wire, connect
from tests.doubles.scripts import accepts_only, echoes, echoes_frames, floods, sends, serves_http, upgrades
from tests.doubles.waiting import until
from tests.doubles.websocket_peers import WebSocketServer, open_client


def test_every_address_family_is_served(tmp_path: Path) -> None:
    servers = (
        ScriptedServer(echoes),
        ScriptedServer(echoes, host="::1"),
        ScriptedServer(echoes, path=str(tmp_path / "socket")),
    )
    for server in servers:
        with server, connect(server.where) as wire:
            wire.send(b"there and back")
            assert wire.exactly(14) == b"there and back"
    assert [server.address.split(":")[0] for server in servers] == ["127.0.0.1", "[", "unix"]


def test_a_failed_assertion_in_a_script_reaches_the_test() -> None:
    def script(wire: Wire) -> None:
        assert wire.some() == b"right"

    server = ScriptedServer(script)
    with connect(server.where) as wire:
        wire.send(b"wrong")
        wire.expect_gone()
    with pytest.raises(AssertionError, match="wrong"):
        server.stop()


def test_a_client_that_leaves_is_no_failure_of_the_script() -> None:
    with ScriptedServer(echoes) as server:
        with connect(server.where) as wire:
            wire.send(b"x")
            wire.exactly(1)
            wire.reset()
        assert isinstance(server.visits[0].wait_over().failure, ConnectionResetError)


def test_http_is_answered_on_a_kept_connection() -> None:
    def respond(asked: Message) -> bytes:
        return answer(200, f"{asked.method} {asked.target} ".encode() + asked.body, "X-Seen: yes")

    with ScriptedServer(serves_http(respond)) as server, connect(server.where) as wire:
        wire.send(request("GET", "/a") + request("POST", "/b", body=b"body"))
        first, second = read_answer(wire), read_answer(wire)
        assert (first.body, second.body) == (b"GET /a ", b"POST /b body")
        assert second.get("x-seen") == "yes"


def test_chunks_and_trailers_are_read() -> None:
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nX-Sum: 5\r\n\r\n"
    with ScriptedServer(sends(b"HTTP/1.1 103 Early Hints\r\n\r\n" + chunked)) as server, connect(server.where) as wire:
        found = read_answer(wire)
        assert (found.status, found.body, found.trailers) == (200, b"abcde", [("X-Sum", "5")])


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536])
def test_frames_of_every_length_form_come_back(size: int) -> None:
    with ScriptedServer(upgrades(echoes_frames)) as server, connect(server.where) as wire:
        open_websocket(wire)
        wire.send(encode(BINARY, b"\xa5" * size))
        frame = read_frame(wire)
        assert (frame.opcode, frame.payload, frame.masked) == (BINARY, b"\xa5" * size, False)
        wire.send(close(1000, "done"))
        assert read_frame(wire).close_reason == "done"
        wire.expect_eof()


def test_a_wrong_accept_and_bytes_behind_the_handshake() -> None:
    script = upgrades(echoes_frames, accept="wrong", behind=text("early", mask=b""))
    with ScriptedServer(script) as server, connect(server.where) as wire:
        wire.send(upgrade_request(key=KEY))
        assert b"Sec-WebSocket-Accept: wrong\r\n" in wire.until(b"\r\n\r\n")
        assert read_frame(wire)[:2] == (TEXT, b"early")


def test_slices_and_delay_change_no_byte() -> None:
    fault = Fault(slice=1, delay=0.001)
    with ScriptedServer(echoes) as server, FaultProxy(server.where, up=fault, down=fault) as proxy:
        with connect(proxy.where) as wire:
            wire.send(b"0123456789")
            assert wire.exactly(10) == b"0123456789"
            wire.half_close()
            wire.expect_eof()


def test_a_stall_holds_the_rest_back() -> None:
    with ScriptedServer(sends(b"0123456789")) as server, FaultProxy(server.where, down=Fault(stall_after=3)) as proxy:
        with connect(proxy.where) as wire:
            assert wire.exactly(3) == b"012"
            wire.expect_silence(0.05)


def test_a_reset_strikes_both_sides_in_the_middle() -> None:
    with ScriptedServer(floods(64 * 2**20)) as server, FaultProxy(server.where, down=Fault(reset_after=1000)) as proxy:
        with connect(proxy.where) as wire:
            wire.expect_reset()
            assert wire.total <= 1000
        assert isinstance(server.visits[0].wait_over().failure, ConnectionError)


def test_an_end_strikes_after_its_bytes() -> None:
    with ScriptedServer(floods(64 * 2**20)) as server, FaultProxy(server.where, down=Fault(end_after=1000)) as proxy:
        with connect(proxy.where) as wire:
            assert len(wire.rest()) == 1000


def test_a_peer_that_never_reads_fills_the_pipe() -> None:
    with ScriptedServer(accepts_only, receive_buffer=4096) as server, FaultProxy(server.where) as proxy:
        with connect(proxy.where, send_buffer=4096, timeout=0.3) as wire, pytest.raises(TimeoutError):
            wire.send(b"\x00" * 64 * 2**20)


def test_the_library_peers_talk_and_record_the_close() -> None:
    with WebSocketServer() as server:
        with open_client(f"ws://{server.address}/path?x=1", additional_headers={"X-One": "1"}) as client:
            client.send("hello")
            assert client.recv(5) == "hello"
            client.close(3001, "enough")
        session = server.wait_sessions()[0].wait_over()
        assert (session.path, session.header("x-one")) == ("/path?x=1", ["1"])
        assert (session.close_code, session.close_reason) == (3001, "enough")


def test_waiting_gives_the_answer_or_says_what_did_not_come() -> None:
    answers = iter([0, 0, 7])
    assert until(lambda: next(answers)) == 7
    with pytest.raises(AssertionError, match="the moon"):
        until(lambda: 0, "the moon", timeout=0.02)
