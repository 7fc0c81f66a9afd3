"""A client of relay ``frames`` outlives its server where no message is half passed on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.doubles.frames import CLOSE, CONTINUATION, PING, PONG, TEXT
from tests.relay.frame_rig import Peer
from tests.relay.holding_rig import HoldingFrameRig
from tests.relay.message_rig import limits
from wsgate.causes import Cause

MakeRig = Callable[..., HoldingFrameRig]


@pytest.fixture
def make_rig() -> Iterator[MakeRig]:
    made: list[HoldingFrameRig] = []

    def make(**options: Any) -> HoldingFrameRig:
        rig = HoldingFrameRig(**options)
        made.append(rig)
        rig.start()
        return rig

    yield make
    for rig in made:
        for leg in rig.legs:
            leg.release()


def messages(peer: Peer) -> list[str]:
    """The messages that it heard, put together."""
    found: list[str] = []
    for frame in peer.heard:
        if frame.opcode == TEXT:
            found.append(frame.payload.decode())
        elif frame.opcode == CONTINUATION:
            found[-1] += frame.payload.decode()
    return found


# The moment of the loss


@pytest.mark.parametrize("piece", [1, 3, 1000])
def test_what_begins_behind_a_half_said_message_is_for_the_next_server(make_rig: MakeRig, piece: int) -> None:
    """The rest of a message goes where its beginning went, though it comes in the same read as the next message."""
    rig = make_rig()
    old = rig.server
    rig.client.say(TEXT, b"first, ", fin=False)
    rig.settle()
    rig.legs[-1].leave()
    rest = rig.client.encode(CONTINUATION, b"and ", fin=False) + rig.client.encode(CONTINUATION, b"last")
    stream = rest + rig.client.encode(TEXT, b"second") + rig.client.encode(TEXT, b"third")
    for at in range(0, len(stream), piece):
        rig.client.leg.arrive(stream[at : at + piece])
    rig.settle()
    assert messages(old) == ["first, and last"] and not rig.searches
    old.leg.end()
    rig.settle()
    rig.find()
    assert messages(rig.server) == ["second", "third"]


def test_a_client_in_the_middle_of_a_message_is_not_held(make_rig: MakeRig) -> None:
    rig = make_rig()
    rig.client.say(TEXT, b"first, ", fin=False)
    rig.settle()
    rig.legs[-1].leave()
    rig.server.leg.reset()
    rig.settle()
    assert rig.client.close_heard == (1011, Cause.SERVER_LOST.value.text) and not rig.searches


def test_what_is_kept_for_the_next_server_is_counted(make_rig: MakeRig) -> None:
    rig = make_rig()
    rig.legs[-1].leave()
    rig.client.text("before the news")
    assert rig.relay.traffic().kept == len(rig.client.encode(TEXT, b"before the news"))
    rig.server.leg.reset()
    rig.settle()
    rig.client.text("behind")
    assert rig.relay.traffic().kept == len(rig.client.encode(TEXT, b"before the news")) + 12
    rig.find()
    assert rig.relay.traffic().kept == 0


def test_a_server_that_only_ended_its_direction_is_let_go_at_once(make_rig: MakeRig) -> None:
    rig = make_rig()
    old = rig.server
    rig.legs[-1].leave()
    old.leg.end()
    rig.settle()
    assert rig.searches and old.leg.closed


def test_a_client_that_reads_nothing_is_answered_so_many_pings_and_no_more(make_rig: MakeRig) -> None:
    rig = make_rig(bounds=limits(control_rate=0), room=100)
    rig.legs[-1].leave()
    rig.server.leg.reset()
    rig.settle()
    rig.client.reads = False
    rig.client.leg.arrive(rig.client.encode(PING, b"x" * 100) * 1000)
    assert rig.client.leg.queued < 500
    rig.client.reads = True
    rig.settle()
    rig.client.say(PING, b"again")
    rig.settle()
    assert rig.client.payloads(PONG)[-1] == b"again"


# Any course of things


class Course:
    """A rig, what was said in it, and what every server heard; see the law of ``messages``."""

    def __init__(self) -> None:
        self.rig = HoldingFrameRig(buffer=60)
        self.rig.start()
        self.said: list[str] = []
        self.begun_after: list[str] = []
        self.answered: list[str] = []
        self.heard: list[str] = []
        self.inside = False
        self._left = False
        self._lost = False

    def say(self) -> None:
        if not self.inside:
            self._send(self.rig.client.encode(TEXT, self._next()))

    def say_half(self) -> None:
        if self.inside:
            self._send(self.rig.client.encode(CONTINUATION, b"0"))
        elif not self._left or self._lost:
            self._send(self.rig.client.encode(TEXT, self._next()[:-1], fin=False))
        else:
            return
        self.inside = not self.inside

    def end_and_say(self) -> None:
        """The end of a message and the next one, in one read."""
        if self.inside:
            self.inside = False
            end = self.rig.client.encode(CONTINUATION, b"0")
            self._send(end + self.rig.client.encode(TEXT, self._next()))

    def _next(self) -> bytes:
        self.said.append(f"{len(self.said) + 1}0")
        if self._left:
            self.begun_after.append(self.said[-1])
        return self.said[-1].encode()

    def _send(self, data: bytes) -> None:
        self.rig.client.leg.arrive(data)
        self.rig.settle()

    def reply(self) -> None:
        if not self._left:
            self.answered.append(f"answer {len(self.answered)}")
            self.rig.server.text(self.answered[-1])
            self.rig.settle()

    def leave(self) -> None:
        """The kernel knows that the server has gone."""
        if not self._left:
            self._left = True
            self.begun_after.clear()
            self.rig.legs[-1].leave()

    def lose(self) -> None:
        self._lose(lambda peer: peer.leg.reset())

    def end(self) -> None:
        self._lose(lambda peer: peer.leg.end())

    def dismiss(self) -> None:
        self._lose(lambda peer: peer.leg.arrive(peer.encode(CLOSE, b"\x03\xf4")))

    def _lose(self, how: Callable[[Peer], object]) -> None:
        if not (self._lost or self.inside):
            self.leave()
            self._lost = True
            how(self.rig.server)
            self.rig.settle()
            heard = messages(self.rig.server)
            assert not set(heard) & set(self.begun_after), "what began after the loss is not for the lost server"
            self.heard += heard

    def find(self) -> None:
        if self.rig.searches:
            self.rig.find()
            self._left = self._lost = False

    def finish(self) -> None:
        if self.inside:
            self.say_half()
        if self._left:
            self.lose()
        self.find()
        self.heard += messages(self.rig.server)


ACTIONS = [
    *(Course.say, Course.say, Course.say_half, Course.end_and_say, Course.reply, Course.leave),
    *(Course.lose, Course.end, Course.dismiss, Course.find, Course.find),
]


@settings(deadline=None, max_examples=100)
@example([Course.say_half, Course.leave, Course.end_and_say])
@example([Course.leave, Course.say, Course.dismiss, Course.say, Course.say_half, Course.find])
@given(st.lists(st.sampled_from(ACTIONS), min_size=5, max_size=30))
def test_everything_is_heard_once_and_in_order(actions: list[Callable[[Course], None]]) -> None:
    """Everything: the servers of this test hear what was passed on to them before they are lost."""
    course = Course()
    for act in actions:
        act(course)
    course.finish()
    assert course.heard == course.said
    assert messages(course.rig.client) == course.answered
    assert course.rig.client.close_heard is None
    course.rig.client.close()
    course.rig.settle()
    course.rig.wait(1)
    for leg in course.rig.legs:
        leg.release()
    course.rig.server.leg.end()
    course.rig.wait(6)
    assert course.rig.cause is Cause.CLIENT_CLOSED
