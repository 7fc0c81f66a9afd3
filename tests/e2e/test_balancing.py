"""Orders, retries, passive health and waiting for a place, with real servers behind a real gateway."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection
from websockets.sync.server import ServerConnection

from tests.conftest import Serve, StartGateway
from tests.doubles.gateway import Gateway
from tests.doubles.http import Message, answer, read_answer, read_request, request
from tests.doubles.ports import free_port
from tests.doubles.raw import Wire
from tests.doubles.steering import edit, obeyed, wait_ready, workers
from tests.doubles.waiting import until
from tests.doubles.websocket_peers import WebSocketServer, open_client

INI = """
[listener web]
bind = 127.0.0.1:{web}

[route all]
path = /
upstream = servers
ping_interval = off

[upstream servers]
servers = {servers}
"""


@contextmanager
def held(gateway: Gateway, count: int, **options: object) -> Iterator[list[ClientConnection]]:
    """So many WebSockets, held open."""
    with ExitStack() as stack:
        yield [stack.enter_context(open_client(gateway.url("web"), **options)) for _ in range(count)]


@pytest.fixture
def servers() -> Iterator[list[WebSocketServer]]:
    with ExitStack() as stack:
        yield [stack.enter_context(WebSocketServer()) for _ in range(3)]


def addresses(servers: list[WebSocketServer], *words: str) -> str:
    """The servers of an INI, each with its words."""
    return ", ".join(f"{server.address} {word}" for server, word in zip(servers, words, strict=True))


def status_of(gateway: Gateway, *fields: str, method: str = "GET", target: str = "/") -> Message:
    with gateway.connect("web") as wire:
        wire.send(request(method, target, "Connection: close", *fields))
        return read_answer(wire, method)


def saying(status: int, text: bytes, asked: list[str]) -> Callable[[Wire], None]:
    """A server that gives one answer, and notes whom it heard."""

    def script(wire: Wire) -> None:
        asked.append(text.decode())
        read_request(wire)
        wire.send(answer(status, text, "Connection: close"))

    return script


# Orders


def test_least_conn_spreads_held_websockets_by_weight(
    start_gateway: StartGateway, servers: list[WebSocketServer]
) -> None:
    gateway = start_gateway(
        INI + "balance = least_conn\n", servers=addresses(servers, "weight=3", "weight=2", "weight=1")
    )
    with held(gateway, 12):
        assert [len(server.sessions) for server in servers] == [6, 4, 2]


def test_a_key_of_a_header_stays_with_its_server(start_gateway: StartGateway, servers: list[WebSocketServer]) -> None:
    gateway = start_gateway(INI + "balance = hash header X-Room\n", servers=addresses(servers, "", "", ""))
    for room in ("red", "green", "blue", "black", "white"):
        before = [len(server.sessions) for server in servers]
        for _ in range(4):
            with open_client(gateway.url("web"), additional_headers={"X-Room": room}):
                pass
            # One that is still closing counts, and the next would be above the bound of the server.
            until(
                lambda: not any(one["open"] for one in workers(gateway)[0]["upstreams"]["servers"]), "an idle gateway"
            )
        gained = [len(server.sessions) - count for server, count in zip(servers, before, strict=True)]
        assert sorted(gained) == [0, 0, 4], room


def test_first_fills_one_server_before_the_next(start_gateway: StartGateway, servers: list[WebSocketServer]) -> None:
    gateway = start_gateway(INI + "balance = first\n", servers=addresses(servers, "max_conns=2", "max_conns=1", ""))
    with held(gateway, 5):
        assert [len(server.sessions) for server in servers] == [2, 1, 2]


# Retries


def test_a_closed_port_is_passed_over_and_then_left_out(
    start_gateway: StartGateway, servers: list[WebSocketServer]
) -> None:
    """Row 1 of the faults: the next server takes it, quickly, and the bad one is not asked again."""
    dead = free_port()
    gateway = start_gateway(INI, servers=f"127.0.0.1:{dead} max_fails=1 fail_timeout=1h, {servers[0].address}")
    for _ in range(6):
        with open_client(gateway.url("web")):
            pass
    tries = [record["tries"] for record in gateway.records(6)]
    assert sorted(tries) == [1, 1, 1, 1, 1, 2]
    assert max(record["connect_time"] for record in gateway.records()) < 4


def test_all_servers_down_is_503_or_502_at_once_and_recovers(start_gateway: StartGateway) -> None:
    """Row 23 of the faults."""
    ports = [free_port(), free_port()]
    gateway = start_gateway(INI, servers=", ".join(f"127.0.0.1:{port} fail_timeout=100ms" for port in ports))
    assert status_of(gateway).status == 502
    second = status_of(gateway)
    assert second.status in (502, 503)
    if second.status == 503:
        assert second.get("Retry-After") == "1"
    with WebSocketServer(port=ports[0]):

        def opened() -> bool:
            try:
                with open_client(gateway.url("web")):
                    return True
            except InvalidStatus:
                return False

        until(opened, "the server that came back")


def test_a_listed_status_goes_to_the_next_server_and_the_last_answer_counts(
    start_gateway: StartGateway, serve: Serve
) -> None:
    asked: list[str] = []
    busy, busier, fine = (
        serve(saying(status, text, asked)) for status, text in ((503, b"one"), (503, b"two"), (200, b"three"))
    )
    gateway = start_gateway(
        INI + "next_on = error http_503\n",
        servers=f"{busy.address} max_fails=0, {busier.address} max_fails=0, {fine.address} backup",
    )
    assert status_of(gateway).body == b"three"
    assert sorted(asked) == ["one", "three", "two"]
    assert gateway.records(1)[0]["tries"] == 3


def test_an_unlisted_status_goes_to_the_client(start_gateway: StartGateway, serve: Serve) -> None:
    asked: list[str] = []
    first, second = serve(saying(503, b"one", asked)), serve(saying(200, b"two", asked))
    gateway = start_gateway(INI, servers=f"{first.address}, {second.address}")
    assert status_of(gateway).status == 503
    assert asked == ["one"]


def test_a_post_that_was_sent_is_not_repeated_unless_allowed(start_gateway: StartGateway, serve: Serve) -> None:
    asked: list[str] = []

    def dies(wire: Wire) -> None:
        asked.append("dies")
        read_request(wire)

    for words, status in (("error", 502), ("error non_idempotent", 200)):
        asked.clear()
        first, second = serve(dies), serve(saying(200, b"two", asked))
        gateway = start_gateway(INI + f"next_on = {words}\n", servers=f"{first.address}, {second.address}")
        assert status_of(gateway, method="POST").status == status
        assert asked == (["dies"] if status == 502 else ["dies", "two"])


def test_tries_bound_the_servers_that_are_asked(start_gateway: StartGateway) -> None:
    dead = ", ".join(f"127.0.0.1:{free_port()}" for _ in range(4))
    gateway = start_gateway(INI + "tries = 2\n", servers=dead)
    assert status_of(gateway).status == 502
    assert gateway.records(1)[0]["tries"] == 2


def test_a_handshake_that_is_not_answered_goes_on_and_ends_with_504(
    start_gateway: StartGateway, serve: Serve, servers: list[WebSocketServer]
) -> None:
    """Row 3 of the faults."""
    silent = serve(lambda wire: wire.hold())
    gateway = start_gateway(
        INI + "handshake_timeout = 1500ms\n", servers=f"{silent.address}, {servers[0].address} backup"
    )
    with open_client(gateway.url("web")) as client:
        client.send("hello")
        assert client.recv() == "hello"
    alone = start_gateway(INI + "handshake_timeout = 1500ms\n", servers=silent.address)
    with pytest.raises(InvalidStatus) as refused:
        open_client(alone.url("web"))
    assert refused.value.response.status_code == 504


# Ejection


def test_a_server_that_drops_websockets_at_once_is_left_out(start_gateway: StartGateway) -> None:
    def crash(connection: ServerConnection) -> None:
        connection.recv()
        connection.close(1011)

    with WebSocketServer(crash) as bad, WebSocketServer() as good:
        gateway = start_gateway(INI + "eject = 2 early=5s base=1h\n", servers=f"{bad.address}, {good.address}")
        for _ in range(12):
            with open_client(gateway.url("web")) as client:
                client.send("hello")
                try:
                    client.recv()
                except ConnectionClosed:
                    continue
        gateway.records(12)
        assert len(bad.sessions) == 2
        assert len(good.sessions) == 10
        assert "is left out for" in gateway.log


# Waiting for a place


class Counter:
    """A server that holds each request until it is let go, counts those that it has at a time, and notes the order."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.release = threading.Semaphore(0)
        self.now = self.most = 0
        self._lock = threading.Lock()

    def __call__(self, wire: Wire) -> None:
        target = read_request(wire).target
        with self._lock:
            self.asked.append(target)
            self.now += 1
            self.most = max(self.most, self.now)
        assert self.release.acquire(timeout=30)
        with self._lock:
            self.now -= 1
        wire.send(answer(200, b"done", "Connection: close"))


