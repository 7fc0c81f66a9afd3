"""May a page of this origin open a WebSocket here: the guard against cross-site WebSocket hijacking.

A browser sends its cookies along with a WebSocket handshake to any host and asks nobody (there is no CORS for
WebSocket), but it always names the page's origin (RFC 6455 sections 4.1 and 10.2; RFC 6454 for the notation).

A handshake without Origin does not come from a page in a browser, and such a client can claim any origin: it passes.
Two Origin fields are never taken, since the server may believe the other one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import AddressValueError, IPv6Address
from typing import NamedTuple

# Whole origins only: no user information, path or trailing slash, so that nothing can hide behind a listed name.
_ORIGIN = re.compile(rb"([a-z][a-z0-9+.-]{0,31})://([a-z0-9._~-]{1,255}|\[[0-9a-f:.]{2,45}\])(?::([0-9]{1,5}))?")
_DEFAULT_PORTS = {"http": 80, "https": 443}
# A proxy in front may tell the scheme of the WebSocket instead of the one that pages have.
_PAGE_SCHEMES = {"ws": "http", "wss": "https"}
_WORDS = frozenset({"any", "same", "null"})


class Origin(NamedTuple):
    """A scheme, host and port that compare as browsers compare them; ``port`` is 0 where none is known."""

    scheme: str
    host: str
    port: int


def parse_origin(text: bytes) -> Origin | None:
    """``scheme://host[:port]``, without case and with the default port filled in; None for anything else."""
    parts = _ORIGIN.fullmatch(text.lower())
    if parts is None:
        return None
    scheme, host = parts[1].decode("ascii"), parts[2].decode("ascii")
    port = int(parts[3]) if parts[3] is not None else _DEFAULT_PORTS.get(scheme, 0)
    if port > 65535 or (parts[3] is not None and port == 0):
        return None
    if host.startswith("["):
        try:
            host = f"[{IPv6Address(host[1:-1]).compressed}]"
        except AddressValueError:
            return None
    return Origin(scheme, host, port)


class OriginPolicy:
    """The ``origins`` of a route.

    A list names the origins that pass, each as a whole; nothing is matched by its beginning or end.  ``same`` is the
    origin of the request itself (its scheme and Host), ``any`` every origin but ``null``.  ``null`` (sandboxed frames,
    files opened from a disk) passes only where it is listed.  An empty list means ``same`` for a request with a Cookie
    and ``any`` for one without, which carries nothing that a foreign page could abuse.
    """

    __slots__ = ("_any", "_default", "_listed", "_null", "_same")

    def __init__(self, origins: Iterable[str]) -> None:
        """Raises ValueError for an entry that is no origin and none of the three words."""
        entries = tuple(origins)
        listed = set()
        for entry in entries:
            if entry in _WORDS:
                continue
            origin = parse_origin(entry.encode("utf-8"))
            if origin is None:
                raise ValueError(f"{entry}: expected any, same, null or an origin such as https://example.org:8443")
            listed.add(origin)
        self._listed = frozenset(listed)
        self._default = not entries
        self._any = "any" in entries
        self._same = "same" in entries
        self._null = "null" in entries

    def admits(self, origin: bytes | None, several: bool, scheme: str, authority: bytes, has_cookie: bool) -> bool:
        """True where the request may go on.

        ``origin`` is the value of the Origin field or None, ``several`` says that there was more than one; ``scheme``
        and ``authority`` (the Host field) are those of the request as the client made it.
        """
        if several:
            return False
        if origin is None:
            return True
        if origin.lower() == b"null":
            return self._null
        if self._any or (self._default and not has_cookie):
            return True
        claimed = parse_origin(origin)
        if claimed is None:
            return False
        if claimed in self._listed:
            return True
        if not self._same and not self._default:
            return False
        return claimed == parse_origin(f"{_PAGE_SCHEMES.get(scheme, scheme)}://".encode() + authority)
