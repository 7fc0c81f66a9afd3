"""Servers come and go by DNS and by files, while the connections to the others go on."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from twisted.names import dns
from websockets.exceptions import InvalidStatus
from websockets.protocol import State
from websockets.sync.client import ClientConnection

from tests.conftest import StartGateway
from tests.doubles.dns import DnsServer
from tests.doubles.gateway import Gateway
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
    """How many of so many WebSockets, open together, each server gets."""
    before = [len(server.sessions) for server in servers]
    with ExitStack() as stack:
        for _ in range(count):
            stack.enter_context(open_client(gateway.url("web")))
    return [len(server.sessions) - known for server, known in zip(servers, before, strict=True)]


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

    def serves() -> bool:
        try:
            with open_client(gateway.url("web")):
                return True
        except InvalidStatus:
            return False

    until(serves, "servers")
    assert visits(gateway, servers, 6) == [4, 2, 0]
    with open_client(gateway.url("web")) as held:
        resolver.records["b.test"] = a(3)
        resolver.records["_ws._tcp.test"] = [service(port, "b.test")]
        until(lambda: visits(gateway, servers, 2) == [0, 0, 2], "the new answer")
        held.send("still here")
        assert held.recv() == "still here"

    def clear() -> None:
        resolver.mute = False
        resolver.records.clear()

    spoils: list[Callable[[], object]] = [
        lambda: setattr(resolver, "mute", True),
        clear,
        lambda: resolver.records.update({"_ws._tcp.test": []}),
        lambda: setattr(resolver, "forge", b"\x81\x80\x00\x01\x00\x01\x00\x00\x00\x00" + b"\xc0\x0c" * 200),
    ]
    for spoil in spoils:
        spoil()
        mark = len(gateway.log)
        until(lambda mark=mark: "what was known goes on" in gateway.log[mark:], "an answer of no use, told", 20)  # type: ignore[misc]
        assert visits(gateway, servers, 2) == [0, 0, 2]


def test_an_answer_from_somebody_else_is_not_heard(
    start_gateway: StartGateway, servers: list[WebSocketServer], resolver: DnsServer
) -> None:
    """Row 25 of the faults: the answer comes from another port than was asked."""
    port = servers[0].port
    resolver.records |= {"_ws._tcp.test": [service(port, "a.test")], "a.test": a(1)}
    resolver.impostor = {"_ws._tcp.test": [service(port, "a.test")], "a.test": a(3)}
    gateway = start_gateway(INI + "resolve = 100ms\n", servers="srv:_ws._tcp.test", resolver=resolver.address, more="")
    until(lambda: resolver.asked.get("a.test", 0) > 2, "questions")
    until(lambda: visits(gateway, servers, 2) == [2, 0, 0], "the right answer")


# Rebalancing


def test_a_server_that_is_added_gets_its_share_of_what_is_held(
    start_gateway: StartGateway, servers: list[WebSocketServer], tmp_path: Path
) -> None:
    path = tmp_path / "servers.txt"
    path.write_text(f"{servers[0].address}\n{servers[1].address}\n")
    gateway = start_gateway(INI + "rebalance = 50\n", servers=f"file:{path}", resolver="", more="")
    count = 12
    with ExitStack() as stack:

        def open_one() -> ClientConnection:
            return stack.enter_context(open_client(gateway.url("web")))

        clients = [open_one() for _ in range(count)]
        oldest = clients[:2]
        replace_file(path, "".join(f"{server.address}\n" for server in servers))
        codes: list[int | None] = []

        def come_back() -> bool:
            """Do as clients do that are told to come again."""
            for client in [client for client in clients if client.protocol.state is State.CLOSED]:
                codes.append(client.close_code)
                clients.remove(client)
                clients.append(open_one())
            return len(servers[2].sessions) >= count // 3

        until(come_back, "the share of the new server", 20)
        assert set(codes) == {1012}
        assert len(codes) == count // 3, "no more than needed"
        assert all(client.protocol.state is State.CLOSED for client in oldest)
        for client in clients:
            client.send("here")
            assert client.recv() == "here"
    causes = [record["cause"] for record in gateway.records(count + count // 3)]
    assert causes.count("rebalanced") == count // 3