def asking(gateway: Gateway, stack: ExitStack, *paths: str) -> list[Wire]:
    """Requests on connections of their own, which wait for their answers."""
    wires = [stack.enter_context(gateway.connect("web", timeout=30)) for _ in paths]
    for wire, path in zip(wires, paths, strict=True):
        wire.send(request("GET", path, "Connection: close"))
    return wires


def wait_waiting(gateway: Gateway, count: int) -> None:
    """Wait until so many wait for a place."""
    until(lambda: workers(gateway)[0]["waiting"]["servers"] == count, f"{count} that wait")


@pytest.mark.parametrize("count", [1, 2])
def test_clients_wait_until_a_place_is_free_and_no_more_than_the_queue_takes(
    start_gateway: StartGateway, serve: Serve, count: int
) -> None:
    server = Counter()
    text = f"[gateway]\nworkers = {count}\n" + INI + "queue = 3 timeout=1h\n"
    gateway = start_gateway(text, servers=f"{serve(server, timeout=30.0).address} max_conns=2")
    wait_ready(gateway)
    with ExitStack() as stack:
        served = asking(gateway, stack, "/one", "/two")
        until(lambda: len(server.asked) == 2, "who has the places")
        for number in range(3):
            served += asking(gateway, stack, f"/waits{number}")
            wait_waiting(gateway, number + 1)
        refused = [read_answer(wire) for wire in asking(gateway, stack, *["/too-many"] * 4)]
        assert {(one.status, one.get("Retry-After")) for one in refused} == {(503, "1")}
        assert len(server.asked) == 2
        for number in range(5):
            server.release.release()
            until(lambda number=number: len(server.asked) == min(5, 3 + number), "the next")  # type: ignore[misc]
        assert [read_answer(wire).body for wire in served] == [b"done"] * 5
    assert server.most == 2
    if count == 1:
        assert server.asked[2:] == [f"/waits{number}" for number in range(3)]
    wait_waiting(gateway, 0)
    refusals = {record["detail"] for record in gateway.records(9) if record["status"] == 503}
    assert refusals == {"every place is taken, and 3 wait already"}


