"""Clients that open TLS connections and say nothing, or next to nothing, cost the others nothing."""

from __future__ import annotations

import select
import shutil
import socket
import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median

import pytest

from tests.doubles.certificates import CertificateAuthority
from tests.doubles.gateway import Gateway, running
from tests.doubles.http import read_answer, request
from tests.doubles.raw_tls import client_context, connect_tls
from tests.doubles.waiting import until

SILENT = 2000
DEADLINE = 2.0

INI = """
[gateway]
max_connections = 6000
[listener web]
bind = 127.0.0.1:{web}
tls = site
tls_timeout = 2s
[tls site]
certificate = {dir}/site.pem
key = {dir}/site.key
[route own]
path = /
respond = 200 own
"""


@dataclass
class Site:
    gateway: Gateway
    context: ssl.SSLContext

    def ask(self) -> float:
        """A whole handshake and a request; how long they took, in seconds."""
        began = time.monotonic()
        with connect_tls(self.gateway.where("web"), self.context, server_name="localhost") as wire:
            wire.send(request("GET", "/"))
            assert read_answer(wire).status == 200
        return time.monotonic() - began

    def ended(self) -> int:
        """How many connections were ended for want of a handshake."""
        return sum(record["cause"] == "tls_timeout" for record in self.gateway.records())


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    directory = tmp_path_factory.mktemp("floods")
    authority = CertificateAuthority(directory / "ca")
    issued = authority.issue("localhost")
    home = directory / "gateway"
    home.mkdir()
    shutil.copy(issued.chain_path, home / "site.pem")
    shutil.copy(issued.key_path, home / "site.key")
    with running(INI, home) as gateway:
        yield Site(gateway, client_context(str(authority.ca_path)))


class Crowd:
    """Connections that stay open until the gateway ends them; each sends ``first`` and no more."""

    def __init__(self, where: tuple[str, int], count: int, first: bytes = b"") -> None:
        self.opened = time.monotonic()
        self.socks: dict[int, socket.socket] = {}
        self.lived: list[float] = []
        self._epoll = select.epoll()
        for _ in range(count):
            sock = socket.create_connection(where)
            sock.setblocking(False)
            if first:
                sock.send(first)
            self.socks[sock.fileno()] = sock
            self._epoll.register(sock.fileno(), select.EPOLLIN)
        self.complete = time.monotonic()

    def look(self) -> int:
        """How many are left; notes when the others were ended."""
        for fd, _ in self._epoll.poll(0):
            sock = self.socks[fd]
            try:
                gone = not sock.recv(4096)
            except ConnectionResetError:
                gone = True
            if gone:
                self.lived.append(time.monotonic() - self.opened)
                del self.socks[fd]
                sock.close()
        return len(self.socks)

    def close(self) -> None:
        for sock in self.socks.values():
            sock.close()
        self._epoll.close()


@pytest.mark.parametrize("first", [b"", b"\x16\x03\x01\x02\x00\x01"], ids=["silent", "half a hello"])
def test_two_thousand_silent_clients_are_closed_and_the_others_are_served(site: Site, first: bytes) -> None:
    """What another client waits stays about what it waited before, through the mass closing too."""
    before, ended = site.gateway.fds(), site.ended()
    alone = [site.ask() for _ in range(100)]
    crowd = Crowd(site.gateway.where("web"), SILENT, first)
    try:
        until(lambda: site.gateway.fds() >= before + SILENT or crowd.look() < SILENT, "the crowd to be inside")
        beside = [site.ask()]
        while crowd.look():
            beside.append(site.ask())
            assert time.monotonic() - crowd.complete < 60, f"{len(crowd.socks)} silent clients are still there"
    finally:
        crowd.close()
    assert min(crowd.lived) >= DEADLINE
    # What the machine takes from either in the worst case is its affair; nobody waits for a deadline of the others.
    assert median(beside) < 2 * median(alone) + 0.1, (alone, beside)
    assert max(beside) < 10 * max(alone) + DEADLINE, (alone, beside)
    until(lambda: site.gateway.fds() <= before, "the descriptors of the crowd")
    until(lambda: site.ended() >= ended + SILENT, "a record of each")
    assert site.ended() == ended + SILENT
