"""Parts of a gateway that are drained, and selections of connections that are closed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from wsgate.errors import WsgateError
from wsgate.registry import Live

KINDS = ("gateway", "listener", "route", "upstream", "server", "worker")
#: By what ``kick`` chooses connections.
SELECTORS = ("id", "client", "listener", "route", "upstream", "server")


class ScopeError(WsgateError):
    """There is nothing of that kind or name."""


@dataclass(frozen=True, slots=True)
class Scope:
    """The whole gateway, or a listener, route or upstream by its ``name``; ``server`` is one address of an upstream."""

    kind: str
    name: str = ""
    server: str = ""

    def __str__(self) -> str:
        return " ".join(word for word in (self.kind, self.name, self.server) if word)

    def covers(self, live: Live) -> bool:
        """Whether a relayed connection belongs to it."""
        match self.kind:
            case "listener":
                return live.listener == self.name
            case "route":
                return live.route == self.name
            case "upstream":
                return live.upstream == self.name
            case "server":
                return live.upstream == self.name and live.server == self.server
        return True

    @property
    def facts(self) -> dict[str, str]:
        """As an order has it; ``of`` is the way back."""
        return {"kind": self.kind, "name": self.name, "server": self.server}

    @classmethod
    def of(cls, facts: Mapping[str, object]) -> Scope:
        """From the facts of an order.  Raises ScopeError."""
        kind, name, server = (str(facts.get(key) or "") for key in ("kind", "name", "server"))
        kind = kind or "gateway"
        if kind not in KINDS:
            raise ScopeError(f"unknown {kind}: it is one of {', '.join(KINDS)}")
        if (kind != "gateway") != bool(name):
            raise ScopeError(f"{kind} needs a name" if kind != "gateway" else "the gateway has no name")
        if (kind == "server") != bool(server):
            raise ScopeError("a server is given by its upstream and its address" if kind == "server" else "no server")
        return cls(kind, name, server)


@dataclass(frozen=True, slots=True)
class Selection:
    """Relayed connections by what an operator knows of them; what is empty matches all."""

    id: str = ""
    client: str = ""
    listener: str = ""
    route: str = ""
    upstream: str = ""
    server: str = ""

    @classmethod
    def of(cls, facts: Mapping[str, object]) -> Selection:
        """From the facts of an order.  Raises ScopeError where nothing is selected: that would be everybody."""
        given = {key: str(facts.get(key) or "") for key in SELECTORS}
        if not any(given.values()):
            raise ScopeError(f"say whom: by {', '.join(SELECTORS)}")
        return cls(**given)

    def chooses(self, live: Live, number: str) -> bool:
        """Whether it chooses ``live``, whose number is ``number`` among those of all workers."""
        return all(
            not wanted or wanted == actual
            for wanted, actual in (
                (self.id, number),
                (self.client, live.client),
                (self.listener, live.listener),
                (self.route, live.route),
                (self.upstream, live.upstream),
                (self.server, live.server),
            )
        )
