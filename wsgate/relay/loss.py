"""When a server counts as lost although its WebSocket could be gone on with elsewhere."""

from __future__ import annotations

from select import POLLRDHUP, poll

from wsgate.transport.interfaces import Leg

_LEAVING = frozenset({1001, 1011, 1012, 1013, 1014})


def is_leaving(code: int) -> bool:
    """Whether a server that closes with ``code`` says that it goes, and not that the client should."""
    return code in _LEAVING


def has_left(leg: Leg) -> bool:
    """Whether the peer of ``leg`` has closed or is lost, as the kernel knows it: the leg may not have heard yet."""
    descriptor: int = getattr(leg, "fileno", lambda: -1)()
    if descriptor < 0:
        return True
    asked = poll()
    asked.register(descriptor, POLLRDHUP)  # errors and hang-ups are told without being asked for
    return bool(asked.poll(0))
