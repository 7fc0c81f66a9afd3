"""How close to nginx wsgate is meant to be: one table."""

from __future__ import annotations

from dataclasses import dataclass

from bench.outcomes import Results

_NGINX = "nginx"
_ECHO_1 = "echo 128 B, 1 connection"
_ECHO_50 = "echo 128 B, 50 connections, 4 in flight"
_CONNECT = "connect, echo 16 B, close"
_IDLE = "Memory of 2,000 idle connections"
_LARGEST = "Growth: 9,000 connections"
_L4, _L4_TLS, _WS, _WSS = "Layer 4", "Layer 4 over TLS", "WebSocket", "WebSocket over TLS"
_FRAMES, _TUNNEL = "wsgate frames", "wsgate tunnel"


@dataclass(frozen=True, slots=True)
class Target:
    """``what`` of ``case`` for ``subject`` is at most ``limit`` times that of ``against``.

    ``against`` is another subject of the case, or another case of the subject (with a colon in its name); empty: the
    limit is absolute.  ``headline`` targets are quoted in the README.
    """

    words: str
    case: str
    subject: str
    limit: float
    what: str = "cost"
    against: str = _NGINX
    headline: bool = False

    def found(self, results: Results) -> float | None:
        """What was measured; None where it was not."""
        if not self.against:
            return results.middle(self.case, self.subject, self.what)
        other = (self.against, self.subject) if ":" in self.against else (self.case, self.against)
        return results.ratio((self.case, self.subject), other, self.what)

    def verdict(self, results: Results) -> str:
        found = self.found(results)
        if found is None:
            return "not measured"
        return "met" if round(found, 2) <= self.limit else "missed"


TARGETS = (
    Target("Layer 4: bulk", f"{_L4}: pull, 4 connections", "wsgate", 0.5, headline=True),
    Target("Layer 4: echo, 50 connections", f"{_L4}: {_ECHO_50}", "wsgate", 1.5, headline=True),
    Target("Layer 4: echo, 1 connection", f"{_L4}: {_ECHO_1}", "wsgate", 1.5),
    Target("Layer 4: round trip, p50", f"{_L4}: {_ECHO_1}", "wsgate", 1.5, "p50"),
    Target("Layer 4: connect", f"{_L4}: {_CONNECT}", "wsgate", 2.0, headline=True),
    Target("WebSocket: echo, frames, 50 connections", f"{_WS}: {_ECHO_50}", _FRAMES, 1.8, headline=True),
    Target("WebSocket: echo, frames, 1 connection", f"{_WS}: {_ECHO_1}", _FRAMES, 1.8),
    Target("WebSocket: echo, tunnel, 50 connections", f"{_WS}: {_ECHO_50}", _TUNNEL, 1.5, headline=True),
    Target("WebSocket: echo, tunnel, 1 connection", f"{_WS}: {_ECHO_1}", _TUNNEL, 1.5),
    Target("WebSocket over TLS: echo, frames, 50 connections", f"{_WSS}: {_ECHO_50}", _FRAMES, 1.6, headline=True),
    Target("WebSocket over TLS: echo, frames, 1 connection", f"{_WSS}: {_ECHO_1}", _FRAMES, 1.6),
    Target("WebSocket over TLS: echo, tunnel, 50 connections", f"{_WSS}: {_ECHO_50}", _TUNNEL, 1.6),
    Target("WebSocket handshake", f"{_WS}: {_CONNECT}", _FRAMES, 2.5, headline=True),
    Target("TLS handshake, full", "TLS handshakes: full", "wsgate", 1.5, headline=True),
    Target("TLS handshake, resumed, with an empty answer", "TLS handshakes: resumed, then 204", "wsgate", 1.5),
    Target("TLS at Layer 4: echo, 50 connections", f"{_L4_TLS}: {_ECHO_50}", "wsgate", 1.5),
    Target("the same to Twisted's own TLS", f"{_L4_TLS}: {_ECHO_50}", "wsgate", 0.5, against="twisted"),
    Target("memory, idle at Layer 4", f"{_IDLE}: Layer 4", "wsgate", 0.3, headline=True),
    Target("memory, idle WebSocket, frames", f"{_IDLE}: WebSocket", _FRAMES, 0.3, headline=True),
    Target("memory, idle WebSocket, frames, in kB", f"{_IDLE}: WebSocket", _FRAMES, 4.0, against=""),
    Target("memory, idle at Layer 4 over TLS", f"{_IDLE}: Layer 4 over TLS", "wsgate", 0.8, headline=True),
    Target("memory, idle WebSocket over TLS, frames", f"{_IDLE}: WebSocket over TLS", _FRAMES, 0.8, headline=True),
    Target("HTTP: static 1 KiB", "HTTP: static 1 KiB", "wsgate", 4.0, headline=True),
    Target("HTTP: proxied 1 KiB", "HTTP: proxied 1 KiB", "wsgate", 4.0, headline=True),
    Target("scanner, us a 128-byte frame", "Scanner: 128 B frame", _FRAMES, 1.5, against=""),
    Target("cost at 9,000 connections, to 10", _LARGEST, _FRAMES, 1.5, against="Growth: 10 connections"),
    Target("cost at 9,000 connections, to 1,000", _LARGEST, _FRAMES, 1.25, against="Growth: 1,000 connections"),
    Target("memory at 9,000 connections, to 1,000", _LARGEST, _FRAMES, 1.1, "each", "Growth: 1,000 connections"),
)
