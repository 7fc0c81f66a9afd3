"""The operations under load, in a size that a test run can bear; the program takes larger ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.load.program import measure, parser


def run(tmp_path: Path, *arguments: str) -> None:
    """Run the program and find no fault."""
    report = measure(parser().parse_args(arguments), tmp_path / "gateway")
    assert report.faults() == []
    assert report.totals.received > 0 and report.probes > 0
    if report.fds_after and report.what in {"reload", "certificate"}:
        assert abs(report.fds_after - report.fds_before) <= 2, "descriptors are not flat"
        assert report.rss_after <= report.rss_before * 1.05, "memory does not come back"


@pytest.mark.parametrize("workers", ["1", "2"])
def test_reloads_lose_repeat_and_reorder_nothing_and_refuse_nobody(tmp_path: Path, workers: str) -> None:
    run(tmp_path, "reload", "--sockets", "200", "--times", "20", "--workers", workers)


def test_a_killed_worker_takes_only_its_own_connections_along(tmp_path: Path) -> None:
    run(tmp_path, "kill", "--sockets", "100", "--times", "2", "--pause", "1.2")


def test_more_and_fewer_workers_close_nothing(tmp_path: Path) -> None:
    run(tmp_path, "resize", "--sockets", "100", "--times", "8")


def test_a_new_certificate_is_served_at_once_and_closes_nothing(tmp_path: Path) -> None:
    run(tmp_path, "certificate", "--sockets", "100", "--times", "6")


@pytest.mark.parametrize("workers", ["1", "2"])
def test_an_upgrade_refuses_nobody_and_closes_every_websocket_whole(tmp_path: Path, workers: str) -> None:
    run(tmp_path, "upgrade", "--sockets", "100", "--times", "1", "--workers", workers, "--spread", "500ms")
