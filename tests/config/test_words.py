"""Values of several words."""

from __future__ import annotations

import pytest

from wsgate.config.values import BadValue, count, duration
from wsgate.config.words import worded

OPTIONS = {"rise": count, "interval": duration}


def test_options_and_flags_come_in_any_order_and_are_parsed() -> None:
    found = worded("word", ["fast", "interval=2s", "rise=3"], OPTIONS, ["fast", "slow"])
    assert found == {"fast": True, "interval": 2.0, "rise": 3}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["rise=1", "rise=2"], "rise is given twice"),
        (["fast", "fast"], "fast is given twice"),
        (["rise=x"], "rise=x: expected a whole number"),
        (["rise"], "unknown word rise"),
        (["fast=1"], "unknown word fast=1"),
        (["risen=1"], "unknown word risen=1"),
    ],
)
def test_what_is_wrong_is_told_with_its_word(words: list[str], told: str) -> None:
    with pytest.raises(BadValue, match=told):
        worded("word", words, OPTIONS, ["fast"])
