"""When a certificate is asked for: pure arithmetic, so that a year passes in a test at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

#: The first wait after a failure; each further one doubles it.  Authorities bound failures by the hour.
FIRST_WAIT = timedelta(minutes=5)
LONGEST_WAIT = timedelta(days=1)

#: Renewals are spread over this share of the lifetime, so that gateways started together do not ask together.
SPREAD = 0.05


@dataclass(frozen=True, slots=True)
class Renewal:
    """What is known of one section: when to renew, and since when and how often that failed."""

    renew_at: datetime | None = None
    retry_at: datetime | None = None
    failures: int = 0
    error: str = ""

    @classmethod
    def read(cls, facts: Mapping[str, Any]) -> Renewal:
        """From what ``facts`` wrote; what cannot be read counts as not known."""
        failures = facts.get("failures", 0)
        return cls(
            _moment(facts.get("renew_at")),
            _moment(facts.get("retry_at")),
            failures if isinstance(failures, int) and failures > 0 else 0,
            str(facts.get("error", "")),
        )

    def facts(self) -> dict[str, Any]:
        """The same as JSON has it."""
        return {
            "renew_at": self.renew_at.isoformat() if self.renew_at else None,
            "retry_at": self.retry_at.isoformat() if self.retry_at else None,
            "failures": self.failures,
            "error": self.error,
        }

    def due(self, now: datetime, *, serves: bool) -> bool:
        """Whether to ask now; ``serves``: there is a certificate for all names that has not expired."""
        if self.retry_at is not None and now < self.retry_at:
            return False
        return not serves or self.renew_at is not None and now >= self.renew_at

    def failed(self, now: datetime, error: str, chance: float) -> Renewal:
        """After another failure; ``chance`` is from 0 to 1."""
        wait = min(LONGEST_WAIT, FIRST_WAIT * 2 ** min(self.failures, 20))
        return Renewal(self.renew_at, now + wait * (0.75 + chance / 2), self.failures + 1, error)


def renewed(not_before: datetime, not_after: datetime, chance: float, *, suggested: datetime | None = None) -> Renewal:
    """After a success: two thirds of the lifetime from its start, or when the authority suggests it (RFC 9773)."""
    lifetime = not_after - not_before
    own = not_before + lifetime * (2 / 3 + chance * SPREAD)
    if suggested is not None and not_before < suggested < not_after:
        return Renewal(suggested)
    return Renewal(own)


def _moment(text: object) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
    return moment.replace(tzinfo=UTC) if moment is not None and moment.tzinfo is None else moment
