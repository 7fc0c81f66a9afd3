"""What every server of the doubles has in common: it is stopped at the end of its ``with``."""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self


class Stopping(ABC):
    """Something that runs until ``stop``."""

    @abstractmethod
    def stop(self) -> None:
        """End it, and raise what went wrong meanwhile."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
