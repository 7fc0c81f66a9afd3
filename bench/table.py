"""From single runs to a table: medians, and ratios to the first gateway."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Any

from cases import Case, Unit

# (case, gateway) -> what gwbench printed, one dict a round.
Runs = dict[tuple[Case, str], list[dict[str, Any]]]

HEADER = ("case", "relay", "gateway", "cost", "ratio", "rate", "p50 us", "p99 us", "unit")


def _middle(runs: Sequence[dict[str, Any]], key: str) -> float:
    return float(median(run.get(key, 0) for run in runs))


def ratio(case: Case, gateway: str, reference: str, runs: Runs) -> float | None:
    """The median of the ratios within each round: rounds on a shared machine differ more than the gateways do."""
    pairs = zip(runs.get((case, gateway), ()), runs.get((case, reference), ()), strict=False)
    ratios = [own[case.unit.cost] / other[case.unit.cost] for own, other in pairs if other[case.unit.cost]]
    return float(median(ratios)) if ratios else None


def _row(case: Case, gateway: str, reference: str, runs: Runs) -> tuple[str, ...]:
    own = runs[case, gateway]
    errors = sum(int(run["errors"]) for run in own)
    share = None if gateway == reference else ratio(case, gateway, reference, runs)
    timed = case.unit in (Unit.MESSAGE, Unit.CONNECTION)
    return (
        case.name,
        case.relay,
        gateway,
        f"{_middle(own, case.unit.cost):.2f}",
        "" if share is None else f"{share:.2f}",
        f"{_middle(own, case.unit.rate):,.0f}" if case.unit.rate else "",
        f"{_middle(own, 'p50_us'):.0f}" if timed else "",
        f"{_middle(own, 'p99_us'):.0f}" if timed else "",
        case.unit.words + (f" ({errors} errors)" if errors else ""),
    )


def table(cases: Sequence[Case], gateways: Sequence[str], runs: Runs) -> str:
    """The table as text, in columns; the reference is the first gateway."""
    rows: list[tuple[str, ...]] = [HEADER]
    rows += [_row(case, name, gateways[0], runs) for case in cases for name in gateways if (case, name) in runs]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADER))]
    words = {0, 1, 2, len(HEADER) - 1}
    lines = [
        "  ".join(
            cell.ljust(width) if column in words else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    return "\n".join([lines[0], "-" * max(map(len, lines)), *lines[1:]])
