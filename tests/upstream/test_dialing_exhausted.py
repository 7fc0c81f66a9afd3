"""A gateway without sockets or ports blames no server (row 28 of the faults)."""

from __future__ import annotations

import errno
import os
import socket
from random import Random
from typing import Any

import pytest
from twisted.internet.task import Clock

from wsgate.balance.group import Group
from wsgate.balance.keys import Facts
from wsgate.balance.servers import ServerState
from wsgate.causes import Cause
from wsgate.config.load import parse_config
from wsgate.transport.interfaces import Leg
from wsgate.transport.wheel import TimerWheel
from wsgate.upstream.attempt import Dialer
from wsgate.upstream.dialing import Dialling, Wanted
from wsgate.upstream.idle import IdleConnections
from wsgate.upstream.members import UpstreamMembers

INI = """
[listener raw]
bind = 127.0.0.1:0
mode = tcp
upstream = servers

[upstream servers]
servers = python:a.b:one max_conns=5, python:a.b:two
"""


class Owner:
    """Who asks for a server."""

    def __init__(self) -> None:
        self.failed: list[tuple[Cause, str]] = []

    def connected(self, leg: Leg, state: ServerState, reused: bool) -> None:
        raise AssertionError("nothing can be connected")

    def dial_failed(self, cause: Cause, detail: str) -> None:
        self.failed.append((cause, detail))


def members_of(text: str, wheel: TimerWheel, tmp_path: Any) -> UpstreamMembers:
    upstream = parse_config(text, "test", tmp_path).upstreams["servers"]
    group = Group(upstream.servers, upstream.balance, Random(1), name="servers")
    return UpstreamMembers(upstream, group, None, IdleConnections(wheel, 0, 1.0))


@pytest.mark.parametrize("number", [errno.EADDRNOTAVAIL, errno.EMFILE, errno.ENFILE, errno.ENOBUFS])
def test_no_socket_is_nobodys_failure_and_nothing_is_held(number: int, tmp_path: Any) -> None:
    wheel = TimerWheel(Clock())  # type: ignore[arg-type]
    members, asked = members_of(INI, wheel, tmp_path), []

    def connect(name: str) -> socket.socket:
        asked.append(name)
        raise OSError(number, os.strerror(number))

    dialer: Any = Dialer(None, wheel, None, connect)  # type: ignore[arg-type]
    owner = Owner()
    Dialling(dialer, members, owner, Wanted(Facts("192.0.2.1"))).next()
    assert [cause for cause, _ in owner.failed] == [Cause.EXHAUSTED]
    assert asked == ["a.b:one", "a.b:two"], "each once: no storm"
    assert [(state.fails, state.conns) for state in members.group.states] == [(0, 0), (0, 0)]
    assert Cause.EXHAUSTED.status == 503


def test_a_refused_connection_is_the_servers_failure(tmp_path: Any) -> None:
    wheel = TimerWheel(Clock())  # type: ignore[arg-type]
    members = members_of(INI, wheel, tmp_path)

    def connect(name: str) -> socket.socket:
        raise OSError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))

    dialer: Any = Dialer(None, wheel, None, connect)  # type: ignore[arg-type]
    owner = Owner()
    Dialling(dialer, members, owner, Wanted(Facts("192.0.2.1"))).next()
    assert [cause for cause, _ in owner.failed] == [Cause.CONNECT_FAILED]
    assert [(state.fails, state.conns) for state in members.group.states] == [(1, 0), (1, 0)]
