"""Which server has to give connections away, so that one that came back or is new gets its share.

New connections alone would fill it, which takes days where connections live for days.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from wsgate.balance.servers import ServerState


def serving(states: Sequence[ServerState], now: float) -> list[ServerState]:
    """The servers between which connections are shared: primaries in good order of which nothing bad is known."""
    return [
        state
        for state in states
        if not state.server.backup
        and not state.is_draining
        and not state.fails
        and now >= state.ejected_until
        and state.would_serve(now)
    ]


def share(state: ServerState, among: Sequence[ServerState]) -> float:
    """The connections that ``state`` would have if all were shared by weight; less while it warms up."""
    return sum(one.conns for one in among) * state.weight / sum(one.weight for one in among)


def has_enough(state: ServerState, among: Sequence[ServerState]) -> bool:
    """Whether one connection more would be above its share, or above its ``max_conns``."""
    return not state.has_place() or state.conns + 1 > share(state, among)


def giver(among: Sequence[ServerState], lacking: Collection[ServerState]) -> ServerState | None:
    """The server furthest above its share by at least one connection, if any of ``lacking`` needs it."""
    if not any(state in among and not has_enough(state, among) for state in lacking):
        return None
    above = [(state.conns - share(state, among), state) for state in among if state not in lacking]
    most, state = max(above, key=lambda pair: pair[0], default=(0.0, None))
    return state if most >= 1 else None
