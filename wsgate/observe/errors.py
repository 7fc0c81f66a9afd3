"""Causes as events of the error log: one sentence each, with escaped facts, and not more often than is of use.

No event has a traceback, except for faults of the gateway itself.  The access log has a record of each connection
anyway; here is what an operator should see without looking for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from wsgate.causes import Cause, Level
from wsgate.observe.log_file import Clock, Delayed
from wsgate.observe.quoting import fitting, text_bare
from wsgate.observe.record import AccessRecord

# Seconds in which a message may be told ``PER_WINDOW`` times; more of them are counted and told of at the end.
WINDOW = 60.0
PER_WINDOW = 10
# Messages that are told apart at one time, so that discovery or a long list of servers cannot fill the memory.
MOST_MESSAGES = 1024

_LONGEST_FACT = 256
_BY_LABEL = {cause.label: cause for cause in Cause}
# Facts that come from the configuration, so that there are few: they tell one message from another.
_DISTINCT = ("listener", "route", "upstream", "server")


class Logger(Protocol):
    """The part of twisted.logger.Logger that is used here."""

    def debug(self, format: str, /, **facts: Any) -> None: ...
    def info(self, format: str, /, **facts: Any) -> None: ...
    def warn(self, format: str, /, **facts: Any) -> None: ...
    def failure(self, format: str, /, failure: Any = None, **facts: Any) -> None: ...


_Message = tuple[str, ...]


class CauseLog:
    """Tells ``logger`` of causes, at the level that the table gives them; those for ``debug`` only if ``verbose``."""

    def __init__(self, logger: Logger, clock: Clock, *, verbose: bool = False) -> None:
        self._clock = clock
        self._logger = logger
        self._tell: dict[Level, Callable[..., None]] = {Level.INFO: logger.info, Level.WARN: logger.warn}
        if verbose:
            self._tell[Level.DEBUG] = logger.debug
        self._told: dict[_Message, int] = {}  # in this window
        self._window_over = float("-inf")
        self._call: Delayed | None = None

    def record(self, record: AccessRecord) -> None:
        """Tell of the end that the record names, with the facts that an operator looks for first."""
        cause = _BY_LABEL.get(record.cause)
        if cause is None or cause.value.level not in self._tell:
            return
        self.log(
            cause,
            listener=record.listener,
            route=record.route,
            upstream=record.upstream,
            server=record.server,
            client=record.client,
            detail=record.detail,
        )

    def log(self, cause: Cause, **facts: object) -> None:
        """Tell of a cause; facts that are empty or None are left out, the others may hold what a peer sent."""
        tell = self._tell.get(cause.value.level)
        if tell is None or not self._is_due((cause.label, *(str(facts.get(name) or "") for name in _DISTINCT))):
            return
        shown = _shown(facts)
        tell("{text}{shown}", text=cause.value.text, shown=shown, cause=cause.label)

    def fault(self, failure: object, doing: str, **facts: object) -> None:
        """Tell of a fault of the gateway itself, with the traceback of a twisted Failure; ``doing`` is our own text."""
        if self._is_due((Cause.INTERNAL.label, *("" for _ in _DISTINCT), doing)):
            shown = _shown(facts)
            self._logger.failure(
                "{doing}{shown}", failure=failure, doing=doing, shown=shown, cause=Cause.INTERNAL.label
            )

    def close(self) -> None:
        """Tell what was held back, and leave no delayed call behind."""
        self._summarise()

    def _is_due(self, message: _Message) -> bool:
        """Count the message and say whether it may still be told in this window."""
        now = self._clock.seconds()
        if now >= self._window_over:
            self._summarise()
            self._window_over = now + WINDOW
        if message not in self._told and len(self._told) >= MOST_MESSAGES:
            message = message[:1]
        count = self._told.get(message, 0) + 1
        self._told[message] = count
        if count > PER_WINDOW and self._call is None:
            self._call = self._clock.callLater(self._window_over - now, self._called)
        return count <= PER_WINDOW

    def _called(self) -> None:
        self._call = None
        self._summarise()

    def _summarise(self) -> None:
        """End the window: tell how often each message was held back."""
        if self._call is not None:
            self._call.cancel()
            self._call = None
        told, self._told = self._told, {}
        self._window_over = float("-inf")
        for message, count in told.items():
            if count > PER_WINDOW:
                cause = _BY_LABEL[message[0]]
                facts = dict(zip(_DISTINCT, message[1:], strict=False))
                tell: Callable[..., None] = self._tell.get(cause.value.level, self._logger.warn)
                tell(
                    "{text}, {more} more times within {window:g} s{shown}",
                    text=cause.value.text,
                    more=count - PER_WINDOW,
                    window=WINDOW,
                    shown=_shown(facts),
                    cause=cause.label,
                )


def _shown(facts: Mapping[str, object]) -> str:
    """The facts as `` name=value`` pairs."""
    known = ((name, str(value)) for name, value in facts.items() if value is not None and value != "")
    pairs = " ".join(f"{name}={fitting(text, _LONGEST_FACT, text_bare)}" for name, text in known)
    return f": {pairs}" if pairs else ""
