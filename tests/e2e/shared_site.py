"""The gateway that the raw suites share, as tests see it: an INI with a route for each purpose, servers whose script a
test chooses, and the access records of a connection.

What is called hasty has deadlines that a test waits for, and no test has to be quicker than they are.  What is called
calm has deadlines that a test sees pass by and is well ahead of.  Everything else has time, so that a busy machine
fails no test.
"""

from __future__ import annotations

import contextlib
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from websockets.sync.server import ServerConnection

from tests.doubles.gateway import Gateway
from tests.doubles.http import Message, answer, read_answer, read_request
from tests.doubles.peers import Script, ScriptedServer, Visit
from tests.doubles.raw import EndOfStream, Wire, dial
from tests.doubles.raw_tls import TlsWire, client_context
from tests.doubles.waiting import until

INI = """
[listener web]
bind = 127.0.0.1:{web}

[listener secure]
bind = 127.0.0.1:{secure}
tls = site, other

[listener hasty]
bind = 127.0.0.1:{hasty}
head_timeout = {hasty_timeout}
body_timeout = {hasty_timeout}
keepalive_timeout = {hasty_timeout}

[listener calm]
bind = 127.0.0.1:{calm}
head_timeout = {calm_timeout}
body_timeout = {calm_timeout}
keepalive_timeout = {calm_timeout}

[listener behind]
bind = 127.0.0.1:{behind}
trusted_proxies = 127.0.0.1

[listener short]
bind = 127.0.0.1:{short}
keepalive_requests = 3

[tls site]
certificate = {chain}
key = {key}

[tls other]
certificate = {other_chain}
key = {other_key}

[route files]
path = /
static = {files}

[route hello]
path = = /hello
respond = 200 hello

[route long]
path = = /long
respond = 200 {long}

[route reading]
path = /reading
respond = 200 read only
methods = GET, HEAD

[route moved]
path = /moved/
redirect = 302 https://$host/new$path$query

[route app]
path = /app/
upstream = app
max_body = 1m

[route unbounded]
path = /unbounded/
upstream = app
max_body = off

[route stripped]
path = /stripped/
upstream = app
strip_prefix = on

[route rewritten]
path = /rewritten/
upstream = app
rewrite = /to/

[route loose]
path = /loose/
upstream = app
encoded_slash = pass

[route guarded]
path = /guarded/
upstream = app
origins = https://good.example, same

[route tunnelled]
path = /tunnelled/
upstream = app
websocket = tunnel

[route messaged]
path = /messaged/
upstream = app
websocket = messages

[route parting]
path = /parting/
upstream = app
close_timeout = {hasty_timeout}

[route parting_messaged]
path = /parting/messaged/
upstream = app
websocket = messages
close_timeout = {hasty_timeout}

[route hasty]
path = /hasty/
upstream = hasty
max_body = off

[route hasty_tunnelled]
path = /hasty/tunnelled/
upstream = hasty
websocket = tunnel

[route hasty_messaged]
path = /hasty/messaged/
upstream = hasty
websocket = messages

[route calm]
path = /calm/
upstream = calm

[route hasty_mute]
path = /hasty/mute/
upstream = hastymute

[route library]
path = /library/
upstream = library

[route library_tunnelled]
path = /library/tunnelled/
upstream = library
websocket = tunnel

[route library_messaged]
path = /library/messaged/
upstream = library
websocket = messages

[route library_unextended]
path = /library/unextended/
upstream = library
extensions = strip

[route closed]
path = /closed/
upstream = app
websocket = off

[route verified]
path = /verified/
upstream = verified

[route mute]
path = /mute/
upstream = mute

[route nowhere]
path = /nowhere/
upstream = nowhere

[route none]
path = /none/
upstream = none

[route pair]
path = /pair/
upstream = pair

[upstream app]
servers = {app} max_fails=0
keepalive = 0

[upstream hasty]
servers = {app} max_fails=0
keepalive = 0
response_timeout = {hasty_timeout}
handshake_timeout = {hasty_timeout}

[upstream calm]
servers = {app} max_fails=0
keepalive = 0
response_timeout = {calm_timeout}

[upstream library]
servers = {library} max_fails=0

[upstream verified]
servers = {verified} max_fails=0
keepalive = 0
tls = on
tls_ca = {ca}
tls_server_name = localhost

[upstream mute]
servers = {mute} max_fails=0
tls = on
tls_verify = off
connect_timeout = 30s

[upstream hastymute]
servers = {mute} max_fails=0
tls = on
tls_verify = off
connect_timeout = {hasty_timeout}

[upstream nowhere]
servers = 127.0.0.1:{closed} max_fails=0

[upstream none]
servers = 127.0.0.1:{closed} down

[upstream pair]
servers =
    127.0.0.1:{closed} max_fails=0
    {app} max_fails=0
keepalive = 0
"""

#: In seconds, of what is called hasty and calm.
HASTY, CALM = 0.5, 2.0

#: Upstreams that keep connections, one for each test that counts them.
POOLS = 16
POOL = """
[route pool{n}]
path = /pool{n}/
upstream = pool{n}

[upstream pool{n}]
servers = {address} max_fails=0
keepalive = 2
keepalive_timeout = 30s
"""

BODY = b"from the server"


def _ordinary(request: Message) -> bytes:
    return answer(200, BODY)


