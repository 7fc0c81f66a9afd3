"""A client of relay ``messages`` outlives its server: what it says goes to the next one, once, and it sees no Close."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from websockets.frames import Opcode

from tests.doubles import frames
from tests.relay.holding_rig import HoldingRig
from tests.relay.message_rig import limits
from wsgate.causes import Cause, Side
from wsgate.hooks import SERVER, Facts
from wsgate.relay.message_hooks import load_message_hook

UNMASKED = b""


MakeRig = Callable[..., HoldingRig]


@pytest.fixture
def make_rig() -> Iterator[MakeRig]:
    made: list[HoldingRig] = []

    def make(**options: Any) -> HoldingRig:
        rig = HoldingRig(**options)
        made.append(rig)
        rig.start()
        return rig

    yield make
    for rig in made:
        for leg in rig.legs:
            leg.release()


# What is said goes to the next server


@pytest.mark.parametrize("compression", ["off", "client"])
def test_what_is_begun_after_the_loss_arrives_once_and_in_order(make_rig: MakeRig, compression: str) -> None:
    rig = make_rig(compression=compression, offers_deflate=compression == "client")
    rig.client.text("before " * 50)
    rig.settle()
    rig.lose()
    for number in range(5):
        rig.client.text(f"{number} " * 50)
    rig.client.binary(b"\0\1")
    rig.settle()
    assert rig.searches and rig.client.heard_close is None
    rig.find()
    before = rig.client.leg.sent
    rig.server.text("welcome back " * 50)
    rig.settle()
    assert rig.server.messages == [*(f"{number} " * 50 for number in range(5)), b"\0\1"]
    assert rig.client.messages == ["welcome back " * 50]
    assert (rig.client.leg.sent - before < 100) == (compression == "client"), "as was agreed at first"


def test_what_is_said_after_the_server_has_left_is_for_the_next(make_rig: MakeRig) -> None:
    """The kernel knows of the end before the relay has heard the server out."""
    rig = make_rig()
    old = rig.server
    rig.legs[-1].leave()
    rig.client.text("who is there?")
    rig.settle()
    assert not old.messages and not rig.searches
    old.text("farewell")
    rig.settle()
    old.leg.end()
    rig.settle()
    assert rig.searches
    rig.find()
    assert rig.client.messages == ["farewell"]
    assert not old.messages and rig.server.messages == ["who is there?"]


def test_what_a_lost_server_said_by_half_is_dropped(make_rig: MakeRig) -> None:
    rig = make_rig()
    rig.server.leg.arrive(frames.encode(frames.TEXT, b"whole", mask=UNMASKED))
    rig.server.leg.arrive(frames.encode(frames.TEXT, b"ha", mask=UNMASKED, fin=False) + b"\x80\x7e\xff")
    rig.lose()
    rig.find()
    rig.server.text("next")
    rig.settle()
    assert rig.client.messages == ["whole", "next"]


def test_a_message_that_the_client_is_in_the_middle_of_goes_whole_to_the_next_server(make_rig: MakeRig) -> None:
    rig = make_rig()
    rig.client.leg.arrive(frames.encode(frames.TEXT, b"one ", fin=False))
    rig.lose()
    rig.client.leg.arrive(frames.encode(frames.CONTINUATION, b"two ", fin=False))
    rig.find()
    rig.client.leg.arrive(frames.encode(frames.CONTINUATION, b"three"))
    rig.settle()
    assert rig.server.messages == ["one two three"]


def test_a_second_loss_is_held_as_the_first(make_rig: MakeRig) -> None:
    rig = make_rig()
    for number in range(3):
        rig.lose()
        rig.client.text(str(number))
        rig.settle()
        rig.find()
        assert rig.server.messages == [str(number)]
    assert rig.client.heard_close is None and not rig.endings


def test_the_first_messages_are_said_again(make_rig: MakeRig) -> None:
    rig = make_rig(replay=2)
    for message in ("login", "room", "hello"):
        rig.client.text(message)
    rig.settle()
    rig.lose()
    rig.client.text("later")
    rig.settle()
    rig.find(initial=frames.encode(frames.TEXT, b"welcome", mask=UNMASKED))
    assert rig.server.messages == ["login", "room", "later"]
    assert rig.client.messages == ["welcome"]


def test_first_messages_that_are_more_than_is_kept_are_a_reason_to_close(make_rig: MakeRig) -> None:
    rig = make_rig(replay=1, buffer=100)
    rig.client.text("x" * 200)
    rig.settle()
    rig.lose()
    assert rig.client.heard_close == (1011, "the server's connection was lost")


def test_no_more_is_read_than_is_kept(make_rig: MakeRig) -> None:
    rig = make_rig(buffer=10_000)
    rig.lose()
    messages = [str(number) + "x" * 5_000 for number in range(100)]
    for message in messages:
        rig.client.text(message)
    rig.settle()
    assert rig.client.leg.paused and rig.client.leg.received < 200_000
    assert 10_000 < rig.relay.traffic().kept < 200_000
    rig.find(room=1_000)
    rig.settle()
    assert rig.server.messages == messages


# Hooks


@pytest.fixture
def verdicts() -> Iterator[list[tuple[str, Any, Deferred[Any]]]]:
    """What the hook was asked: who said what, and where its answer is waited for."""
    _asked.clear()
    _cancelled.clear()
    load_message_hook.cache_clear()
    yield _asked
    load_message_hook.cache_clear()


_asked: list[tuple[str, Any, Deferred[Any]]] = []
_cancelled: list[Deferred[Any]] = []


def on_message(facts: Facts, sender: str, opcode: int, payload: Any) -> Deferred[Any]:
    answer: Deferred[Any] = Deferred(_cancelled.append)
    _asked.append((sender, payload, answer))
    return answer


HOOK = f"{__name__}:on_message"


def test_a_message_that_a_hook_decides_on_meanwhile_goes_to_the_next_server(
    make_rig: MakeRig, verdicts: list[tuple[str, Any, Deferred[Any]]]
) -> None:
    rig = make_rig(on_message=HOOK)
    rig.client.text("first")
    rig.client.text("second")
    rig.settle()
    old = rig.server
    rig.lose()
    verdicts[0][2].callback("decided while there was no server")
    rig.settle()
    rig.find()
    verdicts[1][2].callback("decided by the next")
    rig.settle()
    assert not old.messages
    assert rig.server.messages == ["decided while there was no server", "decided by the next"]


def test_a_hook_that_decides_after_the_next_server_has_come_keeps_its_message(
    make_rig: MakeRig, verdicts: list[tuple[str, Any, Deferred[Any]]]
) -> None:
    rig = make_rig(on_message=HOOK)
    rig.client.text("first")
    rig.settle()
    rig.lose()
    rig.find()
    assert not rig.server.messages
    verdicts[0][2].callback("late")
    rig.settle()
    assert rig.server.messages == ["late"]


def test_what_the_lost_server_said_waits_for_its_hook_before_another_is_looked_for(
    make_rig: MakeRig, verdicts: list[tuple[str, Any, Deferred[Any]]]
) -> None:
    rig = make_rig(on_message=HOOK)
    rig.server.leg.arrive(b"".join(frames.encode(frames.TEXT, text, mask=UNMASKED) for text in (b"first", b"second")))
    rig.lose()
    assert not rig.searches, "the next server must not be heard before it"
    verdicts[0][2].callback("one")
    rig.settle()
    assert not rig.searches
    verdicts[1][2].callback("two")
    rig.settle()
    assert rig.searches and rig.client.messages == ["one", "two"]
    assert [asked[0] for asked in verdicts] == [SERVER, SERVER]


def test_a_dismissal_behind_a_hook_is_obeyed_though_its_server_is_lost(
    make_rig: MakeRig, verdicts: list[tuple[str, Any, Deferred[Any]]]
) -> None:
    rig = make_rig(on_message=HOOK)
    close = frames.encode(frames.CLOSE, b"\x03\xf0go away", mask=UNMASKED)
    rig.server.leg.arrive(frames.encode(frames.TEXT, b"sorry", mask=UNMASKED) + close)
    rig.lose()
    verdicts[0][2].callback("sorry")
    rig.settle()
    rig.wait(0.2)
    assert rig.client.messages == ["sorry"] and rig.client.heard_close == (1008, "go away")
    assert rig.cause is Cause.SERVER_CLOSED and not rig.searches


def test_a_client_that_leaves_while_the_lost_server_s_hook_thinks_is_let_go(
    make_rig: MakeRig, verdicts: list[tuple[str, Any, Deferred[Any]]]
) -> None:
    rig = make_rig(on_message=HOOK)
    rig.server.text("first")
    rig.settle()
    rig.lose()
    rig.client.leg.reset()
    rig.wait(0.2)
    assert rig.cause is Cause.CLIENT_LOST and not rig.searches
    assert _cancelled == [verdicts[0][2]]


# What the client sees meanwhile


def test_pings_are_answered_without_a_server_and_so_is_the_one_that_was_lost_with_it(make_rig: MakeRig) -> None:
    rig = make_rig()
    rig.server.reads = False
    rig.client.protocol.send_ping(b"one")
    rig.settle()
    rig.lose()
    rig.client.protocol.send_ping(b"two")
    rig.settle()
    assert rig.client.controls(Opcode.PONG) == [b"one", b"two"]
    rig.find()
    rig.client.protocol.send_ping(b"three")
    rig.settle()
    assert rig.client.controls(Opcode.PONG) == [b"one", b"two", b"three"]
    assert rig.server.controls(Opcode.PING) == [b"three"], "and from now on by the next one"


def test_a_pong_for_the_lost_server_is_not_for_the_next(make_rig: MakeRig) -> None:
    rig = make_rig()
    rig.client.reads = False
    rig.server.protocol.send_ping(b"old")
    rig.settle()
    rig.lose()
    rig.client.reads = True
    rig.settle()
    rig.find()
    assert not rig.server.controls(Opcode.PONG)


@pytest.mark.parametrize("code", [1001, 1011, 1012, 1013, 1014])
def test_a_server_that_says_that_it_goes_is_answered_and_replaced(make_rig: MakeRig, code: int) -> None:
    rig = make_rig()
    old = rig.server
    old.close(code, "restart")
    rig.settle()
    assert old.heard_close == (code, "restart") and rig.client.heard_close is None
    rig.find()
    rig.client.text("hello")
    rig.settle()
    assert rig.server.messages == ["hello"]
    assert old.leg.closed


@pytest.mark.parametrize("code", [1000, 1008, 4000])
def test_a_server_that_dismisses_its_client_is_obeyed(make_rig: MakeRig, code: int) -> None:
    rig = make_rig()
    rig.server.close(code, "no")
    rig.settle()
    assert rig.client.heard_close == (code, "no") and not rig.searches
    assert rig.cause is Cause.SERVER_CLOSED


def test_nobody_is_looked_for_when_the_client_leaves_with_its_server(make_rig: MakeRig) -> None:
    rig = make_rig()
    rig.client.close(1000, "bye")
    rig.settle()
    rig.lose()
    assert not rig.searches and rig.cause is Cause.CLIENT_CLOSED


def test_a_client_that_closes_without_a_server_is_answered(make_rig: MakeRig) -> None:
    rig = make_rig()
    rig.lose()
    rig.client.close(4001, "bye")
    rig.settle()
    rig.wait(0.2)
    assert rig.client.heard_close == (4001, "bye")
    assert rig.cause is Cause.CLIENT_CLOSED and rig.finder.stopped == 1


def test_a_client_that_breaks_a_rule_without_a_server_is_closed(make_rig: MakeRig) -> None:
    rig = make_rig()
    rig.lose()
    rig.client.leg.arrive(b"\xf1\x80\0\0\0\0")
    rig.settle()
    rig.wait(0.2)
    assert rig.client.heard_close is not None and rig.client.heard_close[0] == 1002
    assert rig.cause is Cause.CLIENT_PROTOCOL and rig.finder.stopped == 1


def test_a_client_that_is_lost_without_a_server_ends_the_search(make_rig: MakeRig) -> None:
    rig = make_rig()
    rig.lose()
    rig.client.leg.reset()
    rig.settle()
    rig.wait(0.2)
    assert rig.cause is Cause.CLIENT_LOST and rig.finder.stopped == 1


def test_a_search_that_is_given_up_closes_the_client(make_rig: MakeRig) -> None:
    rig = make_rig()
    rig.lose()
    assert rig.finder.relay is not None
    rig.finder.relay.give_up(Cause.HELD_TOO_LONG, "refused")
    rig.settle()
    rig.wait(0.2)
    assert rig.client.heard_close == (1012, "the server did not come back")
    assert (rig.ending.cause, rig.ending.closed_by, rig.ending.detail) == (
        Cause.HELD_TOO_LONG,
        Side.SERVER,
        "refused",
    )


@pytest.mark.parametrize("cause", [Cause.STOPPING, Cause.DRAINED])
def test_the_gateway_can_close_a_held_client(make_rig: MakeRig, cause: Cause) -> None:
    rig = make_rig()
    rig.lose()
    rig.relay.close(cause)
    rig.settle()
    rig.wait(0.2)
    assert rig.client.heard_close == (cause.value.to_client, cause.value.text)
    assert rig.cause is cause and rig.finder.stopped == 1


def test_the_gateway_can_abort_a_held_client(make_rig: MakeRig) -> None:
    rig = make_rig()
    rig.lose()
    rig.relay.abort(Cause.STOPPING)
    rig.wait(0.2)
    assert rig.client.leg.aborted and rig.cause is Cause.STOPPING


def test_a_server_that_answers_no_ping_is_replaced_and_its_client_kept(make_rig: MakeRig) -> None:
    rig = make_rig(bounds=limits(ping_interval=1, ping_timeout=1))
    old = rig.server
    old.reads = False
    rig.wait(4)
    assert rig.searches and rig.client.heard_close is None
    rig.wait(10)
    assert not rig.endings, "nobody is pinged in vain while there is no server"
    rig.find()
    rig.client.text("hello")
    rig.settle()
    assert rig.server.messages == ["hello"]
    rig.server.reads = False
    rig.wait(4)
    assert rig.searches, "the next one is watched, too"
    assert old.leg.closed


def test_a_held_client_that_answers_no_ping_is_given_up(make_rig: MakeRig) -> None:
    rig = make_rig(bounds=limits(ping_interval=1, ping_timeout=1))
    rig.lose()
    rig.client.reads = False
    rig.wait(5)
    assert rig.cause is Cause.CLIENT_DEAD and rig.finder.stopped == 1


def test_what_waits_for_a_slow_client_comes_before_what_the_next_server_says(make_rig: MakeRig) -> None:
    rig = make_rig(bounds=limits(buffer=1_000), room=2_000)
    rig.client.reads = False
    sent = [str(number) + "x" * 500 for number in range(40)]
    for message in sent:
        rig.server.text(message)
    rig.settle()
    rig.lose()
    rig.client.reads = True
    rig.settle()
    rig.find()
    rig.server.text("next")
    rig.settle()
    heard = rig.client.messages
    assert heard[-1] == "next" and heard[:-1] == sent[: len(heard) - 1] and len(heard) > 4


def test_a_server_that_only_ended_its_direction_is_let_go_at_once(make_rig: MakeRig) -> None:
    rig = make_rig()
    old = rig.server
    rig.legs[-1].leave()
    old.leg.end()
    rig.settle()
    assert rig.searches and old.leg.closed


def test_nothing_can_be_put_in_towards_a_lost_server(make_rig: MakeRig) -> None:
    rig = make_rig()
    rig.lose()
    assert not rig.relay.at_boundary()
    assert not rig.relay.inject(Side.SERVER, b"\x89\x80\0\0\0\0")
    rig.find()
    assert rig.relay.at_boundary() and not rig.server.frames
