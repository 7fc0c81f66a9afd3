"""Groups of servers for the tests of this room."""

from __future__ import annotations

from random import Random
from typing import Any

from wsgate.balance.group import Group
from wsgate.balance.places import Places
from wsgate.balance.servers import ServerState
from wsgate.config.model import Address, Server


def server(name: str, **options: Any) -> Server:
    return Server(Address(name, 1), **options)


def group(*servers: Server, balance: str = "round_robin", seed: int = 1, places: Places | None = None) -> Group:
    return Group(servers, balance, Random(seed), places)


def weighted(*weights: int, balance: str = "round_robin", **options: Any) -> Group:
    """Servers a, b, c ... with these weights."""
    servers = [server(letter, weight=weight, **options) for letter, weight in zip("abcdefgh", weights, strict=False)]
    return group(*servers, balance=balance)


def name(state: ServerState) -> str:
    return state.server.address.host


def first(group: Group, now: float = 0.0, key: bytes | None = None) -> ServerState:
    """The first server of a new order."""
    return next(group.order(now, key))


def firsts(group: Group, count: int, now: float = 0.0) -> str:
    """The names of the first servers of so many orders."""
    return " ".join(name(first(group, now)) for _ in range(count))


def whole(group: Group, now: float = 0.0, key: bytes | None = None) -> str:
    """The names of one order, to its end."""
    return " ".join(name(state) for state in group.order(now, key))


def named(group: Group, wanted: str) -> ServerState:
    return next(state for state in group.states if name(state) == wanted)
