"""A client's WebSocket outlives its server: no close, nothing that was begun after the loss lost or said twice."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as open_async
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection

from tests.conftest import Serve, StartGateway
from tests.doubles.http import read_head
from tests.doubles.ports import free_port
from tests.doubles.raw import Wire, connect
from tests.doubles.waiting import until
from tests.doubles.websocket_peers import WebSocketServer, open_client
from wsgate.wire.ws_handshake import accept_for

INI = """
[listener web]
bind = 127.0.0.1:{web}

[route frames]
path = /frames
upstream = servers
on_server_loss = hold
hold_timeout = {timeout}
{more}

[route messages]
path = /messages
upstream = servers
websocket = messages
compression = client
on_server_loss = hold
hold_timeout = {timeout}
{more}

[upstream servers]
servers = {servers}
"""

RELAYS = ["frames", "messages"]

# A server that notes each message before it answers: what is in its file was heard.
SERVER = """
import asyncio, os, sys
from websockets.asyncio.server import serve

heard = os.open(sys.argv[2], os.O_WRONLY | os.O_CREAT | os.O_APPEND)

async def talk(connection):
    async for message in connection:
        os.write(heard, message.encode() + b"\\n")
        await connection.send(message)

async def main():
    async with serve(talk, "127.0.0.1", int(sys.argv[1]), ping_interval=None, backlog=1000) as server:
        await server.serve_forever()