def test_those_who_wait_go_where_a_reload_leads_them(start_gateway: StartGateway, serve: Serve) -> None:
    """Fewer workers, another server in place of theirs: who waits loses nothing."""
    full, free = Counter(), Counter()
    text = "[gateway]\nworkers = 3\nremoved = keep\n" + INI + "queue = 9 timeout=1h\n"
    here, there = serve(full, timeout=30.0).address, serve(free, timeout=30.0).address
    gateway = start_gateway(text, servers=f"{here} max_conns=1")
    wait_ready(gateway)
    with ExitStack() as stack:
        (first,) = asking(gateway, stack, "/holds")
        until(lambda: full.asked, "who has the place")
        others = asking(gateway, stack, *(f"/{number}" for number in range(8)))
        wait_waiting(gateway, 8)
        edit(gateway, "workers = 3", "workers = 2")
        edit(gateway, f"{here} max_conns=1", f"{there} max_conns=8")
        obeyed(gateway, "reload")
        until(lambda: len(free.asked) == 8, "the other server")
        for server in (full, *[free] * 8):
            server.release.release()
        assert [read_answer(wire).status for wire in (first, *others)] == [200] * 9
    assert len(full.asked) == 1


def test_who_waits_too_long_is_told_when_to_come_back(
    start_gateway: StartGateway, servers: list[WebSocketServer]
) -> None:
    gateway = start_gateway(INI + "queue = 5 timeout=200ms\n", servers=f"{servers[0].address} max_conns=1")
    with held(gateway, 1):
        refused = status_of(gateway)
        assert (refused.status, refused.get("Retry-After")) == (503, "1")
        with pytest.raises(InvalidStatus) as handshake:
            open_client(gateway.url("web"))
        assert handshake.value.response.status_code == 503
    assert "no place became free within 0.2 s" in {record.get("detail") for record in gateway.records(3)}


