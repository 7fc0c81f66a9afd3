"""Heads that come again: a head is read once, and found by its bytes from then on.

Kept connections, probes and fleets of equal clients say the same head over and over, and servers the same answer to it
for a second.  What has been worked out from a head stays with it.  Only small heads are kept whose fields are all of
kinds that carry no secret, and of requests only those without a query.

The handshakes of many WebSockets differ in the key and in what answers it alone: these are found by the rest.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Generic, Protocol, Self, TypeVar

from wsgate.wire.fields import Fields

LONGEST = 1024
"""Bytes of a head that is kept."""

MOST = 512
"""Heads that are kept; when there are more, all are forgotten and it begins anew."""

_OF_BOTH = frozenset(
    (
        *(b"accept-ranges", b"cache-control", b"connection", b"content-encoding", b"content-language"),
        *(b"content-length", b"content-type", b"date", b"etag", b"expires", b"keep-alive", b"last-modified"),
        *(b"pragma", b"transfer-encoding", b"vary"),
    )
)

PUBLIC_ASKED = _OF_BOTH | {
    *(b"accept", b"accept-charset", b"accept-encoding", b"accept-language", b"dnt", b"host", b"if-modified-since"),
    *(b"if-none-match", b"if-range", b"if-unmodified-since", b"origin", b"priority", b"range", b"save-data", b"te"),
    *(b"sec-ch-ua", b"sec-ch-ua-mobile", b"sec-ch-ua-platform", b"sec-fetch-dest", b"sec-fetch-mode"),
    *(b"sec-fetch-site", b"sec-fetch-user", b"upgrade-insecure-requests", b"user-agent"),
}
"""Fields of requests, in lower case, that say nothing about who asks."""

PUBLIC_ANSWERED = _OF_BOTH | {
    *(b"access-control-allow-credentials", b"access-control-allow-headers", b"access-control-allow-methods"),
    *(b"access-control-allow-origin", b"access-control-expose-headers", b"access-control-max-age", b"age", b"allow"),
    *(b"alt-svc", b"content-disposition", b"content-range", b"content-security-policy", b"referrer-policy"),
    *(b"server", b"strict-transport-security", b"via", b"x-cache", b"x-content-type-options", b"x-frame-options"),
    *(b"x-powered-by", b"x-xss-protection"),
}
"""The same for answers."""


_HANDSHAKE = frozenset((b"upgrade", b"sec-websocket-version", b"sec-websocket-extensions"))


class _Head(Protocol):
    @property
    def fields(self) -> Fields: ...

    def with_value(self, name: bytes, value: bytes) -> Self: ...


_AnyHead = TypeVar("_AnyHead", bound=_Head)


class SeenHeads(Generic[_AnyHead]):
    """Heads by their bytes, the empty line included; ``public`` are the names of fields that may be in them."""

    __slots__ = ("_heads", "_public")

    def __init__(self, public: frozenset[bytes]) -> None:
        self._public = public
        self._heads: dict[bytes, _AnyHead] = {}

    def find(self, raw: bytes, max_fields: int) -> _AnyHead | None:
        """The head of exactly these bytes, if it is kept and within ``max_fields``."""
        head = self._heads.get(raw)
        return head if head is not None and len(head.fields) <= max_fields else None

    def keep(self, raw: bytes, head: _AnyHead, names: Iterable[bytes]) -> bool:
        """Keep ``head`` if it may be, and say so; ``names`` are those of its fields, in lower case."""
        if len(raw) > LONGEST or not self._public.issuperset(names):
            return False
        if len(self._heads) >= MOST:
            self._heads.clear()
        self._heads[raw] = head
        return True


class SeenHandshakes(Generic[_AnyHead]):
    """Heads of handshakes by all their bytes but the value of one field, which is new in each.

    ``name`` is that field as it is mostly spelled, ``value`` the expression of what is taken for one; other heads are
    simply not kept.  Subprotocols may hold credentials, so heads with any are not kept either.
    """

    __slots__ = ("_before", "_heads", "_name", "_value")

    def __init__(self, public: frozenset[bytes], name: bytes, value: bytes) -> None:
        self._name = name.lower()
        self._before = b"\r\n" + name + b": "
        self._value = re.compile(value + rb"(?=\r\n)")
        self._heads: SeenHeads[_AnyHead] = SeenHeads(public | _HANDSHAKE | {self._name})

    def find(self, raw: bytes, max_fields: int) -> _AnyHead | None:
        """The head of these bytes, if one that differs in that value alone is kept and within ``max_fields``."""
        value = self._found(raw)
        if value is None:
            return None
        head = self._heads.find(_without(raw, value), max_fields)
        return head.with_value(self._name, value[0]) if head is not None else None

    def keep(self, raw: bytes, head: _AnyHead, names: Iterable[bytes]) -> None:
        """Keep ``head`` if it may be; ``names`` are those of its fields, in lower case."""
        value = self._found(raw)
        if value is not None and [name.lower() for name, _ in head.fields].count(self._name) == 1:
            self._heads.keep(_without(raw, value), head, names)

    def _found(self, raw: bytes) -> re.Match[bytes] | None:
        at = raw.find(self._before)
        return self._value.match(raw, at + len(self._before)) if at >= 0 else None


def _without(raw: bytes, value: re.Match[bytes]) -> bytes:
    return raw[: value.start()] + raw[value.end() :]
