"""Options of sockets, and addresses as text."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from typing import Final

#: Keep-alive probes: seconds of silence before the first, seconds between two, and how many may be lost.
KEEPALIVE: Final = (60, 15, 4)

#: How long what was written may wait for the peer (milliseconds, RFC 5482).  Linux also counts the time in which a peer
#: that answers every probe takes nothing: who pauses is cut off as who is gone.  So this is longer than the time-outs
#: by which the gateway tells one from the other (by default a minute for WebSockets and HTTP, ten for Layer 4), and
#: the last resort where those are off.
USER_TIMEOUT: Final = 660_000


def _known(values: Iterable[tuple[str, int]]) -> tuple[tuple[int, int], ...]:
    """Options of TCP by name: each platform has its own subset of them."""
    return tuple((getattr(socket, name), value) for name, value in values if hasattr(socket, name))


_OPTIONS: Final = _known(
    [
        *zip(("TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT"), KEEPALIVE, strict=True),
        ("TCP_USER_TIMEOUT", USER_TIMEOUT),
    ]
)


def tune(sock: socket.socket, family: socket.AddressFamily | None = None) -> None:
    """No Nagle, keep-alive probes, a user time-out.  A listening socket hands these on to what it accepts (Linux)."""
    if (family or sock.family) is socket.AF_UNIX:
        return
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    try:
        for option, value in _OPTIONS:
            sock.setsockopt(socket.IPPROTO_TCP, option, value)
    except OSError:
        # A kernel that knows less than the headers: the rest is left as it is.
        return


_NONBLOCK: Final[int] = getattr(socket, "SOCK_NONBLOCK", 0)


def connecting_socket(family: socket.AddressFamily) -> socket.socket:
    """A tuned, non-blocking stream socket; made so in one system call where the platform can.  Raises OSError."""
    sock = socket.socket(family, socket.SOCK_STREAM | _NONBLOCK)
    if not _NONBLOCK:
        sock.setblocking(False)
    tune(sock, family)
    return sock


def host_of(address: object) -> str:
    """The IP address in a socket address, v4-mapped IPv6 as IPv4 and without a zone; ``unix`` for a unix socket."""
    if isinstance(address, tuple):
        host = str(address[0])
        if ":" in host:
            host = host.partition("%")[0]
            if host.lower().startswith("::ffff:") and "." in host:
                return host[7:]
        return host
    return "unix"


def port_of(address: object) -> int:
    """The port in a socket address; 0 for a unix socket."""
    return int(address[1]) if isinstance(address, tuple) else 0
