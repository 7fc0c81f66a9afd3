"""Where the body of a message ends (RFC 9112 section 6), decided from its head alone.

Two readings of one head are what request smuggling lives on, so everything ambiguous is refused, also where the RFC
lets a recipient repair it.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import NamedTuple

from wsgate.causes import Cause
from wsgate.wire.fields import TOKEN, HeadError, tokens

Data = bytes | memoryview
"""What codecs are fed; a memoryview need only be valid during the call."""

_TOKEN = re.compile(TOKEN)
# 18 digits stay below 2**63 on every machine behind us.
_LENGTH = re.compile(rb"[0-9]{1,18}")
_BODILESS = frozenset((204, 304))


class Ending(Enum):
    """What marks the end of a body."""

    NONE = "none"  # there is no body
    LENGTH = "length"
    CHUNKED = "chunked"
    CLOSE = "close"  # answers only: the end of the connection


class Framing(NamedTuple):
    """How a body ends; ``length`` is bytes, and 0 unless the ending is LENGTH."""

    ending: Ending
    length: int = 0


NO_BODY = Framing(Ending.NONE)
CHUNKED = Framing(Ending.CHUNKED)
UNTIL_CLOSE = Framing(Ending.CLOSE)


def request_framing(lengths: list[bytes], codings: list[bytes], minor: int) -> Framing:
    """The framing of a request from all its Content-Length and Transfer-Encoding values.

    Raises HeadError: NOT_IMPLEMENTED for transfer codings other than chunked, else BAD_REQUEST.
    """
    return _framing(lengths, codings, minor, Cause.BAD_REQUEST, Cause.NOT_IMPLEMENTED) or NO_BODY


def response_framing(lengths: list[bytes], codings: list[bytes], minor: int, status: int, method: bytes) -> Framing:
    """The framing of an answer to ``method``; raises HeadError (BAD_ANSWER).

    Answers to HEAD and 1xx, 204 and 304 have no body whatever their fields say (RFC 9112 section 6.3).
    """
    framing = _framing(lengths, codings, minor, Cause.BAD_ANSWER, Cause.BAD_ANSWER)
    if status < 200 or status in _BODILESS or method == b"HEAD":
        return NO_BODY
    return framing or UNTIL_CLOSE


def _framing(lengths: list[bytes], codings: list[bytes], minor: int, bad: Cause, unknown: Cause) -> Framing | None:
    """What the two fields say together; None where neither is there."""
    if codings:
        if lengths:
            raise HeadError(bad, "both Content-Length and Transfer-Encoding")
        if minor == 0:
            raise HeadError(bad, "Transfer-Encoding in HTTP/1.0")
        if len(codings) != 1 or codings[0].lower() != b"chunked":
            raise _coding_error(codings, bad, unknown)
        return CHUNKED
    if not lengths:
        return None
    if len(lengths) != 1:
        raise HeadError(bad, "more than one Content-Length")
    if _LENGTH.fullmatch(lengths[0]) is None:
        raise HeadError(bad, "Content-Length is not a number")
    length = int(lengths[0])
    return Framing(Ending.LENGTH, length) if length else NO_BODY


def _coding_error(codings: list[bytes], bad: Cause, unknown: Cause) -> HeadError:
    """Tell codings that we do not speak from lists that make no sense, such as chunked twice or before another."""
    names = tokens(codings)
    if not names or b"chunked" in names[:-1] or not all(map(_TOKEN.fullmatch, names)) or names == [b"chunked"]:
        return HeadError(bad, "Transfer-Encoding makes no sense")
    return HeadError(unknown, "a transfer coding other than chunked")
