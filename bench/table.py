"""From results to text: a table for each group of cases, the targets, and the lines that the README quotes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby

from bench.cases import Case, Subject, Unit
from bench.gateways import REFERENCE
from bench.loads import Sample
from bench.outcomes import Failure, Results
from bench.targets import TARGETS

_WIDTHS = (40, 14, 7, 15, 10, 10, 8, 9)
_REASON = 70


def number(value: float | None) -> str:
    """Three figures that mean something."""
    if value is None:
        return ""
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def _line(cells: Sequence[str]) -> str:
    first, *rest = zip(cells, _WIDTHS, strict=True)
    return (first[0].ljust(first[1]) + "".join(cell.rjust(width) for cell, width in rest)).rstrip()


def _heading(case: Case) -> str:
    timed = case.unit in {Unit.MESSAGE, Unit.CONNECTION, Unit.REQUEST}
    latency = ("p50 us", "p99 us") if timed else ("", "")
    each = "kB each" if case.fresh and case.unit is not Unit.IDLE and case.workers == 1 else ""
    return _line((case.name, case.unit.cost, "ratio", case.unit.rate, *latency, "MB", each))


def row(case: Case, subject: Subject, results: Results) -> str:
    """One line: medians over the rounds, or why there are none."""
    name = f"  {subject}"
    outcomes = results.of(case.key, str(subject))
    failed = [outcome for outcome in outcomes if isinstance(outcome, Failure)]
    if failed:
        if failed[0].absent:
            return f"{name.ljust(_WIDTHS[0])}  not installed"
        reason = " ".join(failed[0].reason.split())[:_REASON]
        return f"{name.ljust(_WIDTHS[0])}  error in {len(failed)} of {len(outcomes)}: {reason}"
    cost, rate, p50, p99, memory, each = (
        results.middle(case.key, str(subject), what) for what in ("cost", "rate", "p50", "p99", "memory", "each")
    )
    share = None
    if subject.gateway != REFERENCE:
        share = results.ratio((case.key, str(subject)), (case.key, REFERENCE))
    shown = case.unit is not Unit.IDLE and case.workers == 1
    return _line(
        (
            name,
            number(cost),
            "" if share is None else f"{share:.2f}",
            number(rate),
            number(p50),
            number(p99),
            number(memory),
            number(each) if shown else "",
        )
    )


def tables(cases: Iterable[Case], results: Results) -> list[tuple[str, str]]:
    """(group, table) for each group of cases, in their order."""
    found = []
    for group, members in groupby(cases, lambda case: case.group):
        blocks = []
        for case in members:
            rows = [row(case, subject, results) for subject in case.subjects if results.of(case.key, str(subject))]
            if rows:
                blocks.append("\n".join([_heading(case), *rows]))
        if blocks:
            found.append((group, "\n\n".join(blocks)))
    return found


def _verdicts(headlines: bool, results: Results) -> list[tuple[str, str, str, str]]:
    tried = {case for case, _ in results.outcomes}
    chosen = [target for target in TARGETS if target.case in tried and (target.headline or not headlines)]
    return [
        (target.words, f"{target.limit:g}", number(target.found(results)), target.verdict(results)) for target in chosen
    ]


def targets(results: Results, headlines: bool = False) -> str:
    """Each target with what was found and whether that meets it; only those of the README with ``headlines``.

    Targets of cases that were not chosen are left out.
    """
    rows = [("ratio of wsgate to nginx, 1 is parity", "target", "found", ""), *_verdicts(headlines, results)]
    width = max(len(words) for words, *_ in rows)
    return "\n".join(
        f"{words.ljust(width)}{limit.rjust(8)}{found.rjust(8)}  {verdict}".rstrip()
        for words, limit, found, verdict in rows
    )


def machine(results: Results) -> str:
    """One line for each thing that the figures depend on."""
    width = max((len(name) for name in results.machine), default=0)
    return "\n".join(f"{name.ljust(width)}  {value}" for name, value in results.machine.items())


def measured(results: Results) -> bool:
    """Whether there is any figure at all."""
    return any(isinstance(outcome, Sample) for outcomes in results.outcomes.values() for outcome in outcomes)
