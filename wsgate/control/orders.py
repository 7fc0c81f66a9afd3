"""The orders that a process which carries traffic obeys, by name, with facts as JSON has them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred

from wsgate.control.gateway import Gateway
from wsgate.control.scopes import Scope, Selection

Facts = Mapping[str, Any]


def perform(gateway: Gateway, order: str, facts: Facts) -> Deferred[Any]:
    """Obey; fires with the answer, or fails with a WsgateError.  KeyError for an order that there is not."""
    return maybeDeferred(_ORDERS[order], gateway, facts)


def _commit(gateway: Gateway, facts: Facts) -> None:
    gateway.commit()


def _drop(gateway: Gateway, facts: Facts) -> None:
    gateway.drop()


def _status(gateway: Gateway, facts: Facts) -> dict[str, Any]:
    return gateway.status(connections=bool(facts.get("connections")))


def _drain(gateway: Gateway, facts: Facts) -> Deferred[int]:
    return gateway.drain(Scope.of(facts))


def _hold(gateway: Gateway, facts: Facts) -> None:
    gateway.hold(Scope.of(facts))


def _undrain(gateway: Gateway, facts: Facts) -> None:
    gateway.undrain(Scope.of(facts))


def _kick(gateway: Gateway, facts: Facts) -> int:
    return gateway.kick(Selection.of(facts))


def _loads(gateway: Gateway, facts: Facts) -> dict[str, Any]:
    return gateway.movable.loads()


def _oldest(gateway: Gateway, facts: Facts) -> dict[str, Any]:
    return gateway.movable.oldest(facts["upstream"], facts["wanted"])


def _move(gateway: Gateway, facts: Facts) -> int:
    return gateway.movable.move(frozenset(facts["names"]))


def _reopen(gateway: Gateway, facts: Facts) -> None:
    gateway.reopen_log()


def _retire(gateway: Gateway, facts: Facts) -> None:
    gateway.retire()


def _stop(gateway: Gateway, facts: Facts) -> Deferred[None]:
    return gateway.stop(at_once=bool(facts.get("at_once")))


_ORDERS: dict[str, Callable[[Gateway, Facts], Any]] = {
    "commit": _commit,
    "drop": _drop,
    "status": _status,
    "hold": _hold,
    "drain": _drain,
    "undrain": _undrain,
    "kick": _kick,
    "loads": _loads,
    "oldest": _oldest,
    "move": _move,
    "reopen": _reopen,
    "retire": _retire,
    "stop": _stop,
}
