"""Listening sockets: bound once, found again, refused and let in again."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tests.doubles.ports import free_port
from wsgate.config.load import parse_config
from wsgate.control.doors import Binds, binds
from wsgate.control.sockets import Sockets, activated
from wsgate.control.whereabouts import OptionError


def wanted(*addresses: str) -> Binds:
    text = "".join(
        f"[listener l{number}]\nbind = {address}\n[route r{number}]\nlistener = l{number}\nrespond = 200 x\n"
        for number, address in enumerate(addresses)
    )
    return binds(parse_config(text, "test.ini", Path("/")))


def test_addresses_that_stay_keep_their_sockets() -> None:
    one, two, three = (f"127.0.0.1:{free_port()}" for _ in range(3))
    sockets = Sockets()
    before = wanted(one, two)
    sockets.keep(sockets.bind_missing(before), before)
    kept, gone = sockets.bound[one], sockets.bound[two]
    after = wanted(three, one)
    sockets.keep(sockets.bind_missing(after), after)
    assert sockets.bound[one] is kept and gone.fileno() == -1 and three in sockets.bound
    sockets.close()
    assert kept.fileno() == -1


def test_all_are_bound_or_none() -> None:
    free = f"127.0.0.1:{free_port()}"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        sockets = Sockets()
        with pytest.raises(OptionError, match="l1. bind: |cannot listen on"):
            sockets.bind_missing(wanted(free, f"127.0.0.1:{taken.getsockname()[1]}"))
        assert not sockets.bound
    with socket.create_server(("127.0.0.1", int(free.rpartition(":")[2]))):
        """The first address is free again."""


def test_inherited_sockets_are_used_and_spare_ones_closed(tmp_path: Path) -> None:
    tcp, unix, spare = (
        socket.create_server(("127.0.0.1", 0)),
        socket.socket(socket.AF_UNIX),
        socket.create_server(("127.0.0.1", 0)),
    )
    path = str(tmp_path / "web.sock")
    unix.bind(path)
    sockets = Sockets([tcp, unix, spare])
    name = f"127.0.0.1:{tcp.getsockname()[1]}"
    after = wanted(name, f"unix:{path}")
    sockets.keep(sockets.bind_missing(after), after)
    assert sockets.bound == {name: tcp, f"unix:{path}": unix}
    left = f"127.0.0.1:{spare.getsockname()[1]}"
    assert sockets.spare() == [left] and spare.fileno() == -1
    sockets.close()


def test_a_listener_is_refused_and_let_in_again() -> None:
    address = ("127.0.0.1", free_port())
    after = wanted(f"{address[0]}:{address[1]}")
    sockets = Sockets()
    sockets.keep(sockets.bind_missing(after), after)
    socket.create_connection(address).close()
    sockets.refuse(after, "l0")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address)
    # Twice: for the listener and for the whole gateway, or by a successor.
    sockets.refuse(after, "l0")
    sockets.stand(after, {"l0"}, sockets.bound)
    sockets.stand(after, ())
    with socket.create_connection(address) as client:
        sockets.bound[f"{address[0]}:{address[1]}"].setblocking(True)
        accepted, _ = sockets.bound[f"{address[0]}:{address[1]}"].accept()
        with accepted:
            client.sendall(b"hello")
            assert accepted.recv(5) == b"hello"
    sockets.close()


@pytest.mark.parametrize(
    ("environment", "found"),
    [
        ({}, []),
        ({"LISTEN_PID": "7", "LISTEN_FDS": "2"}, [3, 4]),
        ({"LISTEN_PID": "8", "LISTEN_FDS": "2"}, []),
        ({"LISTEN_PID": "7", "LISTEN_FDS": "x"}, []),
    ],
)
def test_descriptors_are_ours_only_if_they_were_passed_to_us(environment: dict[str, str], found: list[int]) -> None:
    assert activated(environment, 7) == found
