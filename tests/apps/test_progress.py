from __future__ import annotations

from random import Random

import pytest
from twisted.internet.task import Clock

from tests.apps.visitors import say, visit
from wsgate.apps.progress import MAX_JOBS, SLOWEST, Progress


def works() -> tuple[Progress, Clock]:
    clock = Clock()
    return Progress(clock, Random(1)), clock


def test_a_job_tells_every_step_and_its_end() -> None:
    app, clock = works()
    visitor = visit(app)
    assert say(app, visitor, type="start", name="Build", steps=3) == [
        {"type": "started", "job": 1, "name": "Build", "steps": 3}
    ]
    clock.pump([SLOWEST] * 3)
    told = visitor.told()
    assert [message["type"] for message in told] == ["log", "progress"] * 3 + ["finished"]
    assert [(m["step"], m["percent"]) for m in told if m["type"] == "progress"] == [(1, 33), (2, 66), (3, 100)]
    assert all(m["line"].endswith(f"part {n} of 3") for n, m in enumerate(told[::2][:3], 1))
    assert told[-1] == {"type": "finished", "job": 1, "outcome": "done", "seconds": pytest.approx(2.1)}
    assert clock.getDelayedCalls() == []


def test_a_job_has_a_name_and_twenty_steps_where_none_are_given() -> None:
    app, _ = works()
    assert say(app, visit(app), type="start") == [{"type": "started", "job": 1, "name": "job 1", "steps": 20}]


def test_several_jobs_run_beside_each_other_and_one_can_be_cancelled() -> None:
    app, clock = works()
    visitor = visit(app)
    say(app, visitor, type="start", steps=2)
    say(app, visitor, type="start", steps=2)
    clock.advance(SLOWEST)
    assert {message["job"] for message in visitor.told()} == {1, 2}
    assert say(app, visitor, type="cancel", job=1) == [
        {"type": "finished", "job": 1, "outcome": "cancelled", "seconds": 0.7}
    ]
    clock.pump([SLOWEST] * 2)
    assert {message["job"] for message in visitor.told()} == {2}
    assert say(app, visitor, type="start")[0]["job"] == 3


def test_jobs_are_private() -> None:
    app, clock = works()
    owner, other = visit(app), visit(app)
    say(app, owner, type="start", steps=1)
    other.told()
    assert say(app, other, type="cancel", job=1)[0]["type"] == "error"
    clock.advance(SLOWEST)
    assert other.told() == []
    assert owner.types()[-1] == "finished"


def test_the_jobs_of_one_visitor_are_bounded() -> None:
    app, clock = works()
    visitor = visit(app)
    for _ in range(MAX_JOBS):
        assert say(app, visitor, type="start", steps=1)[0]["type"] == "started"
    assert say(app, visitor, type="start")[0]["text"] == "4 jobs run already: wait for one, or cancel it"
    clock.advance(SLOWEST)
    assert say(app, visitor, type="start")[0]["job"] == MAX_JOBS + 1


@pytest.mark.parametrize(
    "message",
    [
        {"type": "start", "steps": 0},
        {"type": "start", "steps": 101},
        {"type": "start", "steps": "3"},
        {"type": "start", "name": ""},
        {"type": "cancel"},
        {"type": "cancel", "job": 1},
        {"type": "cancel", "job": -1},
        {"type": "cancel", "job": True},
    ],
)
def test_bad_input_is_an_error_and_starts_nothing(message: dict[str, object]) -> None:
    app, clock = works()
    assert [answer["type"] for answer in say(app, visit(app), **message)] == ["error"]
    assert clock.getDelayedCalls() == []


def test_jobs_end_with_their_visitor() -> None:
    app, clock = works()
    visitor = visit(app)
    say(app, visitor, type="start")
    say(app, visitor, type="start")
    app.closed(visitor)
    assert clock.getDelayedCalls() == []


def test_a_slow_reader_misses_steps_but_not_the_end() -> None:
    app, clock = works()
    visitor = visit(app)
    say(app, visitor, type="start", steps=4)
    visitor.lagging = True
    clock.pump([SLOWEST] * 4)
    assert [kind for kind in visitor.types() if kind != "log"] == ["progress", "finished"]
