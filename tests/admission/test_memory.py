"""When memory counts as short, and who is closed first."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsgate.admission.memory import GAP, LEAST, SHED_AT, Pressure, excess, heaviest, pressure, share

NONE, REFUSING, SHEDDING = Pressure.NONE, Pressure.REFUSING, Pressure.SHEDDING


@pytest.mark.parametrize(
    ("used", "before", "expected"),
    [
        (0, NONE, NONE),
        (949, NONE, NONE),
        (950, NONE, REFUSING),
        (999, NONE, REFUSING),
        (1000, NONE, SHEDDING),
        (5000, NONE, SHEDDING),
        (900, REFUSING, REFUSING),
        (899, REFUSING, NONE),
        (1000, REFUSING, SHEDDING),
        (950, SHEDDING, SHEDDING),
        (949, SHEDDING, REFUSING),
        (900, SHEDDING, REFUSING),
        (899, SHEDDING, NONE),
    ],
)
def test_a_state_begins_at_its_mark_and_ends_a_gap_below(used: int, before: Pressure, expected: Pressure) -> None:
    assert pressure(used, 1000, before) is expected


@given(used=st.integers(0, 1 << 50), before=st.sampled_from(Pressure))
def test_without_a_limit_memory_is_never_short(used: int, before: Pressure) -> None:
    assert pressure(used, 0, before) is NONE


@given(used=st.integers(0, 10**12), limit=st.integers(1, 10**12), before=st.sampled_from(Pressure))
def test_the_same_memory_leaves_the_state_as_it_is(used: int, limit: int, before: Pressure) -> None:
    after = pressure(used, limit, before)
    assert pressure(used, limit, after) is after


@given(used=st.integers(0, 10**12), limit=st.integers(100, 10**12))
def test_after_the_excess_is_gone_nobody_needs_to_be_closed(used: int, limit: int) -> None:
    left = used - excess(used, limit)
    assert left <= used and left <= max(limit * (SHED_AT - GAP), 0)
    assert pressure(left - 1, limit, SHEDDING) is not SHEDDING


@pytest.mark.parametrize(
    ("wanted", "group", "processes", "expected"),
    [
        (None, 0, 4, 0),
        (None, 1000, 1, 750),
        (None, 1000, 3, 250),
        (0, 1000, 2, 0),
        (600, 1000, 2, 300),
        (600, 0, 1, 600),
    ],
)
def test_each_process_has_its_share(wanted: int | None, group: int, processes: int, expected: int) -> None:
    """A limit that was configured counts as it is, ``off`` too; otherwise a part of the control group's."""
    assert share(wanted, group, processes) == expected


@pytest.mark.parametrize(
    ("wanted", "processes", "common", "expected"),
    [(1000, 4, 200, 400), (1000, 1, 200, 1000), (100, 4, 200, 100), (0, 4, 200, 0), (200, 4, 200, 200)],
)
def test_what_processes_share_counts_once(wanted: int, processes: int, common: int, expected: int) -> None:
    assert share(wanted, 0, processes, common) == expected


@pytest.mark.parametrize(("group", "expected"), [(1000, 800), (210, 207), (200, 200), (100, 100), (0, 0)])
def test_a_small_control_group_leaves_room_for_what_a_process_begins_with(group: int, expected: int) -> None:
    assert share(None, group, 1, 200) == expected


def test_the_heaviest_go_first_and_no_more_than_needed() -> None:
    kept = [(5000, "a"), (9000, "b"), (LEAST - 1, "c"), (7000, "d"), (0, "e")]
    assert heaviest(kept, 1) == ["b"]
    assert heaviest(kept, 9000) == ["b"]
    assert heaviest(kept, 9001) == ["b", "d"]
    assert heaviest(kept, 10**9) == ["b", "d", "a"]
    assert heaviest(kept, 0) == []


@given(sizes=st.lists(st.integers(0, 10**6)), wanted=st.integers(0, 10**7))
def test_nobody_is_closed_in_vain(sizes: list[int], wanted: int) -> None:
    chosen = heaviest([(size, number) for number, size in enumerate(sizes)], wanted)
    freed = [sizes[number] for number in chosen]
    assert all(size >= LEAST for size in freed)
    assert sum(freed[:-1]) < wanted or not chosen
    spared = [size for number, size in enumerate(sizes) if number not in chosen and size >= LEAST]
    assert sum(freed) >= wanted or not spared
    assert not chosen or not spared or min(freed) >= max(spared)
