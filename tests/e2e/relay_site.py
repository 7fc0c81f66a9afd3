"""The gateway that the suites of relays and faults share: Layer 4 and WebSocket routes, plain, TLS, unix and IPv6.

Deadlines are there to be waited for: no test has to be quicker than one, short of a stall of a second and more.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from tests.doubles.certificates import CertificateAuthority
from tests.doubles.frames import open_websocket
from tests.doubles.gateway import Gateway, running
from tests.doubles.ports import free_port
from tests.doubles.processes import descriptors
from tests.doubles.raw import Wire, connect
from tests.doubles.raw_tls import TlsWire, client_context
from tests.doubles.waiting import until
from tests.e2e.shared_site import Backend, Site

INI = """
[listener raw]
bind = 127.0.0.1:{raw}, [::1]:{six}, unix:{dir}/raw.sock
mode = tcp
upstream = app

[listener rawsecure]
bind = 127.0.0.1:{rawsecure}
mode = tcp
tls = site
upstream = app

[listener rawshut]
bind = 127.0.0.1:{rawshut}
mode = tcp
half_close = off
upstream = app

[listener rawidle]
bind = 127.0.0.1:{rawidle}
mode = tcp
idle_timeout = 1500ms
upstream = app

[listener rawunix]
bind = 127.0.0.1:{rawunix}
mode = tcp
upstream = byunix

[listener rawsix]
bind = 127.0.0.1:{rawsix}
mode = tcp
upstream = bysix

[listener rawmapped]
bind = 127.0.0.1:{rawmapped}
mode = tcp
upstream = bymapped

[listener rawpair]
bind = 127.0.0.1:{rawpair}
mode = tcp
upstream = pair

[listener rawnowhere]
bind = 127.0.0.1:{rawnowhere}
mode = tcp
upstream = nowhere

[listener rawdeaf]
bind = 127.0.0.1:{rawdeaf}
mode = tcp
upstream = deaf

[listener rawdialled]
bind = 127.0.0.1:{rawdialled}
mode = tcp
upstream = dialled

[listener web]
bind = 127.0.0.1:{web}, unix:{dir}/web.sock

[listener secure]
bind = 127.0.0.1:{secure}
tls = site

[tls site]
certificate = {chain}
key = {key}

[route frames]
path = /frames/
upstream = app

[route parting]
path = /parting/
upstream = app
close_timeout = 700ms

[route tunnel]
path = /tunnel/
upstream = app
websocket = tunnel

[route unix]
path = /unix/
upstream = byunix

[route strict]
path = /strict/
upstream = app
max_message = 1000
max_fragments = 100
validate_utf8 = on
close_timeout = 3s

[route alive]
path = /alive/
upstream = app
ping_interval = 200ms
ping_timeout = 1500ms

[route idle]
path = /idle/
upstream = app
idle_timeout = 1200ms
ping_interval = 100ms

[route aged]
path = /aged/
upstream = app
max_age = 400ms
max_age_jitter = 0%

[route quick]
path = /quick/
upstream = app
messages_per_second = 1
messages_burst = 10
limit_action = close

[route waiting]
path = /waiting/
upstream = app
messages_per_second = 50
messages_burst = 10
limit_action = wait

[route slow]
path = /slow/
upstream = app
max_message = off
slow_consumer_timeout = 600ms
control_rate = off
close_timeout = 300ms

[route patient]
path = /patient/
upstream = app
close_timeout = 1m

[route big]
path = /big/
upstream = app
max_message = off

[upstream app]
servers = {app} max_fails=0

[upstream byunix]
servers = unix:{unix_path} max_fails=0

[upstream bysix]
servers = [::1]:{six_port} max_fails=0

[upstream bymapped]
servers = [::ffff:127.0.0.1]:{app_port} max_fails=0

[upstream pair]
servers =
    127.0.0.1:{closed} max_fails=0 weight=100
    {app} max_fails=0

[upstream nowhere]
servers = 127.0.0.1:{closed} max_fails=0

[upstream deaf]
servers = {deaf} max_fails=0
connect_timeout = 600ms

