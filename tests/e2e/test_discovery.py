"""Servers come and go by DNS and by files, while the connections to the others go on."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from twisted.names import dns
from websockets.exceptions import InvalidStatus
from websockets.protocol import State
from websockets.sync.client import ClientConnection

from tests.conftest import StartGateway
from tests.doubles.dns import DnsServer
from tests.doubles.gateway import Gateway
from tests.doubles.steering import edit, obeyed, status, wait_ready, workers
from tests.doubles.waiting import until
from tests.doubles.websocket_peers import WebSocketServer, open_client

INI = """
[gateway]
resolver = {resolver}
removed = keep
{more}

[listener web]
bind = 127.0.0.1:{web}

[route all]
path = /
upstream = servers
ping_interval = off

[upstream servers]
balance = least_conn
servers = {servers}
"""


@pytest.fixture
def resolver() -> Iterator[DnsServer]:
    with DnsServer() as server:
        yield server


@pytest.fixture
def servers() -> Iterator[list[WebSocketServer]]:
    """Three servers on addresses of their own with one port."""
    with ExitStack() as stack:
        first = stack.enter_context(WebSocketServer(host="127.0.0.1"))
        others = [stack.enter_context(WebSocketServer(host=f"127.0.0.{last}", port=first.port)) for last in (2, 3)]
        yield [first, *others]


def visits(gateway: Gateway, servers: list[WebSocketServer], count: int) -> list[int]:
    """How many of so many WebSockets, open together, each server gets; they are gone again at the end."""
    before, relayed = [len(server.sessions) for server in servers], _relayed(gateway)
    with ExitStack() as stack:
        for _ in range(count):
            stack.enter_context(open_client(gateway.url("web")))
    until(lambda: _relayed(gateway) == relayed, "places given back")
    return [len(server.sessions) - known for server, known in zip(servers, before, strict=True)]


def _relayed(gateway: Gateway) -> int:
    return sum(worker["relayed"] for worker in workers(gateway))


def replace_file(path: Path, text: str) -> None:
    """Change a file as careful programs do, at once."""
    new = path.with_name("new")
    new.write_text(text)
    os.replace(new, path)


# Files


def test_a_file_is_watched_and_connections_stay(
    start_gateway: StartGateway, servers: list[WebSocketServer], tmp_path: Path
) -> None:
    path = tmp_path / "servers.txt"
    path.write_text(f"# the first\n{servers[0].address} weight=2\n")
    gateway = start_gateway(INI, servers=f"file:{path}", resolver="", more="")
    with open_client(gateway.url("web")) as held:
        replace_file(path, f"{servers[1].address}\n{servers[2].address}  # the third\n")
        until(lambda: visits(gateway, servers, 4) == [0, 2, 2], "the servers of the new file")
        held.send("still here")
        assert held.recv() == "still here"


def test_a_wrong_file_changes_nothing(
    start_gateway: StartGateway, servers: list[WebSocketServer], tmp_path: Path
) -> None:
    path = tmp_path / "servers.txt"
    path.write_text(f"{servers[0].address}\n")
    gateway = start_gateway(INI, servers=f"file:{path}", resolver="", more="")
    replace_file(path, f"{servers[1].address}\nnonsense\n")
    until(lambda: "servers.txt:2: " in gateway.log, "the fault, told")
    assert visits(gateway, servers, 2) == [2, 0, 0]
    path.unlink()
    until(lambda: "cannot be read" in gateway.log, "the loss, told")
    assert visits(gateway, servers, 2) == [2, 0, 0]
    replace_file(path, f"{servers[2].address}\n")
    until(lambda: visits(gateway, servers, 2) == [0, 0, 2], "the right file")


def test_all_workers_follow_a_file(start_gateway: StartGateway, servers: list[WebSocketServer], tmp_path: Path) -> None:
    path = tmp_path / "servers.txt"
    path.write_text(f"{servers[0].address}\n")
    gateway = start_gateway(INI, servers=f"file:{path}", resolver="", more="workers = 2")
    until(lambda: visits(gateway, servers, 8) == [8, 0, 0], "workers")
    replace_file(path, f"{servers[1].address} max_conns=3\n{servers[2].address}\n")
    until(lambda: visits(gateway, servers, 8) == [0, 3, 5], "the servers of the new file, and one limit for all")


# DNS


def a(*lasts: int) -> list[dns.Record_A]:
    return [dns.Record_A(f"127.0.0.{last}") for last in lasts]


def service(port: int, target: str, priority: int = 0, weight: int = 1) -> dns.Record_SRV:
    return dns.Record_SRV(priority, weight, port, target)


def serves(gateway: Gateway) -> bool:
    try:
        with open_client(gateway.url("web")):
            return True
    except InvalidStatus:
        return False


def test_addresses_follow_dns_and_the_last_good_answer_stays(
    start_gateway: StartGateway, servers: list[WebSocketServer], resolver: DnsServer
) -> None:
    """Row 24 of the faults; the name is one that only this DNS server knows."""
    resolver.records["app.test"] = a(1)
    gateway = start_gateway(
        INI + "resolve = 100ms\n", servers=f"app.test:{servers[0].port}", resolver=resolver.address, more=""
    )
    with open_client(gateway.url("web")) as held:
        resolver.records["app.test"] = [*a(1, 2), dns.Record_AAAA("::1")]
        until(lambda: all(visits(gateway, servers, 4)[:2]), "one more")
        resolver.records["app.test"] = a(2, 3)
        until(lambda: visits(gateway, servers, 4) == [0, 2, 2], "the new answer")
        held.send("still here")
        assert held.recv() == "still here"
        spoils: list[Callable[[], object]] = [
            resolver.records.clear,
            lambda: resolver.records.update({"app.test": []}),
            lambda: setattr(resolver, "mute", True),
        ]
        for spoil in spoils:
            spoil()
            before = resolver.asked["app.test"]
            until(lambda before=before: resolver.asked["app.test"] > before + 3, "questions")  # type: ignore[misc]
            assert visits(gateway, servers, 2) == [0, 1, 1]
        held.send("still here")
        assert held.recv() == "still here"
    assert gateway.log.count("what was known goes on") == 2, "each of the two that are told at once, once"
    assert "Protocol" not in gateway.log and "UDP" not in gateway.log, "a line for each question"


def test_names_that_nobody_knows_keep_no_reload_from_its_work(
    start_gateway: StartGateway, servers: list[WebSocketServer], resolver: DnsServer
) -> None:
    resolver.records["app.test"] = a(1)
    gateway = start_gateway(
        INI + "resolve = ttl\n", servers=f"app.test:{servers[0].port}", resolver=resolver.address, more=""
    )
    until(lambda: serves(gateway), "servers")
    resolver.mute = True
    edit(gateway, "balance = least_conn", "balance = random_two")
    assert obeyed(gateway, "reload")["changed"] == ["[upstream servers] changed: balance"]
    assert visits(gateway, servers, 2) == [2, 0, 0]


@pytest.mark.parametrize("count", [1, 2])
def test_who_comes_before_the_first_answer_waits_for_it(
    start_gateway: StartGateway, servers: list[WebSocketServer], resolver: DnsServer, count: int
) -> None:
    resolver.records |= {"_ws._tcp.test": [service(servers[0].port, "a.test")], "a.test": a(1)}
    gateway = start_gateway(
        INI + "connect_timeout = 30s\n",
        servers="srv:_ws._tcp.test",
        resolver=resolver.address,
        more=f"workers = {count}",
    )
    assert visits(gateway, servers, 4) == [4, 0, 0]


def test_who_comes_where_there_is_no_server_is_refused_and_does_not_wait(
    start_gateway: StartGateway, resolver: DnsServer
) -> None:
    gateway = start_gateway(
        INI + "connect_timeout = 1h\n", servers="srv:_ws._tcp.test", resolver=resolver.address, more=""
    )
    assert status(gateway, "/") == 503
    assert gateway.records(1)[0]["detail"] == "no server is eligible"
    assert "there is no such name; there is no server from there" in gateway.log


def test_srv_records_give_addresses_ports_weights_and_backups(
    start_gateway: StartGateway, servers: list[WebSocketServer], resolver: DnsServer
) -> None:
    port = servers[0].port
    resolver.records |= {
        "_ws._tcp.test": [service(port, "a.test", weight=2), service(port, "b.test"), service(port, "c.test", 9)],
        "a.test": a(1),
        "b.test": a(2),
        "c.test": a(3),
    }
    gateway = start_gateway(INI + "resolve = 100ms\n", servers="srv:_ws._tcp.test", resolver=resolver.address, more="")
    assert visits(gateway, servers, 6) == [4, 2, 0]
    with open_client(gateway.url("web")) as held:
        resolver.records["b.test"] = a(3)
        resolver.records["_ws._tcp.test"] = [service(port, "b.test")]
        until(lambda: visits(gateway, servers, 2) == [0, 0, 2], "the new answer")
        held.send("still here")
        assert held.recv() == "still here"
    resolver.records["_ws._tcp.test"] = []
    until(lambda: "what was known goes on" in gateway.log, "an answer of no use, told")
    assert visits(gateway, servers, 2) == [0, 0, 2]


# Rebalancing


class Crowd:
    """Clients that come back when they are told to; ``ages`` are the numbers of those that were told, in order."""

    def __init__(self, gateway: Gateway, stack: ExitStack, count: int) -> None:
        self._gateway, self._stack = gateway, stack
        self.clients = [(number, self._open()) for number in range(count)]
        self.told: list[int] = []
        self.codes: set[int | None] = set()

    def _open(self) -> ClientConnection:
        return self._stack.enter_context(open_client(self._gateway.url("web")))

    def come_back(self) -> int:
        """Open another WebSocket for each that was closed; how many were closed until now."""
        for number, client in [pair for pair in self.clients if pair[1].protocol.state is State.CLOSED]:
            self.told.append(number)
            self.codes.add(client.close_code)
            self.clients.remove((number, client))
            self.clients.append((number + 1000, self._open()))
        return len(self.told)

    def check(self) -> None:
        """All are served."""
        for _, client in self.clients:
            client.send("here")
            assert client.recv() == "here"


@pytest.mark.parametrize("count", [1, 2])
def test_a_server_that_is_added_gets_its_share_of_what_is_held(
    start_gateway: StartGateway, servers: list[WebSocketServer], tmp_path: Path, count: int
) -> None:
    path = tmp_path / "servers.txt"
    path.write_text(f"{servers[0].address}\n{servers[1].address}\n")
    more = f"workers = {count}"
    gateway = start_gateway(INI + "rebalance = 8\n", servers=f"file:{path}", resolver="", more=more)
    wait_ready(gateway)
    with ExitStack() as stack:
        crowd = Crowd(gateway, stack, 12)
        began = time.monotonic()
        replace_file(path, "".join(f"{server.address}\n" for server in servers))
        until(lambda: crowd.come_back() and len(servers[2].sessions) == 4, "the share of the new server", 30)
        assert time.monotonic() - began >= 3 / 8, "8 a second in all workers together"
        until(lambda: [one["open"] for one in facts(gateway)] == [4, 4, 4], "equal shares")
        # The two servers give by turns, each its oldest.
        assert sorted(crowd.told) == [0, 1, 2, 3]
        assert crowd.codes == {1012}
        crowd.check()
    causes = [record["cause"] for record in gateway.records(16)]
    assert causes.count("rebalanced") == 4


def facts(gateway: Gateway) -> list[dict[str, Any]]:
    """What the gateway tells of its servers."""
    return list(workers(gateway)[0]["upstreams"]["servers"])


def test_a_server_that_comes_back_gets_its_share_and_those_without_a_close_stay(
    start_gateway: StartGateway, servers: list[WebSocketServer]
) -> None:
    """Layer 4 cannot be told to go, so its connections are never moved."""
    with ExitStack() as stack:
        returning = stack.enter_context(WebSocketServer(host="127.0.0.9"))
        text = INI + "rebalance = 20\nprobe = tcp interval=50ms rise=1 fall=1\n"
        text += "[listener raw]\nbind = 127.0.0.1:{raw}\nmode = tcp\nupstream = servers\n"
        # Only probes tell who is there: a worker that has not heard of the loss yet would add ten seconds of its own.
        both = f"{servers[1].address}, 127.0.0.9:{returning.port} max_fails=0"
        gateway = start_gateway(text, servers=both, resolver="", more="workers = 2")
        wait_ready(gateway)
        address, back = returning.address, returning.port
        returning.stop()
        until(lambda: f"{address} is down" in gateway.log, "the loss, told")
        raw = stack.enter_context(open_client(gateway.url("raw")))
        crowd = Crowd(gateway, stack, 7)
        assert len(servers[1].sessions) == 8
        again = stack.enter_context(WebSocketServer(host="127.0.0.9", port=back))
        until(lambda: crowd.come_back() and len(again.sessions) == 4, "the share of the server that is back", 30)
        assert sorted(crowd.told) == [0, 1, 2, 3]
        crowd.check()
        raw.send("still here")
        assert raw.recv() == "still here"
