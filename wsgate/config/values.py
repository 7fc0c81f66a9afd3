"""Parsers of single values: numbers, switches, durations, sizes, names, lists.

Each takes the text of a value, without outer blanks, and gives the typed value or raises ``BadValue`` with a sentence
that says what was expected, with an example.  None of them reads a file or knows an option.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from wsgate.config.problems import nearest
from wsgate.errors import WsgateError

T = TypeVar("T")

_DURATION = re.compile(r"([0-9]{1,12})(ms|s|m|h|d)")
_SIZE = re.compile(r"([0-9]{1,15})([kmg]?)", re.IGNORECASE)
_MILLISECONDS = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1}
_BYTES = {"g": 1 << 30, "m": 1 << 20, "k": 1 << 10, "": 1}
# Bounds that no honest value reaches: they keep arithmetic with clocks and buffers away from overflow.
MAX_DURATION = 1000 * 86_400.0  # seconds
MAX_SIZE = 1 << 40  # bytes
MAX_COUNT = 1_000_000_000
MAX_WORKERS = 64
#: Bytes of a reason in a Close frame: 125 without the code (RFC 6455 section 5.5).
MAX_CLOSE_REASON = 123

#: The facts of a client certificate that a route may ask for.
CLIENT_CERTIFICATE_TYPES = ("subject", "dns", "email", "uri", "ip", "sha256")


@dataclass(frozen=True, slots=True)
class ItemFault:
    """What is wrong with one item of a value; ``row`` counts the lines of the value from 0."""

    text: str
    item: str = ""
    row: int = 0


class BadValue(WsgateError):
    """A value that cannot be used: a sentence, or in ``faults`` one for each bad item of a list."""

    def __init__(self, text: str = "", faults: Iterable[ItemFault] = ()) -> None:
        self.faults = tuple(faults) or (ItemFault(text),)
        super().__init__("; ".join(fault.text for fault in self.faults))


def switch(text: str) -> bool:
    """``on`` or ``off``."""
    if text not in ("on", "off"):
        raise BadValue("expected on or off")
    return text == "on"


def duration(text: str) -> float:
    """A time above 0 in seconds: ``500ms``, ``10s``, ``5m``, ``1h``, ``1d``."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise BadValue("expected a duration such as 500ms, 10s, 5m, 1h or 1d (one number and its unit)")
    seconds = int(match[1]) * _MILLISECONDS[match[2]] / 1000
    if not 0 < seconds <= MAX_DURATION:
        raise BadValue(f"expected a duration above 0 and up to {duration_text(MAX_DURATION)}, such as 10s")
    return seconds


def duration_or_off(text: str) -> float:
    """As ``duration``; ``off`` and ``0`` are 0, which means never."""
    if text in ("0", "off"):
        return 0.0
    try:
        return duration(text)
    except BadValue as bad:
        raise BadValue(f"{bad}, or off") from None


def duration_text(seconds: float) -> str:
    """A duration as an INI says it: the largest unit that divides it."""
    milliseconds = round(seconds * 1000)
    unit, size = next((unit, size) for unit, size in _MILLISECONDS.items() if milliseconds % size == 0)
    return f"{milliseconds // size}{unit}" if milliseconds else "off"


def workers(text: str) -> int:
    """How many processes; 0 for ``auto``."""
    if text == "auto":
        return 0
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 4 else 0
    if not 1 <= number <= MAX_WORKERS:
        raise BadValue(f"expected auto or a whole number from 1 to {MAX_WORKERS}")
    return number


def close_reason(text: str) -> str:
    """A reason for a Close frame (RFC 6455 section 5.5.1)."""
    size = len(line(text).encode())
    if size > MAX_CLOSE_REASON:
        raise BadValue(f"expected up to {MAX_CLOSE_REASON} bytes, a Close frame holds no more; these are {size}")
    return text


def size(text: str) -> int:
    """Bytes above 0: ``4096``, ``64k``, ``1m``, ``2g`` (units of 1024)."""
    match = _SIZE.fullmatch(text)
    value = int(match[1]) * _BYTES[match[2].lower()] if match else 0
    if match is None or not 0 < value <= MAX_SIZE:
        raise BadValue("expected a size above 0 such as 4096, 64k or 1m (k, m, g: units of 1024 bytes)")
    return value


def size_or_off(text: str) -> int:
    """As ``size``; ``off`` and ``0`` are 0, which means no limit."""
    if text in ("0", "off"):
        return 0
    try:
        return size(text)
    except BadValue as bad:
        raise BadValue(f"{bad}, or off") from None


def size_or_auto(text: str) -> int | None:
    """As ``size_or_off``; ``auto`` is None: what is found where the gateway runs."""
    if text == "auto":
        return None
    try:
        return size_or_off(text)
    except BadValue as bad:
        raise BadValue(f"{bad}, or auto") from None


def size_text(value: int) -> str:
    """A size as an INI says it."""
    unit, factor = next((unit, factor) for unit, factor in _BYTES.items() if value % factor == 0)
    return f"{value // factor}{unit}" if value else "off"


def count(text: str) -> int:
    """A whole number from 0."""
    if not re.fullmatch(r"[0-9]{1,10}", text) or int(text) > MAX_COUNT:
        raise BadValue(f"expected a whole number from 0 to {MAX_COUNT}, such as 100")
    return int(text)


