"""Header fields: which ones cross a proxy, and how a head is written.

A field is a pair of name and value in its original spelling and order; names are compared without regard to case.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from wsgate.causes import Cause
from wsgate.errors import WsgateError

Fields = list[tuple[bytes, bytes]]

TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
"""RFC 9110 section 5.6.2, for use inside regular expressions."""

HOP_BY_HOP = frozenset(
    (
        b"connection",
        b"keep-alive",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
        b"http2-settings",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-authentication-info",
    )
)
"""Lower-case names that mean one connection only (RFC 9110 section 7.6.1, RFC 7540 section 3.2.1)."""

# The names of a WebSocket handshake: the relay writes its own on each leg.  An answer that does not upgrade keeps
# Sec-WebSocket-Version, by which a server names the versions it speaks (RFC 6455 section 4.4).
_HANDSHAKE_PREFIX = b"sec-websocket-"
_SUPPORTED_VERSIONS = b"sec-websocket-version"

# ``Proxy`` becomes HTTP_PROXY in CGI-like servers, which then ask the client's proxy for everything.
_NEVER_ASKED = HOP_BY_HOP | {b"proxy"}

# A Connection that names these would make a proxy strip what the next server bases its decisions on.
_NOT_NOMINABLE = frozenset(
    (
        b"host",
        b"authorization",
        b"cookie",
        b"set-cookie",
        b"origin",
        b"forwarded",
        b"x-real-ip",
        b"content-length",
        b"content-type",
        b"content-encoding",
        b"cache-control",
        b"www-authenticate",
        b"strict-transport-security",
        b"content-security-policy",
    )
)
_NOT_NOMINABLE_PREFIX = b"x-forwarded-"


class HeadError(WsgateError):
    """A message is not acceptable as HTTP or as a WebSocket handshake; ``cause`` says what to answer."""

    def __init__(self, cause: Cause, text: str) -> None:
        super().__init__(text)
        self.cause = cause


def tokens(values: Iterable[bytes]) -> list[bytes]:
    """The members of a comma-separated list that may span several fields, in lower case, empty ones left out."""
    return [item for value in values for item in (_members(value) if len(value) <= _SHORT else _split(value))]


def _split(value: bytes) -> tuple[bytes, ...]:
    return tuple([item for part in value.split(b",") if (item := part.strip(b" \t").lower())])


# Connection and Upgrade say the same few things in nearly all heads; what is longer is not kept.
_SHORT = 40
_members = lru_cache(maxsize=128)(_split)


def end_to_end(fields: Fields, request: bool = True) -> Fields:
    """What of ``fields`` may go on to the next hop, in order.

    Dropped are the hop-by-hop fields, those that Connection nominates (but never the ones a server decides by: such
    a nomination is ignored), and the fields of a WebSocket handshake.  A request also loses every name with characters
    outside letters, digits and "-": servers behind CGI-like interfaces read ``X_Forwarded_For`` as ``X-Forwarded-For``.
    """
    dropped, spared = (_NEVER_ASKED, b"") if request else (HOP_BY_HOP, _SUPPORTED_VERSIONS)
    nominating = [value for name, value in fields if len(name) == 10 and name.lower() == b"connection"]
    if nominating:
        dropped = dropped.union(filter(_nominable, tokens(nominating)))
    kept = [
        field
        for field in fields
        if (name := field[0].lower()) not in dropped and (name[:14] != _HANDSHAKE_PREFIX or name == spared)
    ]
    if not request or b"".join([name for name, _ in kept]).replace(b"-", b"").isalnum():
        return kept
    return [field for field in kept if field[0].replace(b"-", b"").isalnum()]


def _nominable(name: bytes) -> bool:
    """Whether a Connection field may make ``name`` (lower case) end here."""
    return name not in _NOT_NOMINABLE and not name.startswith(_NOT_NOMINABLE_PREFIX)


def encode_request(method: bytes, target: bytes, fields: Fields) -> bytes:
    """A request head in HTTP/1.1; raises HeadError (INTERNAL) if a part would break out of its place."""
    if not method or not target or b" " in method or b" " in target:
        raise HeadError(Cause.INTERNAL, "a request line is not writable")
    return encode_block(b"%b %b HTTP/1.1\r\n" % (method, target), fields)


def encode_response(status: int, reason: bytes, fields: Fields) -> bytes:
    """An answer's head; raises HeadError (INTERNAL) if a part would break out of its place.

    It says HTTP/1.1 to clients of HTTP/1.0 too (RFC 9110 section 2.5: the version is the sender's own).
    """
    return encode_block(b"HTTP/1.1 %d %b\r\n" % (status, reason), fields)


def encode_block(line: bytes, fields: Fields) -> bytes:
    """``line`` (with its CRLF), fields and an empty line; raises HeadError (INTERNAL) if a part holds CR, LF or NUL.

    Counting the line ends of the whole is one pass for all values.
    """
    block = line + b"".join([b"%b: %b\r\n" % pair for pair in fields]) + b"\r\n"
    lines = len(fields) + 2
    if block.count(b"\n") != lines or block.count(b"\r") != lines or b"\0" in block:
        raise HeadError(Cause.INTERNAL, "a line end or NUL inside a head")
    return block
