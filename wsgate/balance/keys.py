"""What ``hash`` looks at: the part of a request or connection that decides which server it belongs to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from wsgate.balance.method import Balance, KeyKind

Fields = Sequence[tuple[bytes, bytes]]


@dataclass(slots=True)
class Facts:
    """What is known of whom a server is wanted for.

    ``client`` is an address without its port, ``host`` what was asked for (in Layer 4: the name in the TLS hello),
    ``path`` decoded, ``query`` and ``fields`` as they came.  In Layer 4 the last three are empty.
    """

    client: str
    host: str = ""
    path: str = ""
    query: bytes = b""
    fields: Fields = ()


def balance_key(balance: Balance, facts: Facts) -> bytes | None:
    """The key of ``hash``; None for other methods, and where the request has no such header, cookie or argument."""
    if balance.key is None:
        return None
    match balance.key:
        case KeyKind.CLIENT:
            return facts.client.encode("utf-8", "surrogateescape")
        case KeyKind.HOST:
            return facts.host.encode("utf-8", "surrogateescape")
        case KeyKind.PATH:
            return facts.path.encode("utf-8", "surrogateescape")
        case KeyKind.HEADER:
            return _header(facts.fields, balance.name.lower().encode("ascii", "replace"))
        case KeyKind.COOKIE:
            return next(cookies(facts.fields, balance.name.encode("ascii", "replace")), None)
        case KeyKind.ARGUMENT:
            return _argument(facts.query, balance.name.encode("ascii", "replace"))
    return None


def _header(fields: Fields, name: bytes) -> bytes | None:
    """All values of a field, as one list (RFC 9110 section 5.3)."""
    values = [value for key, value in fields if key.lower() == name]
    return b", ".join(values) if values else None


def cookies(fields: Fields, name: bytes) -> Iterator[bytes]:
    """The values of the cookies called ``name`` (RFC 6265 section 4.2.1), without quotes around them."""
    for key, value in fields:
        if key.lower() == b"cookie":
            for pair in value.split(b";"):
                found, equals, content = pair.strip(b" \t").partition(b"=")
                if equals and found == name:
                    yield content.removeprefix(b'"').removesuffix(b'"')


def _argument(query: bytes, name: bytes) -> bytes | None:
    """The first argument of the query called ``name``, as it was sent; nginx's ``$arg_name``."""
    for pair in query.removeprefix(b"?").split(b"&"):
        found, equals, value = pair.partition(b"=")
        if equals and found == name:
            return value
    return None
