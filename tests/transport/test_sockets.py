"""Options of sockets, and addresses as text."""

from __future__ import annotations

import contextlib
import errno
import socket

import pytest

from tests.doubles.waiting import until
from tests.transport.tls_ends import tcp_pair
from wsgate.config.options import of_section
from wsgate.transport.sockets import KEEPALIVE, USER_TIMEOUT, host_of, port_of, tune


def options(sock: socket.socket) -> tuple[int, ...]:
    tcp = (
        socket.TCP_NODELAY,
        socket.TCP_KEEPIDLE,
        socket.TCP_KEEPINTVL,
        socket.TCP_KEEPCNT,
        socket.TCP_USER_TIMEOUT,
    )
    return (
        sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE),
        *(sock.getsockopt(socket.IPPROTO_TCP, option) for option in tcp),
    )


# The options that end who takes nothing.
PATIENCE = (("listener", "idle_timeout"), ("listener", "body_timeout"), ("route", "slow_consumer_timeout"))

EXPECTED = (1, 1, *KEEPALIVE, USER_TIMEOUT)


def test_a_socket_is_tuned() -> None:
    ours, theirs = tcp_pair()
    with ours, theirs:
        tune(ours)
        assert options(ours) == EXPECTED


def test_the_kernel_gives_up_later_than_the_gateway() -> None:
    """It ends who takes nothing even where every probe is answered (row 17 of the faults): who only pauses is not gone,
    and the gateway's own time-outs say how long that may last."""
    ours, theirs = tcp_pair()
    with ours, theirs:
        ours.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 100)
        ours.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                ours.send(bytes(1 << 16))
        until(lambda: ours.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ETIMEDOUT)
    slowest = [of_section(section)[name].fallback() for section, name in PATIENCE]
    assert max(slowest) * 1000 < USER_TIMEOUT


def test_a_listening_socket_hands_its_options_on() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        tune(listening)
        with socket.create_connection(listening.getsockname()):
            accepted, _ = listening.accept()
            with accepted:
                assert options(accepted) == EXPECTED


def test_a_unix_socket_has_none_of_them() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        tune(ours)
        assert ours.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 0


def test_an_option_that_the_platform_refuses_is_done_without() -> None:
    """On a datagram socket TCP's options are unknown; the general ones are set all the same."""

    class Refusing(socket.socket):
        def setsockopt(self, level: int, option: int, value: object, *rest: object) -> None:  # type: ignore[override]
            if option == socket.TCP_USER_TIMEOUT and level == socket.IPPROTO_TCP:
                raise OSError(92, "Protocol not available")
            super().setsockopt(level, option, value)  # type: ignore[call-overload]

    with Refusing(socket.AF_INET, socket.SOCK_STREAM) as sock:
        tune(sock)
        assert options(sock)[:-1] == EXPECTED[:-1]


@pytest.mark.parametrize(
    ("address", "host", "port"),
    [
        (("192.0.2.1", 80), "192.0.2.1", 80),
        (("2001:db8::1", 443, 0, 0), "2001:db8::1", 443),
        (("::ffff:192.0.2.1", 1, 0, 0), "192.0.2.1", 1),
        (("::FFFF:192.0.2.1", 1, 0, 0), "192.0.2.1", 1),
        (("fe80::1%eth0", 1, 0, 2), "fe80::1", 1),
        (("::ffff:0:1", 1, 0, 0), "::ffff:0:1", 1),
        ("", "unix", 0),
        ("/run/wsgate.sock", "unix", 0),
        (b"\x00abstract", "unix", 0),
    ],
)
def test_addresses_as_text(address: object, host: str, port: int) -> None:
    assert (host_of(address), port_of(address)) == (host, port)
