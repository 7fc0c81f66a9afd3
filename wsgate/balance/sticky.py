"""Cookies that bind a client to a server.

A cookie holds a MAC of the server's name, so that it tells nothing about the servers, and nobody can make one without
the key, or bind a client to a server of his choice.
"""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Iterable, Sequence
from hmac import compare_digest, digest

from wsgate.balance.servers import ServerState
from wsgate.config.model import Sticky

#: Bytes of the MAC that are used; 24 characters of base64.
_SIZE = 18


class Bindings:
    """The marks of the servers of one upstream.  ``key`` is secret and as long as it is kept, marks stay valid."""

    __slots__ = ("_key", "_marks")

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._marks: dict[str, bytes] = {}

    def mark(self, state: ServerState) -> bytes:
        """The value of the cookie for a server."""
        known = self._marks.get(state.key)
        if known is None:
            mac = digest(self._key, state.key.encode("utf-8", "surrogateescape"), "sha256")
            known = self._marks[state.key] = urlsafe_b64encode(mac[:_SIZE])
        return known

    def find(self, states: Sequence[ServerState], values: Iterable[bytes]) -> ServerState | None:
        """The server that the first right one of the cookies ``values`` is for."""
        if len(self._marks) > 4 * len(states) + 64:
            self._marks.clear()  # the servers have been others for long
        for value in values:
            for state in states:
                if compare_digest(self.mark(state), value):
                    return state
        return None


def set_cookie(options: Sticky, value: bytes, secure: bool) -> bytes:
    """The value of a Set-Cookie field (RFC 6265 section 4.1); ``secure`` as the client's connection is."""
    parts = [f"{options.name}=".encode() + value, f"Path={options.path}".encode(), b"HttpOnly"]
    if options.max_age:
        parts.append(b"Max-Age=%d" % round(options.max_age))
    if secure:
        parts.append(b"Secure")
    parts.append(f"SameSite={options.samesite.capitalize()}".encode())
    return b"; ".join(parts)
