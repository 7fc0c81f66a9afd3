"""``board``: one board of 8 by 8 fields that everybody paints together.

Messages in; ``x`` counts from the left and ``y`` from the top, from 0; colour 0 is an empty field::

    {"type": "paint", "x": 3, "y": 4, "colour": 5}
    {"type": "clear"}

and out, first the whole board (``cells`` row by row, ``yours`` a colour to begin with), then every change::

    {"type": "board", "size": 8, "colours": 8, "cells": [0, ...], "yours": 5, "players": 2}
    {"type": "painted", "x": 3, "y": 4, "colour": 5}
    {"type": "cleared"}
    {"type": "players", "players": 3}
"""

from __future__ import annotations

from wsgate.apps.messages import JsonApplication, Message, encode, integer
from wsgate.apps.visitor import Visitor

SIZE = 8
COLOURS = 8


class Board(JsonApplication):
    """The fields are kept while the application runs, players or not."""

    def __init__(self) -> None:
        super().__init__("board", {"paint": self._paint, "clear": self._clear})
        self._cells = bytearray(SIZE * SIZE)
        self._players: dict[Visitor, None] = {}
        self._seats = 0

    def opened(self, visitor: Visitor) -> None:
        """Greet, show the board, and tell the others; colours are given out in turn."""
        super().opened(visitor)
        yours = self._seats % COLOURS + 1
        self._seats += 1
        self._players[visitor] = None
        players = len(self._players)
        cells = list(self._cells)
        visitor.send(encode("board", size=SIZE, colours=COLOURS, cells=cells, yours=yours, players=players))
        self._tell(encode("players", players=players))

    def closed(self, visitor: Visitor) -> None:
        """Tell those who stay."""
        del self._players[visitor]
        self._tell(encode("players", players=len(self._players)))

    def _paint(self, visitor: Visitor, message: Message) -> None:
        x, y = integer(message, "x", 0, SIZE - 1), integer(message, "y", 0, SIZE - 1)
        colour = integer(message, "colour", 0, COLOURS)
        self._cells[y * SIZE + x] = colour
        self._tell(encode("painted", x=x, y=y, colour=colour))

    def _clear(self, visitor: Visitor, message: Message) -> None:
        self._cells = bytearray(SIZE * SIZE)
        self._tell(encode("cleared"))

    def _tell(self, payload: bytes) -> None:
        for player in list(self._players):
            player.send(payload)
