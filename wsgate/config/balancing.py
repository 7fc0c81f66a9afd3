"""Parsers of how an upstream's servers take turns, and of what is held against them."""

from __future__ import annotations

from wsgate.balance.method import Method, parse_balance
from wsgate.balance.retry import parse_retry
from wsgate.config.model import EjectionRules, Queue
from wsgate.config.values import BadValue, choice, duration, positive, share
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
