"""Those who wait for a place when every server of an upstream has its ``max_conns``: first come, first served."""

from __future__ import annotations

from collections import deque
from typing import Protocol


class InLine(Protocol):
    """Somebody who waits."""

    @property
    def since(self) -> float:
        """When the waiting began, in monotonic seconds."""

    def turn(self) -> None:
        """It is the turn; who finds the place taken by another may come back to the front."""


class Line:
    """Whoever is called has left the line then."""

    __slots__ = ("_waiting",)

    def __init__(self) -> None:
        self._waiting: deque[InLine] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def first(self) -> InLine | None:
        return self._waiting[0] if self._waiting else None

    def join(self, one: InLine) -> None:
        """Wait behind all others."""
        self._waiting.append(one)

    def come_back(self, one: InLine) -> None:
        """Wait before all others."""
        self._waiting.appendleft(one)

    def leave(self, one: InLine) -> None:
        """Wait no longer; nothing happens to one that was called."""
        if one in self._waiting:
            self._waiting.remove(one)

    def call(self) -> bool:
        """It is the turn of the first; whether a place was found, so that the next may be called."""
        if not self._waiting:
            return False
        length = len(self._waiting)
        self._waiting.popleft().turn()
        return len(self._waiting) < length


def lets_pass(own: float, oldest: float, now: float, patience: float, slack: float) -> bool:
    """Whether the first of this line, who waits since ``own``, lets somebody of another worker's line pass.

    ``oldest`` is since when the first of all lines waits.  A little later (``slack`` seconds) is as good as at the same
    time, since a place is best given on where it became free.  Who waits longer than ``patience`` is forgotten: a
    worker that is stuck must not keep the others from serving.
    """
    return own - oldest > slack and now - oldest <= patience
