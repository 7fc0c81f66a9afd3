"""Counts that all workers share: a table of 64-bit integers in anonymous memory that is inherited by a fork.

Every counter has one cell for each worker, written by that worker alone and read by all; the sum is the count.  The
parent gives each worker a row of its own and zeroes the row of one that has died.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from hashlib import blake2b
from mmap import mmap
from threading import Lock

from wsgate.balance.places import LocalPlaces
from wsgate.errors import WsgateError

#: Processes at a time, retired ones included; and counters with a name.
ROWS = 192
SLOTS = 4096

#: Clients are counted in a sketch: in one of WIDTH cells of each of DEPTH tables (Cormode and Muthukrishnan, 2005).
DEPTH = 4
WIDTH = 4096

_CELLS = SLOTS + DEPTH * WIDTH

#: How often a worker tries to get a place that others want at the same time.
TRIES = 3


class BoardError(WsgateError):
    """There is no room for so many."""


class Board:
    """The memory.  ``seed`` keeps clients from choosing addresses that are counted together."""

    def __init__(self, seed: bytes) -> None:
        self._memory = mmap(-1, (1 + _CELLS) * ROWS * 8)
        self.cells = memoryview(self._memory).cast("q")
        self.seed = seed
        self._rows: set[int] = set()

    # By the parent alone

    def take_row(self) -> int:
        """A row that nobody has.  Raises BoardError."""
        row = next((row for row in range(ROWS) if row not in self._rows), None)
        if row is None:
            raise BoardError(f"more than {ROWS} processes at a time")
        self._rows.add(row)
        # The first cell tells how many rows have to be summed; only the parent writes it.
        self.cells[0] = max(self._rows) + 1
        return row

    def give_row_back(self, row: int) -> None:
        """Its worker is gone: what it counted does not count any more."""
        self._rows.discard(row)
        cells = self.cells
        for index in range(ROWS + row, (1 + _CELLS) * ROWS, ROWS):
            if cells[index]:
                cells[index] = 0

    def assign(self, keys: Iterable[str], before: Mapping[str, int]) -> dict[str, int]:
        """Slots for ``keys``; those of ``before`` stay, also for keys that are gone while something is counted there.

        Raises BoardError.
        """
        slots = {key: slot for key, slot in before.items() if self.total(slot)}
        wanted = list(keys)
        slots |= {key: before[key] for key in wanted if key in before}
        taken = set(slots.values())
        free = (slot for slot in range(SLOTS) if slot not in taken and not self.total(slot))
        for key in wanted:
            if key not in slots:
                slot = next(free, None)
                if slot is None:
                    raise BoardError(f"more than {SLOTS} servers and listeners")
                slots[key] = slot
        return slots

    def total(self, cell: int) -> int:
        """What all workers count in a cell."""
        first = (1 + cell) * ROWS
        return sum(self.cells[first : first + self.cells[0]])

    def of_all(self, cell: int) -> list[int]:
        """What each worker counts there."""
        first = (1 + cell) * ROWS
        return self.cells[first : first + self.cells[0]].tolist()


class SharedPlaces:
    """The places of one worker, and its look at those of all; ``slots`` says where each key is counted."""

    __slots__ = ("_board", "_fence", "_local", "_row", "slots")

    def __init__(self, board: Board, row: int, slots: Mapping[str, int]) -> None:
        self._board = board
        self._row = row
        self._fence = Lock()
        self._local = LocalPlaces()  # for keys that the parent does not know
        self.slots = slots

    def change(self, slots: Mapping[str, int]) -> None:
        """Count in other slots from now on; keys of which places are held here keep theirs until those are given back.

        A connection may have taken a place between the parent's choice of slots and this call.
        """
        cells = self._board.cells
        held = {key: slot for key, slot in self.slots.items() if cells[(1 + slot) * ROWS + self._row]}
        self.slots = {**slots, **held}

    def take(self, key: str, limit: int) -> bool:
        """Count one more and say True, or say False if there are ``limit`` already; 0 is no limit.

        Adds first and looks then, so that two workers which take the last place at a time both give it back: the count
        is never above the limit.
        """
        slot = self.slots.get(key)
        if slot is None:
            return self._local.take(key, limit)
        index = (1 + slot) * ROWS + self._row
        cells = self._board.cells
        if not limit:
            cells[index] += 1
            return True
        for _ in range(TRIES):
            cells[index] += 1
            # Taking a lock is a full fence: our cell is seen by the others before we read theirs.
            with self._fence:
                over = self._board.total(slot) > limit
            if not over:
                return True
            cells[index] -= 1
            if self._board.total(slot) >= limit:
                return False
            # Somebody else wanted the last place at the same time, and gave it back too.
        return False

    def give_back(self, key: str) -> None:
        slot = self.slots.get(key)
        if slot is None:
            self._local.give_back(key)
            return
        index = (1 + slot) * ROWS + self._row
        if self._board.cells[index] <= 0:
            raise AssertionError(f"a place of {key} was given back twice")
        self._board.cells[index] -= 1

    def count(self, key: str) -> int:
        slot = self.slots.get(key)
        return self._local.count(key) if slot is None else self._board.total(slot)

    def note(self, key: str, number: int) -> None:
        slot = self.slots.get(key)
        if slot is None:
            self._local.note(key, number)
        else:
            self._board.cells[(1 + slot) * ROWS + self._row] = number

    def least(self, key: str) -> int:
        slot = self.slots.get(key)
        return self._local.least(key) if slot is None else min(filter(None, self._board.of_all(slot)), default=0)


class ClientPlaces:
    """Open connections by client address: any number of them, in fixed memory.

    An address is counted in one cell of each table, with others; the least of its cells is its count.  That is never
    too low, and too high only where all of its cells are shared with others who are connected.
    """

    __slots__ = ("_board", "_fence", "_row")

    def __init__(self, board: Board, row: int) -> None:
        self._board = board
        self._row = row
        self._fence = Lock()

    def _cells(self, key: str) -> Iterator[int]:
        digest = blake2b(key.encode(), digest_size=2 * DEPTH, key=self._board.seed).digest()
        for table in range(DEPTH):
            place = int.from_bytes(digest[2 * table : 2 * table + 2], "big") % WIDTH
            yield SLOTS + table * WIDTH + place

    def take(self, key: str, limit: int) -> bool:
        """As ``SharedPlaces.take``."""
        self._add(key, 1)
        with self._fence:
            over = bool(limit) and self.count(key) > limit
        if over:
            self._add(key, -1)
        return not over

    def give_back(self, key: str) -> None:
        self._add(key, -1)

    def count(self, key: str) -> int:
        return min(self._board.total(cell) for cell in self._cells(key))

    def _add(self, key: str, number: int) -> None:
        for cell in self._cells(key):
            self._board.cells[(1 + cell) * ROWS + self._row] += number
