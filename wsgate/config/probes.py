"""The ``probe`` option of an upstream, parsed."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from wsgate.config.model import Probe, ProbeKind
from wsgate.config.values import BadValue, duration, method, positive, share
from wsgate.config.words import worded

_EXPECTED = "expected off, tcp, http /PATH or websocket /PATH, such as websocket /chat interval=5s"


def probe(text: str) -> Probe | None:
    """``off``, or a kind, for two of them a path, and words.  Raises ``BadValue``."""
    if text == "off":
        return None
    kind, *words = text.split() or [""]
    if kind not in set(ProbeKind):
        raise BadValue(_EXPECTED)
    path = "/"
    if kind != ProbeKind.TCP:
        if not words or not re.fullmatch(r"/[!-~]*", words[0]) or "#" in words[0]:
            raise BadValue(_EXPECTED)
        path = words.pop(0)
    options = worded("word", words, _COMMON | _OF_KIND[ProbeKind(kind)])
    if "status" in options:
        options["statuses"] = options.pop("status")
    if "expect" in options and "send" not in options:
        raise BadValue("expect is the answer to send: give both")
    return Probe(ProbeKind(kind), path, **options)


def _statuses(text: str) -> frozenset[int]:
    """``200``, ``200-299`` or several by comma."""
    found: set[int] = set()
    for item in text.split(","):
        match = re.fullmatch(r"([2-5][0-9]{2})(?:-([2-5][0-9]{2}))?", item)
        if match is None or int(match[2] or match[1]) < int(match[1]):
            raise BadValue("expected statuses such as 200, 200-299 or 200-299,401")
        found.update(range(int(match[1]), int(match[2] or match[1]) + 1))
    return frozenset(found)


def _text(text: str) -> str:
    if not text:
        raise BadValue("expected some text")
    return text


def _token(text: str) -> str:
    if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", text):
        raise BadValue("expected a subprotocol such as chat.v2")
    return text


def _host(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_.:\[\]-]+", text):
        raise BadValue("expected a host such as app.example.org")
    return text


_COMMON: dict[str, Callable[[str], Any]] = {
    "interval": duration,
    "jitter": share,
    "timeout": duration,
    "rise": positive,
    "fall": positive,
}
_OF_KIND: dict[ProbeKind, dict[str, Callable[[str], Any]]] = {
    ProbeKind.TCP: {},
    ProbeKind.HTTP: {"host": _host, "method": method, "status": _statuses, "body": _text},
    ProbeKind.WEBSOCKET: {"host": _host, "protocol": _token, "send": _text, "expect": _text, "within": duration},
}