class Backend(ScriptedServer):
    """A server whose script is the test's; by default it answers every request with 200 and ``BODY``.

    ``requests`` are those that the default script has read, ``taken`` the connections, both since the test began.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(self._serve_requests, **options)
        self.requests: list[Message] = []
        self._respond: Callable[[Message], bytes] = _ordinary
        self._first = 0

    @property
    def taken(self) -> list[Visit]:
        return self.visits[self._first :]

    def begin(self) -> None:
        """Forget what was."""
        self.requests.clear()
        self._first = len(self.visits)
        self._respond = _ordinary
        self.script = self._serve_requests

    def finish(self) -> None:
        """End what is left of a test, and raise what its scripts raised."""
        for visit in self.taken:
            visit.wire.released.set()
            with contextlib.suppress(OSError):
                visit.wire.sock.shutdown(socket.SHUT_RDWR)
        for visit in self.taken:
            visit.wait_over()
            if visit.failure is not None and not isinstance(visit.failure, OSError):
                raise visit.failure

    def _serve_requests(self, wire: Wire) -> None:
        while True:
            try:
                request = read_request(wire)
            except EndOfStream:
                return
            self.requests.append(request)
            wire.send(self._respond(request))

    def answers(self, data: bytes) -> None:
        """Answer each request with these bytes and keep the connection."""
        self._respond = lambda request: data

    def responds(self, respond: Callable[[Message], bytes]) -> None:
        """Answer each request with what ``respond`` makes of it."""
        self._respond = respond

    def runs(self, script: Script) -> None:
        """Let ``script`` talk on the connections to come."""
        self.script = script

    def request(self) -> Message:
        """The one request that was made."""
        until(lambda: self.requests, "a request at the server")
        assert len(self.requests) == 1, self.requests
        return self.requests[0]

    def visit(self) -> Visit:
        """The one connection that was made."""
        until(lambda: self.taken, "a connection at the server")
        assert len(self.taken) == 1, f"{len(self.taken)} connections"
        return self.taken[0]


def talks(connection: ServerConnection) -> None:
    """Echo; ``close CODE REASON`` and ``drop`` end the connection from here, ``ping`` pings the client."""
    for message in connection:
        if isinstance(message, str) and message.startswith("close "):
            _, code, reason = message.split(" ", 2)
            connection.close(int(code), reason)
        elif message == "drop":
            connection.socket.close()
        elif message == "ping":
            connection.ping(b"from the server").wait(30)
            connection.send("ponged")
        else:
            connection.send(message)


class Site:
    """The gateway, with what tests ask of it.  Connections are closed when the test ends."""

    def __init__(self, gateway: Gateway, ca_path: Path, files: Path) -> None:
        self.gateway = gateway
        self.files = files
        self.ca_path = ca_path
        self._wires: list[Wire] = []
        self._claimed: dict[int, int] = {}
        self._pools = iter(range(POOLS))

    def connect(
        self, listener: str = "web", *, receive_buffer: int = 0, server_name: str = "localhost", timeout: float = 30.0
    ) -> Wire:
        """A raw connection to a listener; TLS where the listener has it."""
        sock = dial(self.gateway.where(listener), receive_buffer=receive_buffer, timeout=timeout)
        if listener == "secure":
            secured = TlsWire(sock, client_context(str(self.ca_path)), server_name=server_name, timeout=timeout)
            self._wires.append(secured)
            secured.handshake()
            return secured
        wire = Wire(sock, timeout)
        self._wires.append(wire)
        return wire

    def ask(self, data: bytes, listener: str = "web", **options: Any) -> tuple[Wire, Message]:
        """Send ``data`` on a new connection and read one answer."""
        wire = self.connect(listener, **options)
        wire.send(data)
        return wire, read_answer(wire, data.split(b" ", 1)[0].decode("latin-1"))

    def pool(self) -> str:
        """The path of a route to an upstream that no test has used yet."""
        return f"/pool{next(self._pools)}/"

    def records(self, wire: Wire, count: int = 1) -> list[dict[str, Any]]:
        """The access records of a connection: exactly so many, now and when the suite ends."""
        return self.records_of(wire.sock.getsockname()[1], count)

    def records_of(self, port: int, count: int = 1) -> list[dict[str, Any]]:
        """The access records of the connection from this port."""

        def found() -> list[dict[str, Any]]:
            # The log is written in batches; reopening it writes at once.
            self.gateway.signal(signal.SIGUSR1)
            return [record for record in self.gateway.records() if record.get("client_port") == port]

        records = until(lambda: all_ if len(all_ := found()) >= count else [], f"{count} access records")
        assert len(records) == count, records
        self._claimed[port] = self._claimed.get(port, 0) + count
        return records

    def record(self, wire: Wire) -> dict[str, Any]:
        """The one access record of a connection."""
        return self.records(wire)[0]

    def end_test(self) -> None:
        for wire in self._wires:
            with contextlib.suppress(OSError):
                wire.close()
        self._wires.clear()

    def check_claims(self) -> None:
        """No connection whose records were asked for has got another since."""
        counts: dict[int, int] = {}
        for record in self.gateway.records():
            port = record.get("client_port", 0)
            counts[port] = counts.get(port, 0) + 1
        more = {port: (counts[port], claimed) for port, claimed in self._claimed.items() if counts[port] > claimed}
        assert not more, f"client ports with more records than requests: {more}"


def refused(site: Site, data: bytes, status: int, cause: str, listener: str = "web") -> Message:
    """``data`` gets an answer of the gateway's own with this status, then the end, and one record with the cause."""
    wire, message = site.ask(data, listener)
    assert message.status == status, message
    assert message.get("Content-Type") == "text/plain; charset=utf-8"
    assert message.get("Connection") in {"close", "close, Upgrade"}, message
    wire.expect_eof()
    record = site.record(wire)
    assert (record["status"], record["cause"]) == (status, cause), record
    return message
