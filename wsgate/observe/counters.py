"""Counts of what the gateway did, as plain numbers.

A listener's own object is at hand where connections are made, so that nothing is looked up by name there; what an
ended connection or request adds comes from its record.  All but the ``open`` numbers only grow.  What a connection
that is still open has carried is not in here yet: who reads the counters adds it from the live connections.
"""

from __future__ import annotations

from dataclasses import dataclass

from wsgate.causes import Cause
from wsgate.observe.record import AccessRecord, Kind

_BY_LABEL = {cause.label: cause for cause in Cause}

# Close codes of RFC 6455 section 7.4.1 and its registry count by themselves; peers may invent those from 3000 to
# 4999, so they count together under the first of their thousand, and what nobody may send under 0.
_KNOWN_CODES = range(1000, 1016)


@dataclass(slots=True)
class ListenerCounters:
    """What came through one listener; bytes are those above TLS, ``in`` is from clients, ``out`` to them."""

    accepted: int = 0  # connections
    refused: int = 0  # of them, those closed at once because a limit was reached
    open: int = 0  # connections now
    tls_handshakes: int = 0
    tls_resumed: int = 0  # of them
    tls_failed: int = 0
    tunnels: int = 0  # ended, as everything below
    requests: int = 0  # HTTP
    websockets: int = 0  # that were opened
    bytes_in: int = 0
    bytes_out: int = 0
    frames_in: int = 0
    frames_out: int = 0
    messages_in: int = 0
    messages_out: int = 0


class Counters:
    """All counters of one process."""

    __slots__ = ("causes", "closes", "listeners", "statuses")

    def __init__(self) -> None:
        self.listeners: dict[str, ListenerCounters] = {}
        self.causes: dict[Cause, int] = dict.fromkeys(Cause, 0)
        self.statuses: dict[int, int] = {}  # HTTP statuses that clients got, 101 included
        self.closes: dict[tuple[str, int], int] = {}  # by who closed, and the code as ``close_class`` has it

    def listener(self, name: str) -> ListenerCounters:
        """The counters of a listener, to be kept by who counts; a listener that comes back goes on counting."""
        return self.listeners.setdefault(name, ListenerCounters())

    def ended(self, record: AccessRecord) -> None:
        """Add what one connection or request was; once, when its record is written."""
        counters = self.listener(record.listener)
        if record.kind is Kind.TCP:
            counters.tunnels += 1
        elif record.kind is Kind.WEBSOCKET and record.status == 101:
            counters.websockets += 1
        else:
            counters.requests += 1
        counters.bytes_in += record.bytes_in
        counters.bytes_out += record.bytes_out
        counters.frames_in += record.frames_in
        counters.frames_out += record.frames_out
        counters.messages_in += record.messages_in
        counters.messages_out += record.messages_out
        cause = _BY_LABEL.get(record.cause)
        if cause is not None:
            self.causes[cause] += 1
        if record.status is not None:
            self.statuses[record.status] = self.statuses.get(record.status, 0) + 1
        if record.close_code is not None:
            end = record.closed_by, close_class(record.close_code)
            self.closes[end] = self.closes.get(end, 0) + 1


def close_class(code: int) -> int:
    """A close code as it is counted, so that no peer can make more than a few counters."""
    if code in _KNOWN_CODES:
        return code
    return code // 1000 * 1000 if 3000 <= code <= 4999 else 0
