"""Text from peers as it may stand in a log: printable ASCII, bounded, and never mistaken for another field."""

from __future__ import annotations

import re
from collections.abc import Callable

Quote = Callable[[str], str]

_CUT = "..."

is_bare = re.compile(r"[A-Za-z0-9._:/@%+\[\]-]+").fullmatch
"""Whether text may stand without quotes: it is not empty and holds no blank, quote, comma or equals sign."""


def text_quoted(text: str) -> str:
    r"""Text in double quotes; a quote, a backslash and all that is not printable ASCII as ``\x22`` or ``\u2028``."""
    if text.isascii() and text.isprintable() and '"' not in text and "\\" not in text:
        return f'"{text}"'
    escaped = text.encode("unicode_escape").decode("ascii").replace('"', "\\x22")
    return f'"{escaped}"'


def text_bare(text: str) -> str:
    """Text as it is where that is clear, else quoted."""
    return text if is_bare(text) else text_quoted(text)


def fitting(text: str, limit: int, quote: Quote) -> str:
    """Text as ``quote`` has it, cut with three dots so that it takes at most ``limit`` characters (five or more)."""
    quoted = quote(text)
    room = kept = limit - len(_CUT) - 2
    while len(quoted) > limit:
        quoted = quote(text[:kept] + _CUT)
        kept = kept * room // len(quoted)
    return quoted
