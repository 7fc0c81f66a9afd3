"""Whatever the course of things: where ``messages`` holds its client, all is heard once and in order, and no Close."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred

from tests.doubles import frames
from tests.relay.holding_rig import HoldingRig
from tests.relay.message_rig import limits
from wsgate.hooks import CLIENT, SERVER, Facts
from wsgate.relay.message_hooks import load_message_hook

HOOK = f"{__name__}:on_message"
_waiting: list[tuple[str, str, Deferred[str]]] = []


_delayed: set[str] = set()


def on_message(facts: Facts, sender: str, opcode: int, payload: Any) -> Deferred[str] | str:
    """Answers when the test does, where it is to delay this side."""
    if sender not in _delayed:
        return str(payload)
    answer: Deferred[str] = Deferred()
    _waiting.append((sender, payload, answer))
    return answer


class Course:
    """A rig, what was said in it, and what every server heard."""

    def __init__(self, delayed: set[str]) -> None:
        _waiting.clear()
        _delayed.clear()
        _delayed.update(delayed)
        load_message_hook.cache_clear()
        self.rig = HoldingRig(buffer=60, bounds=limits(buffer=100), on_message=HOOK if delayed else "")
        self.rig.start()
        self.said: list[str] = []
        self.begun_after: list[str] = []
        self.answered: list[str] = []
        self.heard: list[str | bytes] = []
        self._inside = False
        self._lost = False

    def say(self) -> None:
        if not self._inside:
            self._send(frames.encode(frames.TEXT, self._next()))

    def say_half(self) -> None:
        """A message in two frames; the second comes later."""
        if self._inside:
            self._send(frames.encode(frames.CONTINUATION, b"0"))
        else:
            self._send(frames.encode(frames.TEXT, self._next()[:-1], fin=False))
        self._inside = not self._inside

    def _next(self) -> bytes:
        self.said.append(f"{len(self.said) + 1}0")
        if self._lost:
            self.begun_after.append(self.said[-1])
        return self.said[-1].encode()

    def _send(self, data: bytes) -> None:
        self.rig.client.leg.arrive(data)
        self.rig.settle()

    def reply(self) -> None:
        if not self._lost:
            text = f"answer {len(self.answered)}"
            self.answered.append(text)
            self.rig.server.text(text)
            self.rig.settle()

    def lose(self) -> None:
        self._lose(self.rig.server.leg.reset)

    def end(self) -> None:
        self._lose(self.rig.server.leg.end)

    def end_inside(self) -> None:
        """Half a message is the last that is heard of the server."""
        self._lose(lambda: (self.rig.server.leg.arrive(b"\x81\x04ha"), self.rig.server.leg.end()))

    def leave(self) -> None:
        self._lose(lambda: self.rig.server.leg.arrive(frames.encode(frames.CLOSE, b"\x03\xf4", mask=b"")))

    def _lose(self, how: Callable[[], object]) -> None:
        if not self._lost:
            self._lost = True
            self.begun_after.clear()
            self.heard += self.rig.server.messages
            self.rig.legs[-1].leave()
            how()
            self.rig.settle()

    def find(self) -> None:
        if self.rig.searches:
            self.rig.find()
            self._lost = False

    def decide(self) -> None:
        """The hook answers the message that has waited longest."""
        if _waiting:
            _, payload, answer = _waiting.pop(0)
            answer.callback(payload)
            self.rig.settle()

    def finish(self) -> None:
        if self._inside:
            self.say_half()
        for _ in range(4 * len(self.said) + 2 * len(self.answered) + 4):
            self.find()
            self.decide()
        if not self._lost:
            self.heard += self.rig.server.messages

    def close(self) -> None:
        self.rig.client.close(1000)
        self.rig.settle()
        self.rig.wait(1)
        for leg in self.rig.legs:
            leg.release()


ACTIONS = [
    *(Course.say, Course.say, Course.say_half, Course.reply, Course.lose, Course.end, Course.end_inside, Course.leave),
    *(Course.find, Course.find, Course.decide, Course.decide),
]


@settings(deadline=None, max_examples=100)
@example([Course.reply, Course.end, Course.say], {SERVER})
@example([Course.say, Course.leave, Course.decide, Course.say, Course.find], {CLIENT})
@example([Course.reply, Course.reply, Course.leave], {SERVER})
@given(st.lists(st.sampled_from(ACTIONS), min_size=5, max_size=30), st.sets(st.sampled_from([CLIENT, SERVER])))
def test_everything_is_heard_once_and_in_order(actions: list[Callable[[Course], None]], delayed: set[str]) -> None:
    """What the client begins to say after the last loss, that is.

    Where hooks delay what it had said before, that may go with the server; so may answers behind a hook.
    """
    course = Course(delayed)
    for act in actions:
        act(course)
    course.finish()
    assert course.heard == [text for text in course.said if text in course.heard]
    assert set(course.begun_after) <= set(course.heard)
    assert delayed or course.heard == course.said
    answers = course.rig.client.messages
    assert answers == [text for text in course.answered if text in answers]
    assert SERVER in delayed or answers == course.answered
    assert course.rig.client.heard_close is None
    course.close()
    assert len(course.rig.endings) == 1 and len(course.rig.wheel) == 0
