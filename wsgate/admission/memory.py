"""Whether there is memory for more, and who has to go where there is not.

A process that nears its limit takes no new work, and one above it ends those who keep most of it, until it is below.
Envoy's overload manager does the same in steps.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import TypeVar

T = TypeVar("T")

#: Parts of the limit at which new requests are refused and connections are closed, and how far below each that ends:
#: without the gap a process at the edge would change its mind with every look.
REFUSE_AT = 0.95
SHED_AT = 1.0
GAP = 0.05

#: Of what a control group may have beyond what processes begin with, the part for those who carry traffic: the rest is
#: for the kernel's socket buffers and the process that supervises.
PART_OF_GROUP = 0.75

#: Bytes below which a connection is never closed for memory: nothing would be won.
LEAST = 4096


class Pressure(Enum):
    """How short memory is; the value is what an operator reads."""

    NONE = "enough"
    REFUSING = "refusing"
    SHEDDING = "closing"


def pressure(used: int, limit: int, before: Pressure) -> Pressure:
    """The state of a process that uses ``used`` of ``limit`` bytes (0: no limit) and was in the state ``before``."""
    if not limit:
        return Pressure.NONE
    part = used / limit
    if part >= SHED_AT or before is Pressure.SHEDDING and part >= SHED_AT - GAP:
        return Pressure.SHEDDING
    if part >= REFUSE_AT or before is not Pressure.NONE and part >= REFUSE_AT - GAP:
        return Pressure.REFUSING
    return Pressure.NONE


def excess(used: int, limit: int) -> int:
    """Bytes that have to be given back so that no connection needs to be closed any more."""
    return max(0, used - int(limit * (SHED_AT - GAP)))


def share(wanted: int | None, group: int, processes: int, common: int = 0) -> int:
    """The limit of each of ``processes`` in bytes: of ``wanted`` for all, or with None of a control group's ``group``.

    ``common`` is what each begins with, and shares with the others by its fork: it counts once, and whole for each.
    0 is no limit, for all.
    """
    total = min(group, common + int(max(0, group - common) * PART_OF_GROUP)) if wanted is None else wanted
    return min(total, common + max(0, total - common) // processes)


def heaviest(kept: Iterable[tuple[int, T]], wanted: int) -> list[T]:
    """Those who keep most, as few as together keep ``wanted`` bytes; ``kept`` has the bytes that each keeps."""
    chosen: list[T] = []
    for size, who in sorted((one for one in kept if one[0] >= LEAST), key=lambda one: one[0], reverse=True):
        if wanted <= 0:
            break
        chosen.append(who)
        wanted -= size
    return chosen
