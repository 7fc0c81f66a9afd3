"""The hot paths stay short: calls of functions and system calls for one echo, one handshake, one request.

The bounds lie a little above what was counted when they were set.  Where a change needs more, it says why and raises
the bound; where it needs less, it lowers it.
"""

from __future__ import annotations

import socket
import ssl
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.doubles.certificates import CertificateAuthority
from tests.doubles.frames import BINARY, KEY, accept_for, encode
from tests.perf.budget_rig import BudgetRig, Work, listening

UNITS = 8

#: Bytes of a message that would be seen in the memory if it were copied, and that a socket takes at once.
LARGE = 16 * 1024

#: Calls of the gateway's functions, and system calls, for one unit.
BUDGET = {
    "frames": (13, 4),
    "messages": (48, 5),
    "tunnel": (9, 4),
    "layer 4": (9, 4),
    "tls": (24, 4),
    "tls handshake": (120, 11),
    "websocket": (390, 30),
    "websocket of a stranger": (420, 30),
    "connection": (188, 26),
    "static": (64, 4),
    "static for a stranger": (86, 4),
    "proxied": (156, 4),
    "proxied for a stranger": (215, 4),
}

CONFIGURATION = """
[gateway]
access_log = off
[listener web]
bind = 127.0.0.1:0
mode = http
[listener secure]
bind = 127.0.0.1:0
mode = http
tls = site
[listener raw]
bind = 127.0.0.1:0
mode = tcp
upstream = server
[tls site]
certificate = {certificate}
key = {key}
[route frames]
path = /frames
upstream = server
[route messages]
path = /messages
upstream = server
websocket = messages
[route tunnel]
path = /tunnel
upstream = server
websocket = tunnel
[route files]
path = /
static = {files}
[route proxied]
path = /proxied
upstream = server
[upstream server]
servers = 127.0.0.1:{port}
"""

UPGRADE = (
    "GET {path} HTTP/1.1\r\nHost: example.org\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    f"Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
SWITCH = (
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    f"Sec-WebSocket-Accept: {accept_for(KEY)}\r\n\r\n"
).encode()
BODY = b"x" * 1024
ASKED = encode(BINARY, bytes(128))
ECHOED = encode(BINARY, bytes(128), mask=b"")


class Site(BudgetRig):
    """The gateway and its one server, which the test plays."""

    def __init__(self, directory: Path) -> None:
        certificate = CertificateAuthority(directory).issue("example.org")
        self.server = listening()
        (directory / "files").mkdir()
        (directory / "files" / "page.txt").write_bytes(BODY)
        text = CONFIGURATION.format(
            certificate=certificate.chain_path,
            key=certificate.key_path,
            files=directory / "files",
            port=self.server.getsockname()[1],
        )
        super().__init__(text, directory)

    def close(self) -> None:
        super().close()
        self.server.close()

    def open(self, path: str, client: socket.socket, *fields: str) -> tuple[socket.socket, socket.socket]:
        """A WebSocket on ``client``: both ends of it."""
        client.send("\r\n".join((UPGRADE.format(path=path).rstrip(), *fields, "", "")).encode())
        server = self.accepted(self.server)
        self.receive(server, lambda got: got.endswith(b"\r\n\r\n"))
        server.send(SWITCH)
        self.receive(client, lambda got: got.endswith(b"\r\n\r\n"))
        return client, server

    def secure_client(self) -> ssl.SSLSocket:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        plain = self.connect("secure")
        client = context.wrap_socket(plain, do_handshake_on_connect=False)
        self.own(client)

        def shaken() -> bool:
            try:
                client.do_handshake()
            except ssl.SSLWantReadError:
                return False
            return True

        self.reactor.until(shaken)
        return client

    def echoes(self, client: socket.socket, server: socket.socket) -> Work:
        """The work of UNITS echoes, on a connection that has had some."""
        for _ in range(2):
            self._echo(client, server)
        with self.counted() as work:
            for _ in range(UNITS):
                self._echo(client, server)
        return work

    def _echo(self, client: socket.socket, server: socket.socket) -> None:
        self.pass_on(client, server, ASKED)
        self.pass_on(server, client, ECHOED)

    def handshake(self, *fields: str) -> None:
        """A WebSocket from its TCP connection to the end of it, with one echo."""
        client, server = self.open("/frames", self.connect("web"), *fields)
        self._echo(client, server)
        client.close()
        self.receive(server, lambda got: got[:1] == b"\x88")
        server.close()
        self.reactor.until(lambda: not self.gateway.runtime.live.connections)

    def tunnelled(self) -> None:
        """A Layer 4 connection with one echo."""
        client = self.connect("raw")
        server = self.accepted(self.server)
        self._echo(client, server)
        client.close()
        self.reactor.until(lambda: self._sees_end(server))
        server.close()
        self.reactor.until(lambda: not self.gateway.runtime.live.connections)

    def _sees_end(self, sock: socket.socket) -> bool:
        try:
            return not sock.recv(1)
        except BlockingIOError:
            return False


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path)
    yield site
    site.close()


