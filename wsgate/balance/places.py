"""Who counts the open connections of each server."""

from __future__ import annotations

from typing import Protocol


class Places(Protocol):
    """Open connections by key; several workers may share one board of them."""

    def take(self, key: str, limit: int) -> bool:
        """Count one more and say True, or say False if there are ``limit`` already; 0 is no limit."""

    def give_back(self, key: str) -> None:
        """Count one less."""

    def count(self, key: str) -> int:
        """How many are taken now."""


class Notes(Places, Protocol):
    """Places beside which each worker can leave a number for the others."""

    def note(self, key: str, number: int) -> None:
        """Leave a number above 0 under a key that is none of places; 0 takes it away."""

    def least(self, key: str) -> int:
        """The least number that any worker has noted; 0 where there is none."""


class LocalPlaces:
    """The places of one process."""

    __slots__ = ("_counts", "_notes")

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._notes: dict[str, int] = {}

    def take(self, key: str, limit: int) -> bool:
        count = self._counts.get(key, 0)
        if limit and count >= limit:
            return False
        self._counts[key] = count + 1
        return True

    def give_back(self, key: str) -> None:
        """Count one less; raises AssertionError if none is taken."""
        count = self._counts.get(key, 0) - 1
        if count > 0:
            self._counts[key] = count
        elif count == 0:
            del self._counts[key]  # the keys of servers that are gone must not pile up
        else:
            raise AssertionError(f"a place of {key} was given back twice")

    def count(self, key: str) -> int:
        return self._counts.get(key, 0)

    def note(self, key: str, number: int) -> None:
        if number:
            self._notes[key] = number
        else:
            self._notes.pop(key, None)

    def least(self, key: str) -> int:
        return self._notes.get(key, 0)
