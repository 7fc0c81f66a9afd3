"""Two candidates drawn by weight, the less loaded of them chosen.

Two choices keep the fullest server within about log log n of the mean (Mitzenmacher, "The Power of Two Choices"),
and many gateways that do not know of each other do not all run to the same server, as they do with least_conn.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from wsgate.balance.servers import ServerState


def random_two(candidates: Sequence[ServerState], rng: Random) -> ServerState:
    """One of the candidates (at least one); the first drawn wins a tie."""
    if len(candidates) == 1:
        return candidates[0]
    first = _drawn(candidates, rng)
    second = _drawn([state for state in candidates if state is not first], rng)
    if second.conns * first.weight < first.conns * second.weight:
        return second
    return first


def _drawn(candidates: Sequence[ServerState], rng: Random) -> ServerState:
    return rng.choices(candidates, [state.weight for state in candidates])[0]
