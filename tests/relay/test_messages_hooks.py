"""Message hooks: what they see, what they may answer, and that the order of messages is kept meanwhile."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from twisted.internet.defer import Deferred, fail, succeed
from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from websockets.frames import Opcode

from tests.doubles import frames
from tests.relay.message_rig import Rig, limits
from wsgate.causes import Cause, Side
from wsgate.hooks import BINARY, CLIENT, DROP, SERVER, TEXT, Close, Facts, HookError
from wsgate.relay.message_hooks import load_message_hook

UNMASKED = b""
HOOK = f"{__name__}:on_message"
behaviour: Callable[..., Any]


def on_message(facts: Facts, sender: str, opcode: int, payload: Any) -> Any:
    """The hook of these tests."""
    return behaviour(facts, sender, opcode, payload)


@pytest.fixture(autouse=True)
def own_module() -> Iterator[None]:
    """The hook is named by this module; its loading is tried elsewhere."""
    load_message_hook.cache_clear()
    yield
    load_message_hook.cache_clear()


@pytest.fixture
def errors() -> Iterator[list[LogEvent]]:
    """What is logged with a failure."""
    seen: list[LogEvent] = []

    def observe(event: LogEvent) -> None:
        if "log_failure" in event:
            seen.append(event)

    globalLogPublisher.addObserver(cast(ILogObserver, observe))
    yield seen
    globalLogPublisher.removeObserver(cast(ILogObserver, observe))


def hooked(does: Callable[..., Any], **options: Any) -> Rig:
    """A started rig whose hook does this."""
    global behaviour  # noqa: PLW0603 - a route names its hook, it cannot be handed one
    behaviour = does
    return Rig(on_message=HOOK, **options).start()


def answers(answer: Any) -> Callable[..., Any]:
    return lambda *_: answer


# What a hook sees


def test_a_hook_sees_facts_sender_kind_and_payload() -> None:
    seen: list[tuple[Any, ...]] = []

    def look(*arguments: Any) -> Any:
        seen.append(arguments)
        return arguments[3]

    rig = hooked(look, subprotocol="chat.v1")
    rig.client.text("grüße")
    rig.settle()
    rig.server.binary(b"\xff")
    rig.settle()
    facts = Facts("192.0.2.7", "example.org", "/chat", "chat", "chat.v1", secure=False)
    assert seen == [(facts, CLIENT, TEXT, "grüße"), (facts, SERVER, BINARY, b"\xff")]
    assert rig.server.messages == ["grüße"] and rig.client.messages == [b"\xff"]


def test_control_frames_are_none_of_its_business() -> None:
    rig = hooked(answers(DROP))
    rig.client.protocol.send_ping(b"x")
    rig.settle()
    assert rig.server.controls(Opcode.PING) == [b"x"]


# What it may answer


@pytest.mark.parametrize(
    ("answer", "passed"),
    [
        ("other text", ["other text"]),
        ("", [""]),
        (b"bytes", [b"bytes"]),
        (DROP, []),
        (succeed("later"), ["later"]),
        (succeed(DROP), []),
    ],
)
def test_what_is_answered_is_passed_on(answer: Any, passed: list[str | bytes]) -> None:
    rig = hooked(answers(answer))
    rig.client.text("original")
    rig.settle()
    assert rig.server.messages == passed
    assert not rig.endings


@pytest.mark.parametrize("side", [Side.CLIENT, Side.SERVER])
@pytest.mark.parametrize("how", ["returned", "raised", "deferred", "failed", "coroutine"])
def test_a_close_ends_it_with_its_code_on_both_sides(side: Side, how: str) -> None:
    async def coroutine(*_: Any) -> Any:
        raise Close(4003, "not here")

    def raised(*_: Any) -> Any:
        raise Close(4003, "not here")

    ways = {
        "returned": answers(Close(4003, "not here")),
        "raised": raised,
        "deferred": lambda *_: succeed(Close(4003, "not here")),
        "failed": lambda *_: fail(Close(4003, "not here")),
        "coroutine": coroutine,
    }
    rig = hooked(ways[how])
    (rig.client if side is Side.CLIENT else rig.server).text("x")
    rig.settle()
    assert rig.client.heard_close == rig.server.heard_close == (4003, "not here")
    assert rig.client.messages == rig.server.messages == []
    rig.server.leg.end()
    rig.settle()
    assert (rig.cause, rig.ending.closed_by) == (Cause.POLICY, Side.GATEWAY)
    assert (rig.ending.code, rig.ending.reason) == (4003, "not here")


def test_a_close_code_that_must_not_be_sent_is_no_close() -> None:
    for code in (0, 999, 1004, 1005, 1006, 1015, 2000, 5000):
        with pytest.raises(ValueError, match="must not be sent"):
            Close(code)
    assert Close(1014).code == 1014


@pytest.mark.parametrize(
    "how", ["raises", "exits", "fails", "wrong type", "lone surrogate", "coroutine raises", "coroutine exits"]
)
def test_a_hook_that_fails_closes_with_1011_and_is_logged(how: str, errors: list[LogEvent]) -> None:
    def raises(*_: Any) -> Any:
        raise RuntimeError("a fault of the operator's")

    async def coroutine(*_: Any) -> Any:
        raise RuntimeError("a fault of the operator's")

    def exits(*_: Any) -> Any:
        sys.exit("not from here")

    async def coroutine_exits(*_: Any) -> Any:
        sys.exit("not from here")

    ways: dict[str, Callable[..., Any]] = {
        "raises": raises,
        "exits": exits,
        "fails": lambda *_: fail(RuntimeError("a fault of the operator's")),
        "wrong type": answers(42),
        "lone surrogate": answers("\ud800"),
        "coroutine raises": coroutine,
        "coroutine exits": coroutine_exits,
    }
    rig = hooked(ways[how])
    rig.client.text("x")
    rig.settle()
    assert rig.client.heard_close == (1011, Cause.INTERNAL.value.text)
    assert rig.server.heard_close == (1011, Cause.INTERNAL.value.text)
    assert rig.server.messages == []
    assert len(errors) == 1
    assert errors[0]["route"] == "chat"
    rig.server.leg.end()
    rig.settle()
    assert rig.cause is Cause.INTERNAL


# Waiting for an answer


def test_messages_behind_one_that_is_waited_for_wait_and_keep_their_order() -> None:
    waiting: list[Deferred[str]] = []

    def slow(_facts: Facts, _sender: str, _opcode: int, payload: str) -> Any:
        if payload != "slow":
            return payload
        waiting.append(Deferred())
        return waiting[-1]

    rig = hooked(slow)
    rig.client.leg.arrive(frames.text("first") + frames.text("slow") + frames.text("third"))
    rig.client.leg.arrive(frames.encode(frames.PING, b"p") + frames.text("fourth"))
    rig.settle()
    assert rig.server.messages == ["first"]
    assert rig.client.leg.paused
    # The other direction goes on.
    rig.server.text("meanwhile")
    rig.settle()
    assert rig.client.messages == ["meanwhile"]
    waiting[0].callback("second")
    rig.settle()
    assert rig.server.messages == ["first", "second", "third", "fourth"]
    assert [frame.opcode for frame in rig.server.frames][3] is Opcode.PING
    assert not rig.client.leg.paused


def test_a_coroutine_is_waited_for() -> None:
    waiting: Deferred[str] = Deferred()

    async def slow(_facts: Facts, _sender: str, _opcode: int, payload: str) -> str:
        return payload + await waiting

    rig = hooked(slow)
    rig.client.text("one and ")
    rig.settle()
    assert rig.server.messages == []
    waiting.callback("the other")
    rig.settle()
    assert rig.server.messages == ["one and the other"]


def test_a_close_behind_a_message_that_is_waited_for_comes_after_it() -> None:
    waiting: Deferred[str] = Deferred()
    rig = hooked(answers(waiting))
    rig.client.text("last words")
    rig.client.close(1000, "bye")
    rig.settle()
    assert rig.server.frames == []
    waiting.callback("last words")
    rig.settle()
    assert rig.server.messages == ["last words"]
    assert rig.server.heard_close == (1000, "bye")


@pytest.mark.parametrize("how", ["end", "reset"])
def test_a_peer_that_leaves_while_its_message_is_waited_for_is_told_after_it(how: str) -> None:
    waiting: Deferred[str] = Deferred()
    rig = hooked(answers(waiting))
    rig.client.text("last words")
    rig.settle()
    getattr(rig.client.leg, how)()
    rig.settle()
    assert rig.server.frames == []
    waiting.callback("last words")
    rig.settle()
    assert rig.server.messages == ["last words"]
    assert rig.server.heard_close == (1001, Cause.CLIENT_LOST.value.text)


def test_an_answer_that_is_no_longer_needed_is_cancelled() -> None:
    cancelled: list[object] = []
    waiting: Deferred[str] = Deferred(cancelled.append)
    rig = hooked(answers(waiting))
    rig.client.text("x")
    rig.settle()
    rig.server.leg.reset()
    rig.settle()
    assert cancelled
    assert rig.client.heard_close == (1011, Cause.SERVER_LOST.value.text)
    assert rig.cause is Cause.SERVER_LOST


def test_both_peers_may_leave_while_a_hook_thinks() -> None:
    waiting: Deferred[str] = Deferred()
    rig = hooked(answers(waiting))
    rig.client.text("x")
    rig.settle()
    rig.client.leg.reset()
    rig.server.leg.reset()
    rig.settle()
    assert len(rig.endings) == 1
    assert len(rig.wheel) == 0


def test_a_hook_that_never_answers_does_not_hold_the_gateways_end_up() -> None:
    rig = hooked(answers(Deferred()))
    rig.client.text("x")
    rig.settle()
    rig.relay.close(Cause.STOPPING)
    rig.settle()
    assert rig.client.leg.closed and not rig.client.leg.aborted


def test_a_client_is_not_dead_while_a_hook_thinks_about_its_message() -> None:
    rig = hooked(answers(Deferred()), bounds=limits(ping_interval=5, ping_timeout=2))
    rig.client.text("x")
    rig.wait(30)
    assert not rig.endings and not rig.client.leg.aborted


# Loading


def test_a_hook_is_loaded_by_its_name() -> None:
    assert load_message_hook("json:dumps").__name__ == "dumps"


@pytest.mark.parametrize("name", ["no.such.module:function", "json:no_such_function", "json:__doc__"])
def test_a_hook_that_cannot_be_loaded_is_refused_by_name(name: str) -> None:
    with pytest.raises(HookError, match=name.replace(".", r"\.")):
        load_message_hook(name)


def test_a_module_that_exits_when_it_is_imported_is_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "exiting_hook.py").write_text("import sys\nsys.exit(1)\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(HookError, match="exiting_hook:on_message cannot be loaded: SystemExit"):
        load_message_hook("exiting_hook:on_message")
