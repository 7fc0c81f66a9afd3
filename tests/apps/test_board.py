from __future__ import annotations

import pytest

from tests.apps.visitors import say, visit
from wsgate.apps.board import COLOURS, SIZE, Board


def test_a_newcomer_sees_the_board_as_it_is() -> None:
    app = Board()
    first = visit(app)
    say(app, first, type="paint", x=3, y=1, colour=5)
    second = visit(app)
    hello, board, players = second.told()
    assert hello["commands"] == ["paint", "clear"]
    cells = [0] * SIZE * SIZE
    cells[1 * SIZE + 3] = 5
    assert board == {"type": "board", "size": 8, "colours": 8, "cells": cells, "yours": 2, "players": 2}
    assert players == {"type": "players", "players": 2}


def test_every_move_reaches_every_player() -> None:
    app = Board()
    first, second = visit(app), visit(app)
    second.told()
    painted = [{"type": "painted", "x": 0, "y": 7, "colour": 8}]
    assert say(app, first, type="paint", x=0, y=7, colour=8) == painted
    assert second.told() == painted
    assert say(app, first, type="clear") == [{"type": "cleared"}]
    assert second.told() == [{"type": "cleared"}]
    assert sum(visit(app).told()[1]["cells"]) == 0


def test_those_who_stay_are_told_how_many_they_are() -> None:
    app = Board()
    first, second = visit(app), visit(app)
    first.told()
    app.closed(second)
    assert first.told() == [{"type": "players", "players": 1}]


def test_colours_are_given_out_in_turn() -> None:
    app = Board()
    yours = [visit(app).told()[1]["yours"] for _ in range(COLOURS + 1)]
    assert yours == [*range(1, COLOURS + 1), 1]


@pytest.mark.parametrize(
    "move",
    [
        {},
        {"x": 8, "y": 0, "colour": 1},
        {"x": 0, "y": -1, "colour": 1},
        {"x": 0, "y": 0, "colour": 9},
        {"x": 0, "y": 0},
        {"x": "0", "y": 0, "colour": 1},
        {"x": 1.5, "y": 0, "colour": 1},
        {"x": True, "y": 0, "colour": 1},
    ],
)
def test_an_impossible_move_is_an_error_for_its_player_alone(move: dict[str, object]) -> None:
    app = Board()
    first, second = visit(app), visit(app)
    second.told()
    assert [answer["type"] for answer in say(app, first, type="paint", **move)] == ["error"]
    assert second.told() == []
    assert sum(visit(app).told()[1]["cells"]) == 0
