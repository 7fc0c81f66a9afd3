"""Causes reach the error log as single sentences, escaped, at the table's level, and not without end."""

from __future__ import annotations

import pytest
from twisted.internet.task import Clock
from twisted.logger import Logger, LogLevel, formatEvent, formatEventAsClassicLogText
from twisted.python.failure import Failure

from wsgate.causes import Cause, Level
from wsgate.observe.errors import MOST_MESSAGES, PER_WINDOW, WINDOW, CauseLog
from wsgate.observe.record import AccessRecord, Kind


class Place:
    """A cause log on a real twisted Logger, its clock, and the events that came out."""

    def __init__(self, *, verbose: bool = False) -> None:
        self.events: list[dict[str, object]] = []
        self.clock = Clock()
        self.log = CauseLog(Logger("wsgate.test", observer=self.events.append), self.clock, verbose=verbose)

    @property
    def texts(self) -> list[str]:
        return [formatEvent(event) for event in self.events]


def test_a_cause_is_a_sentence_with_its_facts() -> None:
    place = Place()
    place.log.log(Cause.BAD_ANSWER, route="chat", server="127.0.0.1:2222", client=None, detail="", tries=2)
    assert place.texts == ["the server's answer was not valid: route=chat server=127.0.0.1:2222 tries=2"]
    assert place.events[0]["log_level"] is LogLevel.warn
    assert place.events[0]["cause"] == "bad_answer"
    place.log.log(Cause.FULL)
    assert place.texts[1] == "too many connections"


@pytest.mark.parametrize("cause", Cause)
def test_the_level_is_that_of_the_table(cause: Cause) -> None:
    place, verbose = Place(), Place(verbose=True)
    place.log.log(cause)
    verbose.log.log(cause)
    levels = {Level.DEBUG: LogLevel.debug, Level.INFO: LogLevel.info, Level.WARN: LogLevel.warn}
    assert [event["log_level"] for event in verbose.events] == [levels[cause.value.level]]
    assert len(place.events) == (cause.value.level is not Level.DEBUG)


def test_what_a_peer_sent_forges_nothing() -> None:
    place = Place()
    place.log.log(Cause.ORIGIN, route="chat", detail='x"\n2026-01-01 [forged] {text} {cause}', client="a b=c")
    line = formatEventAsClassicLogText(place.events[0]) or ""
    assert line.count("\n") == 1 and line.endswith("\n")
    assert r'detail="x\x22\n2026-01-01 [forged] {text} {cause}" client="a b=c"' in line
    place.log.log(Cause.ORIGIN, detail="y" * 100_000)
    assert len(place.texts[1]) < 400


def test_a_record_is_told_with_the_facts_that_matter() -> None:
    place = Place()
    record = AccessRecord(Kind.HTTP, 0.0, listener="web", client="192.0.2.1", route="api", user_agent="secret")
    record.cause = Cause.CONNECT_FAILED.label
    record.upstream, record.server, record.detail = "api", "127.0.0.1:1", "refused"
    place.log.record(record)
    assert place.texts == [
        "no server could be reached: listener=web route=api upstream=api server=127.0.0.1:1 client=192.0.2.1 "
        "detail=refused"
    ]


@pytest.mark.parametrize("label", [Cause.DONE.label, "", "no such label"])
def test_a_record_that_nobody_needs_to_see_is_not_told(label: str) -> None:
    place = Place()
    place.log.record(AccessRecord(Kind.TCP, 0.0, cause=label))
    assert place.events == []


def test_the_same_message_is_told_a_few_times_then_counted() -> None:
    place = Place()
    for _ in range(PER_WINDOW + 5000):
        place.log.log(Cause.CONNECT_FAILED, server="a:1", route="chat", client="192.0.2.1")
    place.log.log(Cause.CONNECT_FAILED, server="b:1")
    assert len(place.events) == PER_WINDOW + 1, "another server is another message"
    place.clock.advance(WINDOW)
    assert place.texts[-1] == "no server could be reached, 5000 more times within 60 s: route=chat server=a:1"
    assert place.events[-1]["log_level"] is LogLevel.warn
    place.log.log(Cause.CONNECT_FAILED, server="a:1", route="chat")
    assert len(place.events) == PER_WINDOW + 3, "a new minute, a new count"


def test_a_new_minute_needs_no_delayed_call() -> None:
    place = Place()
    for minute in range(3):
        for _ in range(PER_WINDOW):
            place.log.log(Cause.FULL)
        assert not place.clock.getDelayedCalls()
        place.clock.advance(WINDOW)
        assert len(place.events) == PER_WINDOW * (minute + 1)


def test_a_client_cannot_make_messages_distinct() -> None:
    place = Place()
    for number in range(100):
        place.log.log(Cause.ORIGIN, client=f"192.0.2.{number}", detail=str(number))
    assert len(place.events) == PER_WINDOW


def test_the_messages_that_are_told_apart_are_bounded() -> None:
    place = Place()
    for number in range(3 * MOST_MESSAGES):
        place.log.log(Cause.CONNECT_FAILED, server=str(number))
    assert len(place.events) == MOST_MESSAGES + PER_WINDOW
    place.clock.advance(WINDOW)
    assert place.texts[-1] == f"no server could be reached, {2 * MOST_MESSAGES - PER_WINDOW} more times within 60 s"


def test_close_tells_what_was_held_back_and_cancels() -> None:
    place = Place()
    for _ in range(PER_WINDOW + 1):
        place.log.log(Cause.FULL)
    place.log.close()
    assert place.texts[-1] == "too many connections, 1 more times within 60 s"
    assert not place.clock.getDelayedCalls()


def a_failure() -> Failure:
    try:
        raise RuntimeError("broken")
    except RuntimeError:
        return Failure()


def test_a_fault_of_our_own_has_a_traceback_but_not_a_thousand() -> None:
    place = Place()
    for _ in range(1000):
        place.log.fault(a_failure(), "closing a relay", route="chat")
    assert len(place.events) == PER_WINDOW
    event = place.events[0]
    assert event["log_level"] is LogLevel.critical
    assert "closing a relay: route=chat" in formatEvent(event)
    assert "RuntimeError: broken" in (formatEventAsClassicLogText(event) or "")
    place.clock.advance(WINDOW)
    assert place.texts[-1] == "internal error, 990 more times within 60 s"
