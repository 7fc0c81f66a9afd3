"""The choice of a route by the TLS hello: by name as nginx chooses a server block, then by protocol.

An exact name goes before a wildcard, a longer wildcard before a shorter one, both before ``any``.  Of the routes for
one name the first counts that asks for a protocol which the client offers, or for none.  A name whose routes all ask
for other protocols goes on to the next wildcard.  Each step is a look-up: names that an attacker chooses cost nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from wsgate.config.model import SniRoute


class SniTable:
    """The routes by ``sni`` of one listener; ``without_tls`` is for clients that speak no TLS, or say nothing."""

    __slots__ = ("_by_name", "without_tls")

    def __init__(self, routes: Iterable[SniRoute], listener: str) -> None:
        self._by_name: dict[str, list[SniRoute]] = {}
        self.without_tls: SniRoute | None = None
        for route in routes:
            if listener not in route.listeners:
                continue
            for name in route.sni:
                if name == "none":
                    self.without_tls = self.without_tls or route
                else:
                    self._by_name.setdefault(name, []).append(route)

    def __bool__(self) -> bool:
        return bool(self._by_name) or self.without_tls is not None

    def choose(self, name: str | None, protocols: Sequence[bytes]) -> SniRoute | None:
        """The route for a hello with this server name (``None``: none given) that offers these ALPN protocols."""
        offered = {protocol.decode("latin-1") for protocol in protocols}
        for key in _keys(name):
            for route in self._by_name.get(key, ()):
                if not route.alpn or not offered.isdisjoint(route.alpn):
                    return route
        return None


#: The table of a listener that has no such routes.
NO_SNI = SniTable((), "")


def _keys(name: str | None) -> Iterable[str]:
    if name is not None:
        rest = name.lower().removesuffix(".")
        yield rest
        while "." in rest:
            rest = rest.partition(".")[2]
            yield f"*.{rest}"
    yield "any"