[upstream dialled]
servers = {deaf} max_fails=0
connect_timeout = 30s
"""

#: Ways of bytes from a client to a server, by the listener and, for WebSockets, the route.
LAYER_4 = (("raw", ""), ("rawsecure", ""))
WEBSOCKETS = (("web", "/frames/"), ("web", "/tunnel/"), ("secure", "/frames/"), ("secure", "/tunnel/"))


class RelaySite(Site):
    """The shared gateway; ``app``, ``by_unix`` and ``by_six`` are its servers."""

    app: Backend
    by_unix: Backend
    by_six: Backend

    def open(self, path: str, listener: str = "web", **options: Any) -> Wire:
        """A WebSocket, its handshake done."""
        wire = self.connect(listener, **options)
        open_websocket(wire, path)
        return wire

    def connect(self, listener: str = "web", **options: Any) -> Wire:
        """As that of every site, with TLS where the listener is called so."""
        wire = super().connect(listener, **options)
        if not listener.endswith("secure") or isinstance(wire, TlsWire):
            return wire
        secured = TlsWire(wire.sock, client_context(str(self.ca_path)), server_name="localhost")
        self._wires[-1] = secured
        secured.handshake()
        return secured

    def closed(self, wire: Wire) -> dict[str, Any]:
        """Close a connection; its one record."""
        port = wire.sock.getsockname()[1]
        wire.close()
        return self.records_of(port)[0]

    def join(self, listener: str, path: str = "", **options: Any) -> Wire:
        """A connection to a tcp listener, or with a path a WebSocket: bytes go through from here."""
        return self.open(path, listener, **options) if path else self.connect(listener, **options)

    def unix(self, name: str) -> Wire:
        """A connection to a unix socket of the gateway."""
        wire = connect(str(self.gateway.directory / f"{name}.sock"))
        self._wires.append(wire)
        return wire

    def until_quiet(self, sockets: int) -> None:
        """Wait until no more sockets are open than there were."""
        until(lambda: self.sockets() <= sockets, f"{sockets} sockets in the gateway")

    def sockets(self) -> int:
        """How many sockets the gateway has open."""
        return sum(name.startswith("socket:") for name in descriptors(self.gateway.pid))


def steady(value: Callable[[], Any], what: str, looks: int = 25) -> Any:
    """Wait until a value stays the same for so many looks; that value."""
    seen: list[Any] = []

    def stays() -> bool:
        seen.append(value())
        del seen[:-looks]
        return len(seen) == looks and len(set(seen)) == 1

    until(stays, f"a steady {what}", timeout=30)
    return seen[-1]


def until_idle(gateway: Gateway, moved: Callable[[], int], what: str) -> None:
    """Wait until half a second has passed in which nothing moved and the gateway used next to no processor time."""
    seen: list[tuple[int, float]] = []

    def idle() -> bool:
        seen.append((moved(), gateway.cpu()))
        del seen[:-50]
        return len(seen) == 50 and seen[0][0] == seen[-1][0] and seen[-1][1] - seen[0][1] < 0.1

    until(idle, f"a gateway that rests, its {what} steady")


@contextmanager
def relay_site(directory: Path) -> Iterator[RelaySite]:
    """The gateway and its servers, for the length of a ``with``."""
    directory.mkdir(exist_ok=True)
    certificate = CertificateAuthority(directory / "ca").issue("localhost")
    with ExitStack() as stack:
        app = stack.enter_context(Backend(timeout=30.0))
        by_unix = stack.enter_context(Backend(path=str(directory / "app.sock")))
        by_six = stack.enter_context(Backend(host="::1"))
        deaf = stack.enter_context(_deaf_server())
        gateway = stack.enter_context(
            running(
                INI,
                directory / "gateway",
                chain=certificate.chain_path,
                key=certificate.key_path,
                app=app.address,
                app_port=app.port,
                unix_path=directory / "app.sock",
                six_port=by_six.port,
                closed=free_port(),
                deaf=deaf,
            )
        )
        site = RelaySite(gateway, directory / "ca" / "ca.pem", directory)
        site.app, site.by_unix, site.by_six = app, by_unix, by_six
        yield site
        site.check_claims()


@contextmanager
def _deaf_server() -> Iterator[str]:
    """The address of a socket whose queue is full: a SYN that comes is not answered."""
    with socket.socket() as listening, ExitStack() as stack:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        for _ in range(4):
            client = stack.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(listening.getsockname())
        yield f"127.0.0.1:{listening.getsockname()[1]}"
