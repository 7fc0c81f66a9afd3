"""What a process cannot do any more after it has given up root, in words for who asks it to."""

from __future__ import annotations

import os
from collections.abc import Callable

_REASON = (
    "the gateway has given up root since its start, so that it cannot bind new ports below 1024 nor read files of root"
    " alone: start it anew, or see Reload in docs/operations.rst"
)


class Privileges:
    """Made when the process binds: remembers whether it was root then."""

    __slots__ = ("_geteuid", "_was_root")

    def __init__(self, geteuid: Callable[[], int] = os.geteuid) -> None:
        self._geteuid = geteuid
        self._was_root = geteuid() == 0

    def explain(self, error: str) -> str:
        """``error``, and the reason where it is that we are no longer root."""
        denied = os.strerror(13) in error
        return f"{error}\n{_REASON}" if denied and self._was_root and self._geteuid() != 0 else error
