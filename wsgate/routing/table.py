"""Which route answers a request, by nginx's rules of server names and locations.

First the host: its exact name, else the longest wildcard (``*.example.org`` stands for names of any depth below
``example.org``, not for ``example.org`` itself), else the routes without a host, which play the part of nginx's default
server.  Only the routes of the host found are looked at: where none of them has the path there is no route, as in
nginx, even if a route without a host would have it.

Then the path, among those routes:

1. an ``=`` route with exactly this path;
2. else the longest prefix is remembered; if it is marked ``^~`` it is the answer;
3. else the first regular expression, in the order of the file, that is found anywhere in the path;
4. else the remembered prefix.

A prefix is a prefix of the string, as in nginx: ``/wsapp`` answers ``/wsapp``, ``/wsapp/x`` and also ``/wsappx``.

A proxied prefix ``/chat/`` is asked for ``/chat`` too, unless ``= /chat`` or a prefix ``/chat`` exists.  nginx then
answers 301 before it looks at regular expressions or shorter prefixes.  Here that is `SlashRedirect`; a WebSocket
request gets the route at once, since WebSocket clients follow no redirect.  (nginx redirects to ``= /chat/`` as well,
which its manual does not say; an exact route answers exactly its path here.)
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from re import Pattern
from typing import NamedTuple

from wsgate.config.model import Config, PathKind, ProxyTarget, Route


class Match(NamedTuple):
    """The route of a request; ``matched`` is the start of the path that its pattern covers.

    For an exact route that is the whole path, for a prefix the prefix, for a regular expression everything up to the
    end of what it found: ``path[len(matched):]`` is always the rest that a rewrite keeps.
    """

    route: Route
    matched: str


class SlashRedirect(NamedTuple):
    """The request lacks the last slash of the prefix ``route``: send the client to ``location`` (a decoded path)."""

    route: Route
    location: str


Choice = Match | SlashRedirect | None


class _Locations:
    """The paths of one host: what nginx keeps for one server block."""

    __slots__ = ("_lengths", "_prefixes", "_regexes", "_whole_http", "_whole_websocket")

    def __init__(self, routes: Iterable[Route]) -> None:
        self._whole_http: dict[str, Match | SlashRedirect] = {}
        self._whole_websocket: dict[str, Match | SlashRedirect] = {}
        self._prefixes: dict[str, tuple[Match, bool]] = {}
        self._regexes: list[tuple[Pattern[str], Route]] = []
        for route in routes:
            self._add(route)
        self._add_slashless()
        # Few lengths, one dictionary look-up each: the longest prefix costs the same with 20 routes and with 2,000.
        self._lengths = tuple(sorted({len(text) for text in self._prefixes}, reverse=True))

    def _add(self, route: Route) -> None:
        """Of two routes with the same path the first in the file counts."""
        kind, text, regex = route.path.kind, route.path.text, route.path.regex
        if kind is PathKind.EXACT:
            match = Match(route, text)
            self._whole_http.setdefault(text, match)
            self._whole_websocket.setdefault(text, match)
        elif kind is PathKind.PREFIX or kind is PathKind.PREFIX_FIRST:
            self._prefixes.setdefault(text, (Match(route, text), kind is PathKind.PREFIX_FIRST))
        elif regex is None:
            raise ValueError(f"route {route.name}: a regular path without its expression")
        else:
            self._regexes.append((regex, route))

    def _add_slashless(self) -> None:
        for text, (match, _) in self._prefixes.items():
            short = text[:-1]
            if len(text) < 2 or text[-1] != "/" or short in self._prefixes:
                continue
            if isinstance(match.route.target, ProxyTarget):
                self._whole_http.setdefault(short, SlashRedirect(match.route, text))
                self._whole_websocket.setdefault(short, Match(match.route, short))

    def choose(self, path: str, websocket: bool) -> Choice:
        whole = (self._whole_websocket if websocket else self._whole_http).get(path)
        if whole is not None:
            return whole
        remembered = None
        prefixes = self._prefixes
        for length in self._lengths:
            # A prefix longer than the path cannot be found: the slice is then the path itself, of another length.
            found = prefixes.get(path[:length])
            if found is not None:
                remembered, first = found
                if first:
                    return remembered
                break
        for regex, route in self._regexes:
            hit = regex.search(path)
            if hit is not None:
                return Match(route, path[: hit.end()])
        return remembered


class RouteTable:
    """The routes of one listener, ready to be asked; never changes."""

    __slots__ = ("_default", "_has_hosts", "_names", "_wildcards")

    def __init__(self, routes: Sequence[Route]) -> None:
        """``routes`` are in the order of the file.  Raises ValueError for a regular path that was not compiled."""
        default: list[Route] = []
        groups: dict[str, list[Route]] = {}
        for route in routes:
            if not route.hosts:
                default.append(route)
            for host in dict.fromkeys(map(_plain_host, route.hosts)):
                groups.setdefault(host, []).append(route)
        self._default = _Locations(default)
        self._has_hosts = bool(groups)
        # ``*.example.org`` is kept as ``.example.org``, the part that a look-up cuts from the host.
        self._wildcards = {host[1:]: _Locations(group) for host, group in groups.items() if host.startswith("*.")}
        self._names = {host: _Locations(group) for host, group in groups.items() if not host.startswith("*.")}

    @classmethod
    def for_listener(cls, config: Config, listener_name: str) -> RouteTable:
        """The table of the routes that name this listener or none."""
        return cls([route for route in config.routes if not route.listeners or listener_name in route.listeners])

    def choose(self, host: str, path: str, websocket: bool) -> Choice:
        """The route of a request; None where there is none (404).

        ``host`` has no port and may be empty; ``path`` is decoded and normalised; ``websocket`` says that the request
        asks for an upgrade to WebSocket.
        """
        locations = self._locations(host) if self._has_hosts else self._default
        return locations.choose(path, websocket)

    def _locations(self, host: str) -> _Locations:
        host = _plain_host(host)
        named = self._names.get(host)
        if named is not None:
            return named
        if self._wildcards:
            # From the left, so that the longest wildcard is met first; a star stands for at least one character.
            dot = host.find(".", 1)
            while dot > 0:
                wild = self._wildcards.get(host[dot:])
                if wild is not None:
                    return wild
                dot = host.find(".", dot + 1)
        return self._default


def _plain_host(host: str) -> str:
    """Names compare without case and without the final dot of a fully qualified name, as nginx compares them."""
    return host.lower().removesuffix(".")
