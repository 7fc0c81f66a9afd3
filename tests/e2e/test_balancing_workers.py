"""Balancing by several processes: limits, cookies and health hold for all of them together."""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from signal import SIGTERM
from threading import Lock
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection

from tests.conftest import Serve, StartGateway
from tests.doubles.gateway import Gateway
from tests.doubles.http import answer, read_answer, read_request, request
from tests.doubles.partition import Partition
from tests.doubles.ports import free_port
from tests.doubles.raw import Wire
from tests.doubles.raw_tls import connect_tls
from tests.doubles.steering import edit, obeyed, status, wait_ready, workers
from tests.doubles.waiting import until
from tests.doubles.websocket_peers import WebSocketServer, open_client

INI = """
[gateway]
workers = 2

[listener web]
bind = 127.0.0.1:{web}

[listener secure]
bind = 127.0.0.1:{secure}
tls = site

[tls site]
certificate = self-signed
names = localhost

[listener raw]
bind = 127.0.0.1:{raw}
mode = tcp
upstream = servers

[route all]
path = /
upstream = servers

[upstream servers]
servers = {servers}
"""


@pytest.fixture
def servers() -> Iterator[list[WebSocketServer]]:
    with ExitStack() as stack:
        yield [stack.enter_context(WebSocketServer()) for _ in range(3)]


class Busy:
    """A server that needs some time for each request, and knows how many it had at a time."""

    def __init__(self) -> None:
        self.now = self.most = self.total = 0
        self._lock = Lock()

    def __call__(self, wire: Wire) -> None:
        read_request(wire)
        with self._lock:
            self.total += 1
            self.now += 1
            self.most = max(self.most, self.now)
        wire.released.wait(0.02)
        with self._lock:
            self.now -= 1
        wire.send(answer(200, b"", "Connection: close"))


def test_a_server_has_never_more_than_its_most_however_many_come(start_gateway: StartGateway, serve: Serve) -> None:
    one, two = Busy(), Busy()
    text = INI + "queue = 200 timeout=1h\nbalance = least_conn\n"
    gateway = start_gateway(text, servers=f"{serve(one).address} max_conns=3, {serve(two).address} max_conns=1")
    wait_ready(gateway)
    with ThreadPoolExecutor(20) as pool:
        statuses = list(pool.map(lambda _: status(gateway, "/"), range(120)))
    assert statuses == [200] * 120
    assert one.most <= 3 and two.most <= 1
    assert one.total + two.total == 120
    assert two.total > 10, "both are used"
    until(lambda: not any(one["open"] for one in workers(gateway)[0]["upstreams"]["servers"]), "free places")


def _waiting(gateway: Gateway) -> int:
    return int(workers(gateway)[0]["waiting"]["servers"])


def test_layer_4_waits_for_a_place_too(start_gateway: StartGateway, serve: Serve) -> None:
    server = serve(lambda wire: wire.send(wire.exactly(5)))
    gateway = start_gateway(INI + "queue = 1 timeout=1h\n", servers=f"{server.address} max_conns=1")
    wait_ready(gateway)
    with gateway.connect("raw") as first:
        server.wait_visits(1)
        with gateway.connect("raw") as second:
            until(lambda: _waiting(gateway) == 1, "who waits")
            with gateway.connect("raw") as third:
                third.expect_eof()
            first.send(b"first")
            second.send(b"after")
            assert first.exactly(5) == b"first"
            first.close()
            assert second.exactly(5) == b"after"
    until(lambda: _waiting(gateway) == 0, "an empty queue")
    assert [record["cause"] for record in gateway.records(3)].count("no_server") == 1


def test_who_waits_when_the_gateway_stops_gets_the_place_of_those_who_leave(
    start_gateway: StartGateway, servers: list[WebSocketServer]
) -> None:
    text = INI.replace("workers = 2", "workers = 2\ndrain_timeout = 20s")
    gateway = start_gateway(text + "queue = 9 timeout=1h\n", servers=f"{servers[0].address} max_conns=1")
    wait_ready(gateway)
    with open_client(gateway.url("web")) as client, gateway.connect("web") as wire:
        wire.send(request("GET", "/", "Connection: close"))
        until(lambda: _waiting(gateway) == 1, "who waits")
        gateway.signal(SIGTERM)
        with pytest.raises(ConnectionClosed) as closed:
            client.recv()
        assert closed.value.rcvd is not None and closed.value.rcvd.code == 1001
        # The server speaks WebSocket alone, and says so.
        assert read_answer(wire).status == 426
    assert gateway.wait() in (0, -SIGTERM)


# Stickiness


def visit(gateway: Gateway, servers: list[WebSocketServer], cookie: str) -> tuple[int, str]:
    """Which server was reached, and the cookie that it left."""
    before = [len(server.sessions) for server in servers]
    headers = {"Cookie": cookie} if cookie else {}
    with open_client(gateway.url("web"), additional_headers=headers) as client:
        assert client.response is not None
        left = client.response.headers.get("Set-Cookie", "")
    gained = [len(server.sessions) - count for server, count in zip(servers, before, strict=True)]
    return gained.index(1), left.partition(";")[0]


