"""The bench runs: it builds its ruler, starts gateways on equal configurations and puts ratios into a table."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.repo.tree import ROOT

_RUN = [sys.executable, "-m", "bench"]
_QUICK = ("--rounds", "1", "--seconds", "0.4")


def _bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*_RUN, *arguments], cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)


def test_the_cases_that_match_are_listed() -> None:
    done = _bench("--list", "--only", "layer 4: pull*", "--only", "growth: *")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "Layer 4: pull, 4 connections",
        "Growth: 10 connections",
        "Growth: 1,000 connections",
        "Growth: 9,000 connections",
    ]


def test_what_is_unknown_is_refused() -> None:
    assert _bench("--only", "Layer 8: *").returncode == 2
    done = _bench("--gateways", "apache")
    assert done.returncode == 2
    assert "no gateway apache; known: nginx, haproxy, wsgate" in done.stderr


def test_cases_are_measured_for_real_and_every_byte_is_compared(tmp_path: Path) -> None:
    results = tmp_path / "results.json"
    patterns = ("WebSocket: echo 128 B, 1 connection", "Layer 4 over TLS: pull*", "Scanner: *")
    only = [word for pattern in patterns for word in ("--only", pattern)]
    done = _bench(*only, "--gateways", "nginx,wsgate", "--results", str(results), *_QUICK)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = json.loads(results.read_text())["rows"]
    assert [(row["case"].partition(":")[0], row["subject"]) for row in rows] == [
        ("Layer 4 over TLS", "nginx"),
        ("Layer 4 over TLS", "wsgate"),
        ("WebSocket", "nginx"),
        ("WebSocket", "wsgate frames"),
        ("WebSocket", "wsgate tunnel"),
        ("WebSocket", "wsgate messages"),
        ("Scanner", "wsgate frames"),
    ]
    assert all(sample["cost"] >= 0 and sample["rate"] > 0 for row in rows for sample in row["rounds"]), rows
    assert "scanner, us a 128-byte frame" in done.stdout


def test_a_program_that_is_not_installed_is_named_and_no_failure(tmp_path: Path) -> None:
    kept = ("--results", str(tmp_path / "results.json"))
    only = ("--only", "WebSocket: connect*", "--gateways", "websockify", "--programs", str(tmp_path))
    done = _bench(*only, *kept, *_QUICK)
    assert done.returncode == 0, done.stderr
    assert "websockify is not installed: make .venv-bench/.installed" in done.stderr
    assert "not installed" in next(line for line in done.stdout.splitlines() if line.startswith("  websockify"))


def test_a_case_that_fails_is_a_row_and_a_failure_of_the_run(tmp_path: Path) -> None:
    """A program of that name that only ends is a gateway that does not start."""
    program = tmp_path / "websockify"
    program.write_text("#!/bin/sh\necho no such thing here\nexit 3\n")
    program.chmod(0o755)
    kept = ("--results", str(tmp_path / "results.json"))
    only = ("--only", "WebSocket: connect*", "--gateways", "websockify", "--programs", str(tmp_path))
    done = _bench(*only, *kept, *_QUICK)
    assert done.returncode == 1, done.stdout
    row = next(line for line in done.stdout.splitlines() if line.startswith("  websockify"))
    assert "error in 1 of 1: port" in row and "(exit 3): no such thing here" in row
    assert "FAILED WebSocket: connect" in done.stderr