def check(work: Work, calls: float, system: float) -> None:
    counted = work.per(UNITS)
    told = "\n".join(
        f"{count / UNITS:6.2f} {name}" for name, count in [*work.system.items(), *work.calls.most_common()]
    )
    assert counted[0] <= calls and counted[1] <= system, f"{counted} of ({calls}, {system})\n{told}"
    # Bounds that are far above what is done guard nothing.
    assert counted[0] >= 0.8 * calls and counted[1] >= 0.8 * system, f"{counted}: lower the bounds ({calls}, {system})"


def test_an_echo_of_frames(site: Site) -> None:
    check(site.echoes(*site.open("/frames", site.connect("web"))), *BUDGET["frames"])


def test_an_echo_of_messages(site: Site) -> None:
    """autobahn's own calls are not counted."""
    check(site.echoes(*site.open("/messages", site.connect("web"))), *BUDGET["messages"])


def test_an_echo_through_a_tunnel(site: Site) -> None:
    check(site.echoes(*site.open("/tunnel", site.connect("web"))), *BUDGET["tunnel"])


def test_an_echo_in_layer_4(site: Site) -> None:
    client = site.connect("raw")
    check(site.echoes(client, site.accepted(site.server)), *BUDGET["layer 4"])


def test_an_echo_over_tls(site: Site) -> None:
    check(site.echoes(*site.open("/frames", site.secure_client())), *BUDGET["tls"])


def test_a_tls_connection_without_a_request(site: Site) -> None:
    def shake() -> None:
        site.secure_client().close()
        site.reactor.until(lambda: not site.gateway.runtime.live.connections)

    shake()
    with site.counted() as work:
        for _ in range(UNITS):
            shake()
    check(work, *BUDGET["tls handshake"])


# A head with a cookie is read each time; one without is known when it comes again.
@pytest.mark.parametrize(("budget", "fields"), [("websocket", ()), ("websocket of a stranger", ("Cookie: a=b",))])
def test_a_websocket_from_connect_to_close(site: Site, budget: str, fields: tuple[str, ...]) -> None:
    site.handshake(*fields)
    with site.counted() as work:
        for _ in range(UNITS):
            site.handshake(*fields)
    check(work, *BUDGET[budget])


def test_a_connection_of_layer_4_from_connect_to_close(site: Site) -> None:
    site.tunnelled()
    with site.counted() as work:
        for _ in range(UNITS):
            site.tunnelled()
    check(work, *BUDGET["connection"])


@pytest.mark.parametrize(("budget", "field"), [("static", b""), ("static for a stranger", b"Cookie: a=b\r\n")])
def test_a_static_request_on_a_kept_connection(site: Site, budget: str, field: bytes) -> None:
    client = site.connect("web")

    def ask() -> None:
        client.send(b"GET /page.txt HTTP/1.1\r\nHost: example.org\r\n" + field + b"\r\n")
        assert b" 200 OK\r\n" in site.receive(client, lambda got: got.endswith(BODY))

    ask()
    with site.counted() as work:
        for _ in range(UNITS):
            ask()
    check(work, *BUDGET[budget])


@pytest.mark.parametrize(("budget", "field"), [("proxied", b""), ("proxied for a stranger", b"Cookie: a=b\r\n")])
def test_a_proxied_request_on_kept_connections(site: Site, budget: str, field: bytes) -> None:
    answer = b"HTTP/1.1 200 OK\r\n" + field.replace(b"Cookie", b"Set-Cookie") + b"Content-Length: 1024\r\n\r\n" + BODY
    client = site.connect("web")

    def ask(server: socket.socket | None) -> socket.socket:
        client.send(b"GET /proxied HTTP/1.1\r\nHost: example.org\r\n" + field + b"\r\n")
        server = server or site.accepted(site.server)
        site.receive(server, lambda got: got.endswith(b"\r\n\r\n"))
        server.send(answer)
        site.receive(client, lambda got: got.endswith(BODY))
        return server

    server = ask(None)
    with site.counted() as work:
        for _ in range(UNITS):
            ask(server)
    check(work, *BUDGET[budget])


def _moved(site: Site, source: socket.socket, target: socket.socket, data: bytes, into: bytearray) -> None:
    """Send ``data`` through the gateway, without memory of the test's own."""
    source.send(data)
    view = memoryview(into)
    left = len(data)

    def more() -> bool:
        nonlocal left
        try:
            left -= target.recv_into(view)
        except BlockingIOError:
            return False
        return left <= 0

    site.reactor.until(more)


@pytest.mark.parametrize("way", ["/frames", "/tunnel", "layer 4"])
def test_the_bytes_of_an_echo_are_copied_nowhere(site: Site, way: str) -> None:
    """What is allocated meanwhile is a small part of what passes."""
    if way == "layer 4":
        client = site.connect("raw")
        server = site.accepted(site.server)
    else:
        client, server = site.open(way, site.connect("web"))
    payload = bytes(LARGE)
    there, back, into = encode(BINARY, payload), encode(BINARY, payload, mask=b""), bytearray(2 * LARGE)
    peaks = []
    for _ in range(3):
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        _moved(site, client, server, there, into)
        _moved(site, server, client, back, into)
        peaks.append(tracemalloc.get_traced_memory()[1] - before)
        tracemalloc.stop()
    assert min(peaks) < LARGE / 2, f"{peaks} for {LARGE}"
