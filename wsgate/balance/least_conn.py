"""Fewest open connections for its weight, as nginx has it."""

from __future__ import annotations

from collections.abc import Sequence

from wsgate.balance.round_robin import round_robin
from wsgate.balance.servers import ServerState


def least_conn(candidates: Sequence[ServerState]) -> ServerState:
    """The candidate (of at least one) with the least connections/weight; several take turns by round robin.

    Compared as ``conns_a * weight_b < conns_b * weight_a``, in whole numbers, so that ties are ties.
    """
    tied = [candidates[0]]
    conns, weight = candidates[0].conns, candidates[0].weight
    for state in candidates[1:]:
        ours, theirs = state.conns * weight, conns * state.weight
        if ours < theirs:
            tied = [state]
            conns, weight = state.conns, state.weight
        elif ours == theirs:
            tied.append(state)
    return tied[0] if len(tied) == 1 else round_robin(tied)
