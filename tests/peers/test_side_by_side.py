"""wsgate picks the servers that nginx picks."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.peers.side_by_side import SCENARIOS, Scenario, compare


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.title)
def test_both_pick_the_same_servers_in_the_same_order(scenario: Scenario, tmp_path: Path) -> None:
    ours, theirs = compare(scenario, tmp_path)
    assert ours == theirs
