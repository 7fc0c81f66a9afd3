"""Those who wait for a place when every server of an upstream has its ``max_conns``: first come, first served."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

Turn = Callable[[], None]


class Line:
    """Each who waits gives a function that is called when it is its turn, and has left the line then.

    If the place was taken by another (a worker that knows of no line here), it may come back to the front.
    """

    __slots__ = ("_waiting",)

    def __init__(self) -> None:
        self._waiting: deque[Turn] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    def join(self, turn: Turn, most: int) -> bool:
        """Wait behind all others; False where ``most`` wait already."""
        if len(self._waiting) >= most:
            return False
        self._waiting.append(turn)
        return True

    def come_back(self, turn: Turn) -> None:
        """Wait before all others, whatever the length."""
        self._waiting.appendleft(turn)

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
