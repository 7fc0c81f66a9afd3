"""Servers that accept WebSockets and drop them within seconds are left out for a while.

``max_fails`` sees only attempts that fail; a server that answers 101 and dies on the first message looks well to it.
Each end of a WebSocket that was the server's doing and came early is a strike; ``strikes`` in a row eject the server
for ``base`` seconds, longer each time it is ejected again without a good connection in between.
"""

from __future__ import annotations

from collections.abc import Sequence

from wsgate.balance.servers import ServerState
from wsgate.config.model import EjectionRules


def ended(
    rules: EjectionRules, group: Sequence[ServerState], state: ServerState, now: float, age: float, by_server: bool
) -> bool:
    """A connection of ``state`` has ended after ``age`` seconds; True if the server is ejected for it.

    ``by_server``: lost without a goodbye, or closed with a code that speaks of trouble (``is_trouble``).  ``group``
    are the servers among which the share is counted.
    """
    if now - age < state.ejected_until:
        return False  # it was opened before the ejection, which is about its like
    if not (by_server and age < rules.early):
        if age >= rules.early:
            state.strikes = state.ejections = 0
        return False
    state.strikes += 1
    if state.strikes < rules.strikes:
        return False
    out = sum(other.ejected_until > now for other in group)
    if out + 1 > rules.share * len(group):
        return False
    state.strikes = 0
    state.ejections += 1
    state.ejected_until = state.warm_from = now + min(rules.longest, rules.base * state.ejections)
    return True


def is_trouble(code: int | None) -> bool:
    """Whether a server's Close, or its absence (None), speaks of trouble (RFC 6455 section 7.4.1, the registry).

    1002, 1003, 1007 and 1008 are answers to what the client sent; 1001, 1012 and 1013 come with a good reason.
    """
    return code is None or code in {1006, 1011, 1014, 1015}