def test_nothing_is_left_behind_when_clients_leave_while_they_wait(
    start_gateway: StartGateway, servers: list[WebSocketServer]
) -> None:
    gateway = start_gateway(INI + "queue = 3 timeout=1h\n", servers=f"{servers[0].address} max_conns=1")
    with held(gateway, 1):
        for _ in range(6):
            with gateway.connect("web") as wire:
                wire.send(request("GET", "/"))
    gateway.records(7)
    with held(gateway, 1) as (client,):
        client.send("still")
        assert client.recv() == "still"


# Stickiness


def test_a_cookie_binds_a_client_to_its_server_while_that_serves(
    start_gateway: StartGateway, servers: list[WebSocketServer]
) -> None:
    gateway = start_gateway(INI + "sticky = cookie wsgate\n", servers=addresses(servers, "", "", "fail_timeout=1h"))

    def visit(cookie: str | None) -> tuple[int, str | None]:
        """Which server was reached, and the cookie that it left."""
        before = [len(server.sessions) for server in servers]
        headers = {"Cookie": f"other=1; {cookie}"} if cookie else {}
        with open_client(gateway.url("web"), additional_headers=headers) as client:
            response = client.response
            assert response is not None
            left = response.headers.get("Set-Cookie")
        gained = [len(server.sessions) - count for server, count in zip(servers, before, strict=True)]
        return gained.index(1), left

    places: dict[int, str] = {}
    for _ in range(3):
        place, left = visit(None)
        assert left is not None
        assert left.endswith("; Path=/; HttpOnly; SameSite=Lax")
        places[place] = left.partition(";")[0]
    assert set(places) == {0, 1, 2}
    for place, cookie in places.items():
        for _ in range(3):
            assert visit(cookie) == (place, None)
    _, left = visit("wsgate=" + "A" * 24)
    assert left is not None
    servers[2].stop()
    moved, left = visit(places[2])
    assert moved in (0, 1)
    assert left is not None
    assert left.startswith(places[moved])


# Servers that cannot be heard


@contextmanager
def black_hole() -> Iterator[str]:
    """An address that answers no SYN: a listening socket whose queue is full."""
    with ExitStack() as stack:
        listening = stack.enter_context(socket.socket())
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        address = listening.getsockname()
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(address)
        yield f"127.0.0.1:{address[1]}"


def test_a_server_that_answers_no_syn_is_given_up_at_the_connect_timeout(
    start_gateway: StartGateway, servers: list[WebSocketServer]
) -> None:
    """Rows 2 and 21 of the faults: the next server takes it, in the time of the gateway and not of the kernel."""
    with black_hole() as hole:
        gateway = start_gateway(
            INI + "connect_timeout = 300ms\n", servers=f"{hole} fail_timeout=1h, {servers[0].address} backup"
        )
        for _ in range(3):
            with open_client(gateway.url("web")) as client:
                client.send("hello")
                assert client.recv() == "hello"
        alone = start_gateway(INI + "connect_timeout = 300ms\n", servers=hole)
        assert status_of(alone).status == 504
    first, *others = gateway.records(3)
    assert 0.3 <= first["connect_time"] < 4
    assert [record["tries"] for record in (first, *others)] == [2, 1, 1]
