"""The ``messages`` relay in a real gateway, with real sockets, and what it takes of memory."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection

from tests.conftest import Serve, StartGateway
from tests.doubles import frames
from tests.doubles.gateway import ROOT, Gateway
from tests.doubles.scripts import upgrades
from tests.doubles.waiting import until
from tests.doubles.websocket_peers import WebSocketServer, echo, open_client

INI = """
[listener web]
bind = 127.0.0.1:{web}

[upstream app]
servers = {server}

[route app]
path = /
upstream = app
websocket = messages
compression = client
"""

MEGABYTE = 1 << 20


@pytest.fixture
def server() -> Iterator[WebSocketServer]:
    with WebSocketServer() as started:
        yield started


@pytest.fixture
def gateway(start_gateway: StartGateway, server: WebSocketServer) -> Gateway:
    return start_gateway(INI, server=server.address)


def test_an_echo_through_the_gateway_with_compression_towards_the_client(
    gateway: Gateway, server: WebSocketServer
) -> None:
    messages: list[str | bytes] = ["grüße", b"\x00\xff", "", "long " * 20_000]
    with open_client(gateway.url("web")) as client:
        assert client.response is not None
        assert "permessage-deflate" in client.response.headers["Sec-WebSocket-Extensions"]
        for message in messages:
            client.send(message)
            assert client.recv(timeout=10) == message
        assert client.ping().wait(10)
        client.close(4001, "enough")
    session = server.wait_sessions()[0].wait_over()
    assert (session.close_code, session.close_reason) == (4001, "enough")
    assert session.header("Sec-WebSocket-Extensions") == []
    (record,) = gateway.records(1)
    assert (record["relay"], record["cause"], record["close_code"]) == ("messages", "client_closed", 4001)
    assert record["messages_in"] == record["messages_out"] == len(messages)


def test_a_bomb_does_not_reach_the_gateways_memory(gateway: Gateway) -> None:
    with gateway.connect("web") as wire:
        frames.open_websocket(wire, "/", "localhost", "Sec-WebSocket-Extensions: permessage-deflate")
        wire.send(frames.encode(frames.BINARY, _deflated(MEGABYTE // 2), rsv=4))
        read = frames.read_frame(wire)
        assert read.rsv == 4
        before = gateway.rss()
        wire.send(frames.encode(frames.BINARY, _deflated(200 * MEGABYTE), rsv=4))
        assert frames.read_frame(wire).close_code == 1009
        assert gateway.rss() - before < 16 * MEGABYTE
    assert gateway.records(1)[0]["cause"] == "client_too_big"


def _deflated(size: int) -> bytes:
    stream = zlib.compressobj(9, zlib.DEFLATED, -12)
    pieces = [stream.compress(bytes(MEGABYTE // 2)) for _ in range(size * 2 // MEGABYTE)]
    return (b"".join(pieces) + stream.flush(zlib.Z_SYNC_FLUSH))[:-4]


def test_a_client_that_never_reads_costs_one_message_and_one_buffer(start_gateway: StartGateway) -> None:
    sent = 0

    def pour(connection: ServerConnection) -> None:
        nonlocal sent
        if connection.request is not None and connection.request.path == "/echo":
            echo(connection)
        while sent < 1024:
            connection.send(bytes(MEGABYTE))
            sent += 1

    with WebSocketServer(pour) as server:
        gateway = start_gateway(INI + "slow_consumer_timeout = 2s\n", server=server.address)
        with open_client(gateway.url("web", "/echo")) as client:
            client.send(bytes(MEGABYTE))
            client.recv(timeout=10)
        before = gateway.rss()
        with gateway.connect("web", receive_buffer=4096) as wire:
            frames.open_websocket(wire)
            assert gateway.records(2, timeout=20)[1]["cause"] == "client_stuck"
            assert gateway.rss() - before < 8 * MEGABYTE
        assert sent < 32


def test_a_server_that_never_reads_costs_one_message_and_one_buffer(start_gateway: StartGateway, serve: Serve) -> None:
    """The client sends a gigabyte, as far as it is taken."""
    server = serve(upgrades(), receive_buffer=4096)
    gateway = start_gateway(INI + "slow_consumer_timeout = 2s\n", server=server.address)
    message = frames.encode(frames.BINARY, bytes(MEGABYTE))
    with gateway.connect("web") as wire, gateway.connect("web") as warm:
        frames.open_websocket(warm)
        warm.send(message)
        frames.open_websocket(wire)
        before = gateway.rss()
        sent = 0
        try:
            while sent < 1024:
                wire.send(message)
                sent += 1
        except OSError:
            pass
        assert gateway.records(1, timeout=20)[0]["cause"] == "server_stuck"
        assert gateway.rss() - before < 8 * MEGABYTE
    assert sent < 32


def test_the_hook_of_the_documentation(start_gateway: StartGateway, server: WebSocketServer, tmp_path: Path) -> None:
    page = (ROOT / "docs" / "hooks.rst").read_text()
    found = re.search(r"(?ms)^    # chat_rules\.py\n(.*?)^\S", page)
    assert found
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    (hooks / "chat_rules.py").write_text(re.sub(r"(?m)^    ", "", found[1]))
    gateway = start_gateway(
        INI + "on_message = chat_rules:on_message\n",
        server=server.address,
        environment={"PYTHONPATH": f"{ROOT}:{hooks}"},
    )
    with open_client(gateway.url("web")) as client:
        client.send('{"kind": "whisper"}')
        client.send('{"kind": "talk"}')
        assert client.recv(timeout=10) == '{"kind": "talk", "from": "127.0.0.1"}'
        client.send(b"binary")
        with pytest.raises(ConnectionClosed) as closed:
            client.recv(timeout=10)
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1003, "text only")
    assert gateway.records(1)[0]["cause"] == "policy"


def test_a_gateway_that_stops_says_so_to_both_peers(gateway: Gateway, server: WebSocketServer) -> None:
    with open_client(gateway.url("web")) as client:
        client.send("x")
        assert client.recv(timeout=10) == "x"
        gateway.stop()
        with pytest.raises(ConnectionClosed) as closed:
            client.recv(timeout=10)
    assert closed.value.rcvd is not None and closed.value.rcvd.code == 1001
    until(lambda: server.sessions[0].close_code == 1001, "the server's Close")
