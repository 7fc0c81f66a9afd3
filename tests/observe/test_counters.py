"""Counters add up what records say, and no peer decides how many there are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsgate.causes import Cause
from wsgate.observe.counters import Counters, ListenerCounters, close_class
from wsgate.observe.record import AccessRecord, Kind


def test_a_websocket_adds_what_it_carried() -> None:
    counters = Counters()
    record = AccessRecord(Kind.WEBSOCKET, 0.0, listener="web", status=101, close_code=1001, closed_by="client")
    record.bytes_in, record.bytes_out = 1, 2
    record.frames_in, record.frames_out = 3, 4
    record.messages_in, record.messages_out = 5, 6
    record.cause = Cause.CLIENT_CLOSED.label
    counters.ended(record)
    counters.ended(record)
    assert counters.listeners == {
        "web": ListenerCounters(
            websockets=2, bytes_in=2, bytes_out=4, frames_in=6, frames_out=8, messages_in=10, messages_out=12
        )
    }
    assert counters.causes[Cause.CLIENT_CLOSED] == 2
    assert sum(counters.causes.values()) == 2
    assert counters.statuses == {101: 2}
    assert counters.closes == {("client", 1001): 2}


@pytest.mark.parametrize(
    ("record", "counted"),
    [
        (AccessRecord(Kind.TCP, 0.0), ListenerCounters(tunnels=1)),
        (AccessRecord(Kind.HTTP, 0.0, status=200), ListenerCounters(requests=1)),
        (AccessRecord(Kind.WEBSOCKET, 0.0, status=403), ListenerCounters(requests=1)),
        (AccessRecord(Kind.WEBSOCKET, 0.0), ListenerCounters(requests=1)),
    ],
)
def test_each_kind_is_counted_as_what_it_was(record: AccessRecord, counted: ListenerCounters) -> None:
    counters = Counters()
    counters.ended(record)
    assert counters.listener("") == counted


def test_a_listener_counts_on_in_its_own_object() -> None:
    counters = Counters()
    web = counters.listener("web")
    web.accepted += 1
    web.open += 1
    assert counters.listener("web") is web
    assert (counters.listeners["web"].accepted, counters.listeners["web"].open) == (1, 1)


def test_every_cause_is_there_from_the_start() -> None:
    assert Counters().causes == dict.fromkeys(Cause, 0)


def test_a_record_without_a_known_cause_counts_all_the_same() -> None:
    counters = Counters()
    counters.ended(AccessRecord(Kind.TCP, 0.0, cause="no such label"))
    assert sum(counters.causes.values()) == 0
    assert counters.listener("").tunnels == 1


@pytest.mark.parametrize(
    ("code", "counted"),
    [(1000, 1000), (1015, 1015), (1016, 0), (999, 0), (2999, 0), (3000, 3000), (3999, 3000), (4401, 4000), (5000, 0)],
)
def test_invented_close_codes_count_together(code: int, counted: int) -> None:
    assert close_class(code) == counted


@given(st.integers(0, 65535))
def test_there_are_few_classes_of_close_codes(code: int) -> None:
    assert close_class(code) in {0, 3000, 4000, *range(1000, 1016)}
