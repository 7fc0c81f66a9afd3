"""What was measured so far: for each case and subject one outcome a round, kept as JSON between runs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from bench.cases import Case, Subject
from bench.loads import Sample


@dataclass(frozen=True, slots=True)
class Failure:
    """A measurement that was not taken; ``absent`` where only a program is not installed."""

    reason: str
    absent: bool = False


Outcome = Sample | Failure


@dataclass(slots=True)
class Results:
    """Outcomes by (case's key, subject), in the order of the rounds; ``machine`` says where and when."""

    machine: Mapping[str, str] = field(default_factory=dict)
    outcomes: dict[tuple[str, str], list[Outcome]] = field(default_factory=dict)

    def add(self, case: Case, subject: Subject, outcome: Outcome) -> None:
        self.outcomes.setdefault((case.key, str(subject)), []).append(outcome)

    def of(self, case: str, subject: str) -> Sequence[Outcome]:
        return self.outcomes.get((case, subject), ())

    def middle(self, case: str, subject: str, what: str) -> float | None:
        """The median of a field of `Sample` over the rounds; None where there is none."""
        values = [
            value
            for outcome in self.of(case, subject)
            if isinstance(outcome, Sample) and (value := getattr(outcome, what)) is not None
        ]
        return float(median(values)) if values else None

    def ratio(self, own: tuple[str, str], other: tuple[str, str], what: str = "cost") -> float | None:
        """The median of the ratios within each round: rounds on a shared machine differ more than gateways do."""
        found = []
        for mine, theirs in zip(self.of(*own), self.of(*other), strict=False):
            if isinstance(mine, Sample) and isinstance(theirs, Sample):
                upper, lower = getattr(mine, what), getattr(theirs, what)
                if upper is not None and lower:
                    found.append(upper / lower)
        return float(median(found)) if found else None

    def failures(self) -> list[str]:
        """What went wrong, a line each; what is not installed is not wrong."""
        return [
            f"{case}, {subject}: {outcome.reason}"
            for (case, subject), outcomes in self.outcomes.items()
            for outcome in outcomes
            if isinstance(outcome, Failure) and not outcome.absent
        ]

    def save(self, path: Path) -> None:
        rows = [
            {"case": case, "subject": subject, "rounds": [asdict(outcome) for outcome in outcomes]}
            for (case, subject), outcomes in self.outcomes.items()
        ]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"machine": dict(self.machine), "rows": rows}, indent=1) + "\n")


def load(path: Path) -> Results:
    """What `Results.save` wrote."""
    stored: dict[str, Any] = json.loads(path.read_text())
    outcomes: dict[tuple[str, str], list[Outcome]] = {
        (row["case"], row["subject"]): [
            Failure(**outcome) if "reason" in outcome else Sample(**outcome) for outcome in row["rounds"]
        ]
        for row in stored["rows"]
    }
    return Results(stored["machine"], outcomes)
