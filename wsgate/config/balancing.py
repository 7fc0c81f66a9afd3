"""Parsers of how an upstream's servers take turns, and of what is held against them."""

from __future__ import annotations

import re

from wsgate.balance.method import Method, parse_balance
from wsgate.balance.retry import parse_retry
from wsgate.config.model import EjectionRules, Queue, Sticky
from wsgate.config.values import BadValue, choice, duration, duration_or_off, positive, share
from wsgate.config.words import worded


def balance(text: str) -> str:
    """A method and, for ``hash``, its key; the text in its usual form."""
    choice(*Method)(text.partition(" ")[0])
    try:
        return str(parse_balance(text))
    except ValueError as error:
        raise BadValue(str(error)) from None


def next_on(text: str) -> tuple[str, ...]:
    """The words of nginx's ``proxy_next_upstream``, by blank or comma."""
    words = tuple(text.replace(",", " ").split())
    try:
        parse_retry(words)
    except ValueError as error:
        raise BadValue(str(error)) from None
    if not words:
        raise BadValue("expected off or some of error, timeout, invalid_header, http_502, http_503, http_504")
    return words


def ejection(text: str) -> EjectionRules | None:
    """``off``, or ``STRIKES [early=TIME] [base=TIME] [longest=TIME] [share=PERCENTAGE]``."""
    if text == "off":
        return None
    count, *words = text.split() or [""]
    try:
        strikes = positive(count)
    except BadValue:
        raise BadValue("expected off, or a number of early ends in a row such as 5 or 5 early=5s base=30s") from None
    options = {"early": duration, "base": duration, "longest": duration, "share": share}
    return EjectionRules(strikes, **worded("word", words, options))


def queue(text: str) -> Queue:
    """``off``, or ``N [timeout=TIME]``."""
    if text == "off":
        return Queue()
    count, *words = text.split() or [""]
    try:
        most = positive(count)
    except BadValue:
        raise BadValue("expected off, or how many may wait such as 100 or 100 timeout=5s") from None
    return Queue(most, **worded("word", words, {"timeout": duration}))


def sticky(text: str) -> Sticky | None:
    """``off``, or ``cookie NAME [max_age=TIME] [path=PATH] [samesite=lax|strict|none]``."""
    if text == "off":
        return None
    word, *rest = text.split() or [""]
    if word != "cookie" or not rest or not re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", rest[0]):
        raise BadValue("expected off, or cookie and a name such as cookie wsgate or cookie wsgate max_age=1d")
    options = {"max_age": duration_or_off, "path": _cookie_path, "samesite": choice("lax", "strict", "none")}
    return Sticky(rest[0], **worded("word", rest[1:], options))


def _cookie_path(text: str) -> str:
    if not re.fullmatch(r"/[!-:<-~]*", text):
        raise BadValue("expected the path of a cookie such as / or /chat")
    return text


def resolve(text: str) -> float:
    """``off`` (0), ``ttl`` (-1) or every so many seconds."""
    return -1.0 if text == "ttl" else duration_or_off(text)
