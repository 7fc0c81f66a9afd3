"""The same server for the same key, while it can; few keys move when a server comes or goes.

Weighted rendezvous hashing: each server draws a number for the key, and the highest wins.  When one of n servers
leaves, only its keys move, and they spread over the others by weight; when one joins, it takes its share from all.
No ring is kept, so a change costs nothing.  Bounded loads (Mirrokni, Thorup, Zadimoghaddam: "Consistent Hashing with
Bounded Loads"): a server with more than ``BOUND`` times its share of the open connections is passed over.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from math import log

from wsgate.balance.servers import ServerState

# How far above its share of the open connections a server may be for a key to go to it.
BOUND = 1.25

_SPAN = 1 << 64


def _score(state: ServerState, key: bytes) -> float:
    """What the server draws for the key: minus an exponentially distributed number with the weight as its rate."""
    name = state.key.encode("utf-8", "surrogateescape")
    # The length of the name stands first, so that no two pairs of name and key run together.
    digest = blake2b(b"%d:%s%s" % (len(name), name, key), digest_size=8).digest()
    share = (int.from_bytes(digest, "big") + 0.5) / _SPAN  # never 0
    return log(share) / state.weight


def consistent_hash(candidates: Sequence[ServerState], key: bytes) -> ServerState:
    """The candidate (of at least one) to which the key belongs."""
    conns = [state.conns for state in candidates]
    bound = BOUND * (sum(conns) + 1) / sum(state.weight for state in candidates)
    # Some candidate is below its bound, since the bounds add up to more than the connections there are.
    free = [state for state, taken in zip(candidates, conns, strict=True) if taken < bound * state.weight]
    return max(free, key=lambda state: _score(state, key))
