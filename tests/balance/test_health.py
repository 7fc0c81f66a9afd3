"""Rise and fall damp what probes say."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from wsgate.balance.health import Health, first_probe, next_probe
from wsgate.config.model import Probe, ProbeKind


def test_a_server_goes_down_after_fall_failures_in_a_row_and_up_after_rise() -> None:
    health = Health(rise=2, fall=3)
    assert [health.heard(False) for _ in range(3)] == [False, False, True]
    assert not health.up
    assert [health.heard(True) for _ in range(2)] == [False, True]
    assert health.up


def test_one_good_probe_in_between_begins_the_count_anew() -> None:
    health = Health(rise=2, fall=3)
    changes = [health.heard(passed) for passed in (False, False, True, False, False, True)]
    assert not any(changes)


def test_flapping_once_a_second_changes_nothing() -> None:
    """Row 22 of the faults."""
    health = Health(rise=2, fall=2)
    assert not any(health.heard(bool(number % 2)) for number in range(1000))
    assert health.up


@given(st.lists(st.booleans(), max_size=100), st.integers(1, 4), st.integers(1, 4))
def test_an_opinion_is_never_against_the_last_results_in_a_row(results: list[bool], rise: int, fall: int) -> None:
    health = Health(rise, fall)
    for passed in results:
        health.heard(passed)
    longest = max(rise, fall)
    if len(results) >= longest and len(set(results[-longest:])) == 1:
        assert health.up is results[-1]


@given(st.integers(0, 1000))
def test_probes_come_around_their_interval(seed: int) -> None:
    probe, rng = Probe(ProbeKind.TCP, interval=10.0, jitter=0.2), Random(seed)
    assert 8.0 <= next_probe(probe, rng) <= 12.0
    assert 0.0 <= first_probe(probe, rng) <= 1.0
    assert next_probe(Probe(ProbeKind.TCP, interval=10.0, jitter=0.0), rng) == 10.0
