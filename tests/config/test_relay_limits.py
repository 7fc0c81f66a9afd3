"""The limits of a WebSocket in the table of options."""

from __future__ import annotations

from dataclasses import fields

from wsgate.config.model import RelayLimits
from wsgate.config.options import LIMITS, of_section
from wsgate.config.relay_limits import LIMIT_ROWS


def test_the_rows_are_the_limits_of_the_model() -> None:
    assert [row[0] for row in LIMIT_ROWS] == list(LIMITS) == [field.name for field in fields(RelayLimits)]


def test_every_flood_has_a_limit_without_being_asked_for() -> None:
    defaults = {row[0]: of_section("route")[row[0]].fallback() for row in LIMIT_ROWS}
    assert all(defaults[name] > 0 for name in ("max_message", "max_fragments", "control_rate", "control_burst"))