asyncio.run(main())
"""


class Backend:
    """A server process that can be killed and started again on its port."""

    def __init__(self, directory: Path) -> None:
        self.port = free_port()
        self.file = directory / "heard"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [sys.executable, "-c", SERVER, str(self.port), str(self.file)]
        self._process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        until(self._listens, "a server")

    def _listens(self) -> bool:
        try:
            connect(("127.0.0.1", self.port)).sock.close()
        except OSError:
            return False
        return True

    def kill(self) -> None:
        """End it as a crash does; when this returns it is gone."""
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(signal.SIGKILL)
            process.wait()

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def heard(self) -> list[str]:
        return self.file.read_text().splitlines()


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[Backend]:
    made = Backend(tmp_path)
    made.start()
    yield made
    made.kill()


class Speaker:
    """A client that says numbers, one after the other, and notes the answers."""

    def __init__(self, name: int, connection: ClientConnection) -> None:
        self.name = name
        self.connection = connection
        self.said = 0
        self.answers: list[str] = []
        self.closed: ConnectionClosed | None = None

    async def speak(self, stop: asyncio.Event) -> None:
        try:
            while not stop.is_set():
                number = self.said
                self.said += 1
                await self.connection.send(f"{self.name}:{number}")
                await asyncio.sleep(0.02 + self.name % 7 * 0.01)
        except ConnectionClosed as closed:
            self.closed = closed

    async def listen(self) -> None:
        try:
            async for message in self.connection:
                self.answers.append(str(message))
        except ConnectionClosed as closed:
            self.closed = closed


COUNT = 200


async def _restart_under(url: str, backend: Backend) -> tuple[list[Speaker], dict[int, int]]:
    """Speakers through the restart; and for each the first number that was begun after the loss."""
    options = {"ping_interval": 0.5, "ping_timeout": 30, "proxy": None, "open_timeout": 30}
    speakers = [Speaker(name, await open_async(url, **options)) for name in range(COUNT)]  # type: ignore[arg-type]
    stop = asyncio.Event()
    listening = [asyncio.create_task(speaker.listen()) for speaker in speakers]
    speaking = [asyncio.create_task(speaker.speak(stop)) for speaker in speakers]
    while not all(len(speaker.answers) >= 3 for speaker in speakers):
        await asyncio.sleep(0.05)
    await asyncio.to_thread(backend.kill)
    # The news is in the gateway's sockets now; what the clients begin from here on comes behind it.
    after = {speaker.name: speaker.said for speaker in speakers}
    while not all(speaker.said >= after[speaker.name] + 5 for speaker in speakers):
        await asyncio.sleep(0.05)
    await asyncio.to_thread(backend.start)
    while not all(f"{speaker.name}:{after[speaker.name] + 8}" in speaker.answers for speaker in speakers):
        assert all(speaker.closed is None for speaker in speakers), "a client saw a close"
        await asyncio.sleep(0.05)
    stop.set()
    await asyncio.gather(*speaking)
    while not all(speaker.answers[-1] == f"{speaker.name}:{speaker.said - 1}" for speaker in speakers):
        assert all(speaker.closed is None for speaker in speakers), "a client saw a close"
        await asyncio.sleep(0.05)
    assert all(speaker.closed is None for speaker in speakers), "a client saw a close"
    await asyncio.gather(*(speaker.connection.close() for speaker in speakers))
    await asyncio.gather(*listening)
    return speakers, after


@pytest.mark.parametrize("relay", RELAYS)
def test_a_server_is_restarted_under_two_hundred_websockets(
    start_gateway: StartGateway, backend: Backend, relay: str
) -> None:
    gateway = start_gateway(INI, servers=f"127.0.0.1:{backend.port}", timeout="30s", more="")
    talk = _restart_under(gateway.url("web", "/" + relay), backend)
    speakers, after = asyncio.run(asyncio.wait_for(talk, 100))
    heard = backend.heard()
    counts = Counter(heard)
    assert max(counts.values()) == 1, "something was said twice"
    for speaker in speakers:
        begun_after = [f"{speaker.name}:{number}" for number in range(after[speaker.name], speaker.said)]
        assert all(counts[message] == 1 for message in begun_after), speaker.name
        own = [message for message in heard if message.startswith(f"{speaker.name}:")]
        assert own == sorted(own, key=lambda message: int(message.partition(":")[2])), "out of order"
        assert speaker.answers[-len(begun_after) :] == begun_after
    records = gateway.records(COUNT)
    assert {record["cause"] for record in records} == {"client_closed"}
    assert {record["close_code"] for record in records} == {1000}


# One at a time


def leaving(visits: list[ServerConnection]) -> WebSocketServer:
    """A server that echoes numbers, and closes with those that are codes."""

    def talk(connection: ServerConnection) -> None:
        visits.append(connection)
        for message in connection:
            connection.send(message)
            if int(message):
                connection.close(int(message))
                return

    return WebSocketServer(talk)


def test_a_server_that_says_that_it_goes_is_replaced(start_gateway: StartGateway) -> None:
    visits: list[ServerConnection] = []
    with leaving(visits) as server:
        gateway = start_gateway(INI, servers=server.address, timeout="10s", more="")
        for relay in RELAYS:
            for code in (1001, 1011, 1012, 1013):
                visits.clear()
                with open_client(gateway.url("web", "/" + relay)) as client:
                    client.send(str(code))
                    assert client.recv() == str(code), (relay, code)
                    # What is said before the gateway has heard the Close goes to the server that goes.
                    until(lambda: len(visits) == 2, "the next server")
                    client.send("0")
                    assert client.recv(timeout=10) == "0", (relay, code)
                assert visits[0].close_code == code, "the server's Close was answered"


@pytest.mark.parametrize("relay", RELAYS)
def test_a_server_that_opens_only_to_close_is_not_hammered(start_gateway: StartGateway, relay: str) -> None:
    """The time of the hold is not begun anew by it either."""
    visits: list[ServerConnection] = []

    def talk(connection: ServerConnection) -> None:
        visits.append(connection)
        connection.close(1013)

    with WebSocketServer(talk) as server:
        gateway = start_gateway(INI, servers=server.address, timeout="1500ms", more="")
        with open_client(gateway.url("web", "/" + relay)) as client:
            with pytest.raises(ConnectionClosed):
                client.recv(timeout=30)
            assert client.close_code == 1012
    assert 2 <= len(visits) < 20
    assert "closed again at once" in gateway.records(1)[0]["detail"]


def test_a_server_that_dismisses_its_client_is_obeyed(start_gateway: StartGateway) -> None:
    visits: list[ServerConnection] = []
    with leaving(visits) as server:
        gateway = start_gateway(INI, servers=server.address, timeout="10s", more="")
        for relay in RELAYS:
            for code in (1000, 1008, 4000):
                visits.clear()
                with open_client(gateway.url("web", "/" + relay)) as client:
                    client.send(str(code))
                    assert client.recv() == str(code), (relay, code)
                    with pytest.raises(ConnectionClosed):
                        client.recv(timeout=10)
                    assert client.close_code == code
                assert len(visits) == 1


def test_the_client_is_closed_with_1012_when_nobody_comes_back(start_gateway: StartGateway, backend: Backend) -> None:
    gateway = start_gateway(INI, servers=f"127.0.0.1:{backend.port}", timeout="400ms", more="")
    with open_client(gateway.url("web", "/frames")) as client:
        client.send("a")
        assert client.recv() == "a"
        backend.kill()
        with pytest.raises(ConnectionClosed):
            client.recv(timeout=30)
        assert client.close_code == 1012
    record = gateway.records(1)[0]
    assert (record["cause"], record["closed_by"]) == ("held_too_long", "server")


def test_a_client_that_leaves_while_it_is_held_is_answered(start_gateway: StartGateway, backend: Backend) -> None:
    gateway = start_gateway(INI, servers=f"127.0.0.1:{backend.port}", timeout="1h", more="")
    with open_client(gateway.url("web", "/frames")) as client:
        client.send("a")
        assert client.recv() == "a"
        backend.kill()
        assert client.ping().wait(30), "pings are answered without a server"
        client.close(4001, "bye")
        assert client.close_code == 4001
    assert gateway.records(1)[0]["cause"] == "client_closed"


def test_the_next_server_takes_over_and_hears_the_first_messages_again(start_gateway: StartGateway) -> None:
    heard: dict[str, list[str]] = {"one": [], "two": []}

    def server(name: str) -> WebSocketServer:
        def talk(connection: ServerConnection) -> None:
            for message in connection:
                text = str(message)
                heard[name].append(text)
                connection.send(f"{name} {text}")
                if message == "die":
                    connection.close_socket()

        return WebSocketServer(talk)

    with server("one") as one, server("two") as two:
        servers = f"{one.address} max_fails=0, {two.address} backup"
        gateway = start_gateway(INI, servers=servers, timeout="10s", more="replay = 2")
        with open_client(gateway.url("web", "/frames")) as client:
            for message in ("login", "room 7", "hello"):
                client.send(message)
                assert client.recv() == f"one {message}"
            one._server.socket.close()
            client.send("die")
            answers = [client.recv(timeout=30) for _ in range(3)]
            client.send("again")
            answers.append(client.recv())
        assert answers == ["one die", "two login", "two room 7", "two again"]
    assert heard == {"one": ["login", "room 7", "hello", "die"], "two": ["login", "room 7", "again"]}


def test_a_loss_inside_a_message_is_not_held(start_gateway: StartGateway, serve: Serve) -> None:
    """Row 6 of the faults holds as it does without holding: nothing is put into the middle of a frame."""

    def dies(wire: Wire) -> None:
        head = read_head(wire)
        key = (head.get("Sec-WebSocket-Key") or "").encode()
        answer = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        wire.send(answer + b"Sec-WebSocket-Accept: " + accept_for(key) + b"\r\n\r\n")
        wire.send(b"\x81\x0ahal")
        wire.reset()

    server = serve(dies)
    gateway = start_gateway(INI, servers=server.address, timeout="10s", more="")
    with open_client(gateway.url("web", "/frames")) as client, pytest.raises(ConnectionClosed):
        client.recv(timeout=30)
    assert gateway.records(1)[0]["cause"] == "server_lost"
    assert len(server.visits) == 1


def test_another_subprotocol_is_no_way_to_go_on(start_gateway: StartGateway) -> None:
    chosen = iter(["a", "b"])

    def talk(connection: ServerConnection) -> None:
        connection.recv()
        connection.close_socket()

    def choose(connection: ServerConnection, offered: object) -> str | None:
        return next(chosen, "b")

    with WebSocketServer(talk, subprotocols=["a", "b"], select_subprotocol=choose) as server:
        gateway = start_gateway(INI, servers=server.address, timeout="600ms", more="")
        with open_client(gateway.url("web", "/frames"), subprotocols=["a", "b"]) as client:
            assert client.subprotocol == "a"
            client.send("x")
            with pytest.raises(ConnectionClosed):
                client.recv(timeout=30)
            assert client.close_code == 1012
    assert "another subprotocol" in gateway.records(1)[0]["detail"]


def test_a_server_that_answers_no_ping_is_replaced_and_its_client_kept(
    start_gateway: StartGateway, backend: Backend, tmp_path: Path
) -> None:
    """Row 4 of the faults: a stopped process still has its connections, and is found out by pings."""
    with WebSocketServer() as other:
        gateway = start_gateway(
            INI + "handshake_timeout = 500ms\n",
            servers=f"127.0.0.1:{backend.port}, {other.address} backup",
            timeout="20s",
            more="ping_interval = 200ms\nping_timeout = 300ms",
        )
        with (
            open_client(gateway.url("web", "/frames")) as client,
            open_client(gateway.url("web", "/messages")) as bystander,
        ):
            for one in (client, bystander):
                one.send("before")
                assert one.recv() == "before"
            backend.signal(signal.SIGSTOP)
            until(lambda: len(other.sessions) >= 2, "the other server", 20)
            for one in (client, bystander):
                one.send("after")
                assert one.recv(timeout=30) == "after"
            backend.signal(signal.SIGCONT)
    assert {record["cause"] for record in gateway.records(2)} == {"client_closed"}


@pytest.mark.parametrize("relay", RELAYS)
def test_more_than_is_kept_waits_in_the_client_and_arrives_once(
    start_gateway: StartGateway, backend: Backend, relay: str
) -> None:
    gateway = start_gateway(INI, servers=f"127.0.0.1:{backend.port}", timeout="30s", more="hold_buffer = 16k")
    messages = [f"{number}:" + "x" * 32_000 for number in range(400)]
    with open_client(gateway.url("web", "/" + relay), compression=None) as client:
        client.send("a")
        assert client.recv() == "a"
        before = gateway.rss()
        backend.kill()

        def send() -> None:
            for message in messages:
                client.send(message)

        sending = threading.Thread(target=send)
        sending.start()
        sending.join(1)
        assert sending.is_alive(), "12 MB are more than the gateway and the kernels hold"
        assert gateway.rss() - before < 8_000_000
        backend.start()
        assert [client.recv(timeout=60) for _ in messages] == messages
        sending.join(10)
    assert backend.heard() == ["a", *messages]
