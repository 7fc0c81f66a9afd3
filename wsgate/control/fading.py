"""Members that an answer leaves out are not gone at once: the next answer may have them again."""

from __future__ import annotations


class Fading:
    """Since when each of them is missing; true while one is."""

    __slots__ = ("_since",)

    def __init__(self) -> None:
        self._since: dict[str, float] = {}

    def __bool__(self) -> bool:
        return bool(self._since)

    def stay(self, known: tuple[str, ...], found: tuple[str, ...], now: float, hold: float) -> tuple[str, ...]:
        """Those of ``known``, in their order, that ``found`` has or that are missing for less than ``hold`` seconds."""
        missing = {name: self._since.get(name, now) for name in known if name not in found}
        self._since = {name: since for name, since in missing.items() if now - since < hold}
        return tuple(name for name in known if name not in missing or name in self._since)
