"""The bench runs: it builds its ruler, starts both gateways on equal configurations and prints ratios."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.repo.tree import ROOT

_RUN = [sys.executable, str(ROOT / "bench" / "run.py")]


def _bench(*arguments: str) -> str:
    done = subprocess.run([*_RUN, *arguments], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_cases_are_listed_for_the_relays_that_are_asked_for() -> None:
    listed = _bench("--list", "--relay", "frames", "--cases", "l4 connect,ws echo*").splitlines()
    assert listed == [
        "l4 connect",
        "ws echo 128 c=1 frames",
        "ws echo 128 c=50 w=4 frames",
        "ws echo 64k frames",
    ]


@pytest.mark.parametrize("case", ["l4 echo 128 c=1", "l4 pull", "wss connect"])
def test_a_case_is_measured_on_both_gateways(tmp_path: Path, case: str) -> None:
    results = tmp_path / "results.json"
    quick = ["--rounds", "1", "--seconds", "0.2", "--verify", "--relay", "frames", "--json", str(results)]
    printed = _bench("--cases", case, *quick)
    rows = json.loads(results.read_text())["rows"]
    assert {row["gateway"] for row in rows} == {"nginx", "wsgate"}
    assert all(run["errors"] == 0 for row in rows for run in row["runs"]), rows
    assert case in printed
