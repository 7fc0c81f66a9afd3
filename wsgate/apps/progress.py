"""``progress``: long jobs that tell how far they are and what they do, each private to its visitor.

Messages in; a job has 1 to 100 steps, 20 where ``steps`` is left out::

    {"type": "start", "name": "Nightly build", "steps": 20}
    {"type": "cancel", "job": 1}

and out, where ``job`` numbers the visitor's jobs from 1 and ``seconds`` is how long the job took::

    {"type": "started", "job": 1, "name": "Nightly build", "steps": 20}
    {"type": "log", "job": 1, "line": "compiled part 3 of 20"}
    {"type": "progress", "job": 1, "step": 3, "percent": 15}
    {"type": "finished", "job": 1, "outcome": "done" | "cancelled", "seconds": 8.1}
"""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

from wsgate.apps.messages import BadMessage, JsonApplication, Message, encode, integer, text
from wsgate.apps.visitor import Clock, Timer, Visitor

MAX_STEPS = 100
MAX_JOBS = 4  # running at a time, for each visitor
FASTEST, SLOWEST = 0.1, 0.7  # seconds a step
WORK = ("fetched", "unpacked", "checked", "compiled", "linked", "tested", "measured", "packed")


@dataclass(slots=True)
class Job:
    """A job that runs; ``step`` of ``steps`` are done."""

    number: int
    steps: int
    began: float
    timer: Timer
    step: int = 0


@dataclass(slots=True)
class Desk:
    """What one visitor has started."""

    started: int = 0
    running: dict[int, Job] = field(default_factory=dict)


class Progress(JsonApplication):
    """Jobs take time and do nothing; they end with the visitor's WebSocket."""

    def __init__(self, clock: Clock, rng: Random) -> None:
        super().__init__("progress", {"start": self._start, "cancel": self._cancel})
        self._clock = clock
        self._rng = rng
        self._desks: dict[Visitor, Desk] = {}

    def opened(self, visitor: Visitor) -> None:
        """Greet, and give the visitor a desk."""
        super().opened(visitor)
        self._desks[visitor] = Desk()

    def closed(self, visitor: Visitor) -> None:
        """Stop the visitor's jobs."""
        for job in self._desks.pop(visitor).running.values():
            job.timer.cancel()

    def _start(self, visitor: Visitor, message: Message) -> None:
        desk = self._desks[visitor]
        steps = integer(message, "steps", 1, MAX_STEPS, default=20)
        name = text(message, "name", 40, default=f"job {desk.started + 1}")
        if len(desk.running) >= MAX_JOBS:
            raise BadMessage(f"{MAX_JOBS} jobs run already: wait for one, or cancel it")
        desk.started += 1
        number = desk.started
        timer = self._clock.callLater(self._pace(), self._advance, visitor, number)
        desk.running[number] = Job(number, steps, self._clock.seconds(), timer)
        visitor.send(encode("started", job=number, name=name, steps=steps))

    def _cancel(self, visitor: Visitor, message: Message) -> None:
        job = self._desks[visitor].running.get(integer(message, "job", 1, 2**31))
        if job is None:
            raise BadMessage("job must be the number of a job that runs")
        job.timer.cancel()
        self._finish(visitor, job, "cancelled")

    def _advance(self, visitor: Visitor, number: int) -> None:
        job = self._desks[visitor].running[number]
        job.step += 1
        visitor.send(encode("log", job=number, line=f"{self._rng.choice(WORK)} part {job.step} of {job.steps}"))
        last = job.step == job.steps
        if last or not visitor.lagging:
            visitor.send(encode("progress", job=number, step=job.step, percent=100 * job.step // job.steps))
        if last:
            self._finish(visitor, job, "done")
        else:
            job.timer = self._clock.callLater(self._pace(), self._advance, visitor, number)

    def _finish(self, visitor: Visitor, job: Job, outcome: str) -> None:
        del self._desks[visitor].running[job.number]
        seconds = round(self._clock.seconds() - job.began, 1)
        visitor.send(encode("finished", job=job.number, outcome=outcome, seconds=seconds))

    def _pace(self) -> float:
        return self._rng.uniform(FASTEST, SLOWEST)