def test_a_cookie_of_one_worker_holds_for_all_through_reloads_and_restarts_of_workers(
    start_gateway: StartGateway, servers: list[WebSocketServer]
) -> None:
    text = INI + "sticky = cookie wsgate\n"
    gateway = start_gateway(text, servers=", ".join(server.address for server in servers[:2]))
    wait_ready(gateway)
    place, cookie = visit(gateway, servers, "")
    assert re.fullmatch(r"wsgate=[A-Za-z0-9_-]{24}", cookie)
    for change in ("", f"{servers[0].address}, ", "worker"):
        if change == "worker":
            obeyed(gateway, "drain", kind="worker", name="1")
        elif change:
            edit(gateway, f"servers = {change}", f"servers = {servers[2].address}, {change}")
            obeyed(gateway, "reload")
        assert {visit(gateway, servers, cookie) for _ in range(10)} == {(place, "")}
    forged = cookie[:-1] + ("A" if cookie[-1] != "A" else "B")
    assert visit(gateway, servers, forged)[1].startswith("wsgate=")
    edit(gateway, servers[place].address, f"{servers[place].address} down")
    obeyed(gateway, "reload")
    moved, other = visit(gateway, servers, cookie)
    assert moved != place
    assert {visit(gateway, servers, other) for _ in range(6)} == {(moved, "")}


def test_a_cookie_is_secure_where_the_client_came_over_tls(start_gateway: StartGateway, serve: Serve) -> None:
    def plain(wire: Wire) -> None:
        read_request(wire)
        wire.send(answer(200, b"", "Connection: close"))

    gateway = start_gateway(INI + "sticky = cookie wsgate max_age=1d samesite=strict\n", servers=serve(plain).address)
    with connect_tls(gateway.where("secure")) as wire:
        wire.send(request("GET", "/", "Connection: close"))
        cookie = read_answer(wire).get("Set-Cookie") or ""
    assert cookie.endswith("; Path=/; HttpOnly; Max-Age=86400; Secure; SameSite=Strict")
    with gateway.connect("web") as wire:
        wire.send(request("GET", "/", "Connection: close"))
        assert "Secure" not in (read_answer(wire).get("Set-Cookie") or "Secure")


# Health


def test_the_only_server_is_asked_again_at_once(start_gateway: StartGateway) -> None:
    port = free_port()
    gateway = start_gateway(INI, servers=f"127.0.0.1:{port} fail_timeout=1h")
    wait_ready(gateway)
    assert [status(gateway, "/") for _ in range(6)] == [502] * 6
    with WebSocketServer(port=port):
        for _ in range(6):
            with open_client(gateway.url("web")) as client:
                client.send("hello")
                assert client.recv() == "hello"


def test_where_every_server_is_down_all_are_told_at_once_until_one_is_back(start_gateway: StartGateway) -> None:
    """Row 23 of the faults."""
    ports = [free_port() for _ in range(2)]
    text = INI + "probe = tcp interval=50ms rise=1 fall=1\nqueue = 100 timeout=1h\n"
    gateway = start_gateway(text, servers=", ".join(f"127.0.0.1:{port}" for port in ports))
    wait_ready(gateway)
    until(lambda: all(facts["state"] == "down" for facts in _servers(gateway)), "servers that are down, told")
    for _ in range(4):
        with gateway.connect("web") as wire:
            wire.send(request("GET", "/", "Connection: close"))
            refused = read_answer(wire)
            assert (refused.status, refused.get("Retry-After")) == (503, "1")
        with gateway.connect("raw") as wire:
            wire.expect_eof()
    assert {record["cause"] for record in gateway.records(8)} == {"no_server"}
    with WebSocketServer(port=ports[1]):
        until(lambda: all(worker["upstreams"]["servers"][1]["state"] == "up" for worker in workers(gateway)), "one")
        for listener in ("web", "raw") * 3:
            with open_client(gateway.url(listener)) as client:
                assert echoes(client)


def _servers(gateway: Gateway) -> list[dict[str, Any]]:
    return [one for worker in workers(gateway) for one in worker["upstreams"]["servers"]]


def echoes(client: ClientConnection) -> bool:
    try:
        client.send("still here")
        return client.recv() == "still here"
    except ConnectionClosed:
        return False


def test_one_of_three_servers_is_cut_off_and_comes_back_little_by_little(
    start_gateway: StartGateway, servers: list[WebSocketServer]
) -> None:
    """Row 21 of the faults."""
    text = INI.replace("path = /\n", "path = /\nping_interval = 300ms\nping_timeout = 2s\n")
    text += "connect_timeout = 500ms\nprobe = websocket / interval=100ms timeout=2s rise=1 fall=1\n"
    with Partition(("127.0.0.1", servers[2].port)) as partition, ExitStack() as stack:
        addresses = [servers[0].address, servers[1].address, partition.address]
        gateway = start_gateway(text, servers=", ".join(f"{address} slow_start=1h" for address in addresses))
        wait_ready(gateway)
        headers = {"X-Visit": "yes"}

        def opened() -> ClientConnection:
            return stack.enter_context(open_client(gateway.url("web"), additional_headers=headers))

        def visits(server: WebSocketServer) -> int:
            return sum(bool(session.header("X-Visit")) for session in list(server.sessions))

        held = [opened() for _ in range(9)]
        cut_off = visits(servers[2])
        assert cut_off
        partition.cut()
        until(lambda: f"{partition.address} is down" in gateway.log, "the loss, told", 30)
        until(lambda: sum(echoes(client) for client in held) == 9 - cut_off, "who is left", 30)
        codes = {client.close_code for client in held if client.close_code is not None}
        assert codes == {1011}
        found = [opened() for _ in range(6)]
        assert all(echoes(client) for client in found)
        assert visits(servers[2]) == cut_off
        partition.heal()
        until(lambda: f"{partition.address} is up again" in gateway.log, "the return, told", 30)
        assert all(echoes(opened()) for _ in range(30))
        # Without a slow start it would get ten or more; each worker may have had it on its turn.
        assert visits(servers[2]) - cut_off <= 5
        assert sum(echoes(client) for client in held) == 9 - cut_off
