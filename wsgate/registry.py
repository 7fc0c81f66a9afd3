"""Who is connected: every relayed connection, with what an operator asks about it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from wsgate.causes import Cause
from wsgate.relay.interfaces import Relay

if TYPE_CHECKING:
    from wsgate.runtime import Plan


@dataclass(slots=True, eq=False)
class Live:
    """One relayed connection.  ``since`` is on the gateway's monotonic clock, in seconds."""

    number: int
    listener: str
    route: str
    upstream: str
    server: str
    client: str
    since: float
    relay: Relay

    def close(self, cause: Cause, reason: str = "") -> None:
        """End it in an orderly way; ``reason`` is what a Close says in place of the cause's text."""
        self.relay.close(cause, reason)


class Accepted(Protocol):
    """An accepted connection, whatever is spoken on it."""

    @property
    def listener_name(self) -> str: ...

    @property
    def unread(self) -> int:
        """Bytes of answers that wait for the client; those of a relay are the relay's."""

    def stop(self, *, gently: bool = False) -> None:
        """Close it unless something is going on; ``gently`` after what comes next."""

    def dismiss(self, plan: Plan) -> None:
        """A reload took place: close it as ``stop`` does if ``plan`` has no such listener any more."""

    def abort(self, cause: Cause = Cause.STOPPING) -> None:
        """Close it at once; ``cause`` is that of a request that is being answered."""


def _let_in(live: Live) -> None:
    """Nobody is told."""


class Registry:
    """The relayed connections of one process, in the order in which they began."""

    __slots__ = ("_live", "_next", "connections", "entered")

    def __init__(self) -> None:
        self._live: dict[int, Live] = {}
        self._next = 1
        #: Accepted connections, relayed or not.
        self.connections: set[Accepted] = set()
        #: Called with each relayed connection before its relay starts.
        self.entered: Callable[[Live], None] = _let_in

    def enter(
        self, *, listener: str, route: str, upstream: str, server: str, client: str, since: float, relay: Relay
    ) -> Live:
        live = Live(self._next, listener, route, upstream, server, client, since, relay)
        self._live[self._next] = live
        self._next += 1
        self.entered(live)
        return live

    def leave(self, live: Live) -> None:
        del self._live[live.number]

    def find(self, number: int) -> Live | None:
        return self._live.get(number)

    def __iter__(self) -> Iterator[Live]:
        return iter(list(self._live.values()))

    def __len__(self) -> int:
        return len(self._live)
