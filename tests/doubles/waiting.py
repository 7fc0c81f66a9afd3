"""Waiting for a fact.  This is the one place in the tests that lets time pass."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

_PAUSE = 0.01


def until(fact: Callable[[], T], what: str = "", timeout: float = 30.0) -> T:
    """Ask for ``fact`` until its answer is true, and return that answer.

    Raises AssertionError with ``what`` (or the fact's name) after ``timeout`` seconds.
    """
    end = time.monotonic() + timeout
    while True:
        answer = fact()
        if answer:
            return answer
        if time.monotonic() > end:
            name = what or getattr(fact, "__name__", repr(fact))
            raise AssertionError(f"not within {timeout:g} s: {name} (last answer: {answer!r})")
        time.sleep(_PAUSE)  # noqa: TID251 - asking again at once would take the processor from the process under test
