"""Those who wait for a place when every server of an upstream has its ``max_conns``: first come, first served."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

Turn = Callable[[], None]


class Line:
    """Up to ``most`` waiting; each gives a function that is called when it is its turn.

    Whoever is called leaves the line.  If the place was taken by another (a worker that knows of no line here), it may
    come back in ``front``.
    """

    __slots__ = ("_most", "_waiting")

    def __init__(self, most: int) -> None:
        self._most = most
        self._waiting: deque[Turn] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    def join(self, turn: Turn, *, front: bool = False) -> bool:
        """Wait; False where the line is full.  One that comes back keeps the place it had, whatever the length."""
        if front:
            self._waiting.appendleft(turn)
        elif len(self._waiting) >= self._most:
            return False
        else:
            self._waiting.append(turn)
        return True

    def leave(self, turn: Turn) -> None:
        """Wait no longer; nothing happens to one that was called."""
        if turn in self._waiting:
            self._waiting.remove(turn)

    def call(self) -> bool:
        """It is the turn of the first; False where nobody waits."""
        if not self._waiting:
            return False
        self._waiting.popleft()()
        return True