def positive(text: str) -> int:
    """A whole number from 1."""
    if not re.fullmatch(r"[0-9]{1,10}", text) or not 0 < int(text) <= MAX_COUNT:
        raise BadValue(f"expected a whole number from 1 to {MAX_COUNT}, such as 100")
    return int(text)


def rate(text: str) -> float:
    """How many a second: 0 (or ``off``) for no limit, otherwise a number such as ``100`` or ``0.5``."""
    if text == "off":
        return 0.0
    if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,6})?", text):
        raise BadValue("expected a number such as 100 or 0.5, or off")
    return float(text)


def share(text: str) -> float:
    """A share of 0 to 1, written as a percentage: ``10%``."""
    match = re.fullmatch(r"([0-9]{1,3}(?:\.[0-9]{1,4})?)%", text)
    if match is None or float(match[1]) > 100:
        raise BadValue("expected a percentage from 0% to 100%, such as 10%")
    return float(match[1]) / 100


def file_mode(text: str) -> int:
    """Permission bits in octal: ``0660``."""
    if not re.fullmatch(r"0?[0-7]{3}", text):
        raise BadValue("expected permissions in octal such as 0660")
    return int(text, 8)


def choice(*words: str) -> Callable[[str], str]:
    """One of the words."""

    def parse(text: str) -> str:
        if text not in words:
            # Between numbers nothing is near: 1.1 does not mean 1.3.
            near = nearest(text, words) if text.isalpha() else ""
            raise BadValue(f"expected {_or(words)}; did you mean {near}?" if near else f"expected {_or(words)}")
        return text

    return parse


def line(text: str) -> str:
    """Any text."""
    return text


def file_path(text: str) -> Path:
    """A file or directory; a relative one is below the INI's directory (the caller's work)."""
    if not text:
        raise BadValue("expected a path such as /etc/wsgate/key.pem or keys/site.pem")
    if text.startswith("~"):
        raise BadValue("expected a path such as /etc/wsgate/key.pem or keys/site.pem; ~ is not expanded")
    return Path(text)


def file_name(text: str) -> str:
    """The name of a file, without directories; dot files are never sent."""
    if not text or "/" in text or text.startswith("."):
        raise BadValue("expected the name of a file such as index.html, without a directory or a leading dot")
    return text


def path_or(*words: str, example: str) -> Callable[[str], str | Path]:
    """One of the words, or a path."""

    def parse(text: str) -> str | Path:
        if not text:
            raise BadValue(f"expected {_or((*words, f'a path such as {example}'))}")
        return text if text in words else file_path(text)

    return parse


def python_name(text: str) -> str:
    """Where a Python object is: ``package.module:name``."""
    if not re.fullmatch(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*", text):
        raise BadValue("expected a Python object such as package.module:name")
    return text


def method(text: str) -> str:
    """An HTTP method (RFC 9110 section 9: case-sensitive; only those of capitals and hyphens are taken)."""
    if not re.fullmatch(r"[A-Z][A-Z-]{0,31}", text):
        raise BadValue("expected an HTTP method in capitals such as GET or POST")
    return text


def https_url(text: str) -> str:
    """A URL with https."""
    if not re.fullmatch(r"https://[!-~]{1,500}", text):
        raise BadValue("expected a URL such as https://acme.example.org/directory")
    return text


def protocol(text: str) -> str:
    """The name of a protocol as ALPN has it (RFC 7301 section 3.1: 1 to 255 bytes; here printable ASCII)."""
    if not re.fullmatch(r"[!-~]{1,255}", text):
        raise BadValue("expected the name of a protocol such as http/1.1, h2 or mqtt")
    return text


def client_certificate(text: str) -> str:
    """``any``, or a type and a value: ``dns:alice.example.org``; fingerprints in small digits without colons."""
    kind, colon, value = text.partition(":")
    if text == "any":
        return text
    if not colon or not value or kind not in CLIENT_CERTIFICATE_TYPES:
        types = ", ".join(f"{known}:" for known in CLIENT_CERTIFICATE_TYPES)
        raise BadValue(f"expected any, or one of {types} and a value, such as dns:alice.example.org")
    if kind == "sha256":
        value = value.replace(":", "").lower()
        if not re.fullmatch(r"[0-9a-f]{64}", value):
            raise BadValue(
                "expected 64 hexadecimal digits behind sha256:, as openssl x509 -fingerprint -sha256 has them"
            )
    elif kind == "dns":
        value = value.lower()
    return f"{kind}:{value}"


def section_name(text: str) -> str:
    """The name of a section: it also stands in logs and labels of metrics."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", text):
        raise BadValue("expected a name of letters, digits, '_', '.' and '-', up to 64 long, such as web-1")
    return text


def listed(parse: Callable[[str], T], *, empty: str = "") -> Callable[[str], tuple[T, ...]]:
    """Items by comma or line, each for ``parse``; all bad items are told at once.  With ``empty``, a sentence, the
    list must have an item."""

    def parse_list(text: str) -> tuple[T, ...]:
        items: list[T] = []
        faults: list[ItemFault] = []
        for row, row_text in enumerate(text.split("\n")):
            for item in filter(None, (part.strip() for part in row_text.split(","))):
                try:
                    items.append(parse(item))
                except BadValue as bad:
                    faults.append(ItemFault(str(bad), item, row))
        if faults:
            raise BadValue(faults=faults)
        if not items and empty:
            raise BadValue(empty)
        return tuple(items)

    return parse_list


def _or(words: Iterable[str]) -> str:
    *first, last = words
    return f"{', '.join(first)} or {last}" if first else last
