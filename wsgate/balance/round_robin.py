"""Smooth weighted round robin, as nginx has it: weights 5, 1, 1 give a a b a c a a."""

from __future__ import annotations

from collections.abc import Sequence

from wsgate.balance.servers import ServerState


def round_robin(candidates: Sequence[ServerState]) -> ServerState:
    """The next of the candidates (at least one); all of them move on.  The first wins a tie."""
    best = candidates[0]
    total: float = 0
    for state in candidates:
        effective = min(state.effective, state.weight)
        state.current += effective
        total += effective
        if state.effective < state.server.weight:
            state.effective += 1
        if state.current > best.current:
            best = state
    best.current -= total
    return best
