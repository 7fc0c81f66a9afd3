"""The operations under load, in a size that a test run can bear; the program takes larger ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.load.program import measure, parser
from tests.load.report import Report, histogram, percentile


def run(tmp_path: Path, *arguments: str) -> Report:
    """Run the program and find no fault: each run looks for what must never happen (``Report.faults``)."""
    report = measure(parser().parse_args(arguments), tmp_path / "gateway")
    assert report.faults() == []
    assert report.totals.received > 0 and report.probes > 0
    return report


def check_flat(report: Report) -> None:
    assert abs(report.fds_after - report.fds_before) <= 2, "descriptors are not flat"
    # Less than two hundred clients with a buffer each would leave behind, more than an allocator's luck.
    assert report.rss_after - report.rss_before < 6 << 20, "memory does not come back"


@pytest.mark.parametrize("workers", ["1", "2"])
def test_reloads_lose_repeat_and_reorder_nothing_and_refuse_nobody(tmp_path: Path, workers: str) -> None:
    check_flat(run(tmp_path, "reload", "--sockets", "200", "--times", "20", "--workers", workers))


def test_a_killed_worker_takes_only_its_own_connections_along(tmp_path: Path) -> None:
    run(tmp_path, "kill", "--sockets", "100", "--times", "2", "--pause", "1.2", "--within", "10")


def test_more_and_fewer_workers_close_nothing(tmp_path: Path) -> None:
    run(tmp_path, "resize", "--sockets", "100", "--times", "8")


def test_a_new_certificate_is_served_at_once_and_closes_nothing(tmp_path: Path) -> None:
    check_flat(run(tmp_path, "certificate", "--sockets", "100", "--times", "6"))


@pytest.mark.parametrize("workers", ["1", "2"])
def test_an_upgrade_refuses_nobody_and_closes_every_websocket_whole(tmp_path: Path, workers: str) -> None:
    run(tmp_path, "upgrade", "--sockets", "100", "--times", "1", "--workers", workers, "--spread", "500ms")


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_drain_closes_every_websocket_whole_over_its_window(tmp_path: Path, workers: str) -> None:
    """Messages go both ways, and some frames are half sent at any moment."""
    report = run(tmp_path, "drain", "--sockets", "200", "--rate", "1000", "--times", "1", "--workers", workers)
    assert len(report.closes) == 200 and report.totals.cut == report.totals.cut_inside == 0
    # A busy machine may be late, never early: half of them, evenly spread over a second, come after a quarter of it.
    assert percentile(report.closes, 0.5) > 0.25


def test_a_storm_of_reconnects_is_served_and_loses_nobody(tmp_path: Path) -> None:
    """Row 52."""
    report = run(tmp_path, "storm", "--sockets", "1000", "--times", "1", "--workers", "2", "--rate", "500")
    assert len(report.handshakes) == 1000
    assert percentile(report.handshakes, 0.99) < 20.0


def test_idle_connections_cost_no_more_with_time(tmp_path: Path) -> None:
    """Row 53: twelve rounds of pings to both ends."""
    report = run(tmp_path, "idle", "--sockets", "100", "--times", "12", "--ping", "150ms", "--rate", "50")
    assert report.totals.pings >= 12 * 100
    # An arena of the allocator is a MiB.
    assert max(report.rounds[6:]) - report.rounds[3] < 3 << 20
    check_flat(report)


def test_a_histogram_has_a_line_for_each_part_of_the_time() -> None:
    assert histogram([]) == ""
    lines = histogram([0.0, 0.1, 0.6, 1.0], columns=2).splitlines()
    assert [line.split()[0] for line in lines] == ["0.00", "0.50"]
    assert [int(line.split()[-1]) for line in lines] == [2, 2]
    assert histogram([0.0]).splitlines()[0].endswith(" 1")


def test_a_percentile_is_one_of_the_values() -> None:
    assert percentile([], 0.5) == 0.0
    assert percentile([3.0, 1.0, 2.0], 0.5) == 2.0
    assert percentile([3.0, 1.0, 2.0], 1.0) == 3.0
