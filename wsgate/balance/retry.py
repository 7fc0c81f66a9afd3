"""When a failed attempt may go on to the next server of the order, and when it counts against the server it failed on.

The rules are those of nginx's ``proxy_next_upstream`` (ngx_http_upstream_next), with a budget added.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from wsgate.causes import Cause


class Trouble(StrEnum):
    """What went wrong on a server; the values are nginx's words."""

    ERROR = "error"  # refused, reset, closed too early
    TIMEOUT = "timeout"
    INVALID_HEADER = "invalid_header"  # an answer that is none
    HTTP_403 = "http_403"
    HTTP_404 = "http_404"
    HTTP_429 = "http_429"
    HTTP_500 = "http_500"
    HTTP_502 = "http_502"
    HTTP_503 = "http_503"
    HTTP_504 = "http_504"


_ALWAYS_FAILURES = frozenset({Trouble.ERROR, Trouble.TIMEOUT, Trouble.INVALID_HEADER})
_NEVER_FAILURES = frozenset({Trouble.HTTP_403, Trouble.HTTP_404})
# Methods that may reach two servers (RFC 9110 section 9.2.2; RFC 4918 for the last); nginx repeats all but POST, LOCK
# and PATCH, and so methods of which nobody knows what they do. A WebSocket handshake is a GET, Layer 4 has no method.
_IDEMPOTENT = frozenset({b"", b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"PUT", b"DELETE", b"PROPFIND"})
NON_IDEMPOTENT = "non_idempotent"

_OF_CAUSE = {
    Cause.CONNECT_FAILED: Trouble.ERROR,
    Cause.SERVER_LOST: Trouble.ERROR,
    Cause.CONNECT_TIMEOUT: Trouble.TIMEOUT,
    Cause.ANSWER_TIMEOUT: Trouble.TIMEOUT,
    Cause.SERVER_STUCK: Trouble.TIMEOUT,
    Cause.BAD_ANSWER: Trouble.INVALID_HEADER,
}
_OF_STATUS = {int(trouble.removeprefix("http_")): trouble for trouble in Trouble if trouble.startswith("http_")}


def trouble_of(cause: Cause) -> Trouble | None:
    """The trouble that a cause is; None for causes that are no fault of a server."""
    return _OF_CAUSE.get(cause)


def trouble_of_status(status: int) -> Trouble | None:
    """The trouble that a server's answer may be, if the operator lists it; None for all others."""
    return _OF_STATUS.get(status)


@dataclass(frozen=True, slots=True)
class RetryRules:
    """What of an upstream's options is about retries.  0 is no limit for ``tries`` and ``timeout`` (seconds)."""

    on: frozenset[Trouble] = frozenset({Trouble.ERROR, Trouble.TIMEOUT})
    non_idempotent: bool = False
    tries: int = 0
    timeout: float = 0.0

    def is_failure(self, trouble: Trouble) -> bool:
        """Whether the server's ``failed`` is to be told."""
        if trouble in _ALWAYS_FAILURES:
            return True
        return trouble in self.on and trouble not in _NEVER_FAILURES


def parse_retry(words: Iterable[str]) -> tuple[frozenset[Trouble], bool]:
    """The words of ``retry``: troubles, ``non_idempotent``, or ``off`` alone; raises ValueError with a hint."""
    given = list(words)
    if given == ["off"]:
        return frozenset(), False
    on = set()
    for word in given:
        if word == NON_IDEMPOTENT:
            continue
        try:
            on.add(Trouble(word))
        except ValueError:
            known = ", ".join((*Trouble, NON_IDEMPOTENT))
            raise ValueError(f"expected off or some of {known}, not {word!r}") from None
    return frozenset(on), NON_IDEMPOTENT in given


class RetryBudget:
    """How many retries an upstream bears: a share of its first attempts, and a few a second in any case.

    Without it, a group in which every server is failing gets each request as many times as it has servers, just when
    it can bear least.  The budget is never above ``burst``.
    """

    __slots__ = ("_balance", "_burst", "_per_second", "_share", "_since")

    def __init__(self, now: float, share: float = 0.2, per_second: float = 10.0, burst: float = 100.0) -> None:
        self._share = share
        self._per_second = per_second
        self._burst = burst
        self._balance = burst
        self._since = now

    def first_attempt(self) -> None:
        """A request or connection comes to the upstream."""
        self._balance = min(self._burst, self._balance + self._share)

    def take(self, now: float) -> bool:
        """Use one retry, if there is one."""
        self._balance = min(self._burst, self._balance + self._per_second * max(0.0, now - self._since))
        self._since = now
        if self._balance < 1.0:
            return False
        self._balance -= 1.0
        return True


class Attempts:
    """The attempts for one request or connection, the first of which is made at ``now``."""

    __slots__ = ("_budget", "_extra", "_rules", "_started", "tries")

    def __init__(self, rules: RetryRules, budget: RetryBudget, now: float) -> None:
        self._rules = rules
        self._budget = budget
        self._started = now
        self._extra = 0
        self.tries = 1
        budget.first_attempt()

    def goes_on(
        self,
        trouble: Trouble,
        now: float,
        *,
        method: bytes = b"",
        request_sent: bool = False,
        answer_sent: bool = False,
        reused: bool = False,
        is_body_gone: bool = False,
    ) -> bool:
        """Whether another server is tried; if so, that attempt is counted.

        ``request_sent``: the server was sent some of the request.  ``answer_sent``: the client was sent some of an
        answer.  ``reused``: it was an idle connection, which a server may close at any time: one more try is free.
        ``is_body_gone``: some of the request's body was passed on and not kept.  ``method`` is empty for Layer 4.
        """
        if reused and trouble is Trouble.ERROR and not self._extra:
            self._extra = 1
        rules = self._rules
        if (
            answer_sent
            or is_body_gone
            or trouble not in rules.on
            or (request_sent and method not in _IDEMPOTENT and not rules.non_idempotent)
            or (rules.tries and self.tries >= rules.tries + self._extra)
            or (rules.timeout and now - self._started >= rules.timeout)
            or not self._budget.take(now)
        ):
            return False
        self.tries += 1
        return True
