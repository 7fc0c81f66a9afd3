"""The kinds of values: what the page says of each is true."""

from __future__ import annotations

import re

import pytest

from wsgate.config import kinds
from wsgate.config.kinds import Kind
from wsgate.config.values import BadValue

ALL = [value for value in vars(kinds).values() if isinstance(value, Kind)]
NO_EXAMPLES = {"servers", "certificate names", "path pattern", "redirect", "response", "origins", "Python name"}


def test_each_kind_has_a_name_of_its_own() -> None:
    assert len({kind.name for kind in ALL}) == len(ALL)


@pytest.mark.parametrize("kind", [kind for kind in ALL if " | " in kind.name or kind.name == "round_robin"], ids=str)
def test_the_words_of_a_choice_are_its_name(kind: Kind) -> None:
    for word in kind.name.split(" | "):
        assert str(kind.parse(word)) == word


@pytest.mark.parametrize("kind", [kind for kind in ALL if kind.doc and kind.name not in NO_EXAMPLES], ids=str)
def test_the_examples_of_a_kind_are_values_of_it(kind: Kind) -> None:
    for example in re.findall("``(.*?)``", kind.doc):
        kind.parse("package.module:name" if ":name" in example else example)


@pytest.mark.parametrize("kind", [kind for kind in ALL if kind.lines], ids=str)
def test_kinds_with_lines_are_lists(kind: Kind) -> None:
    assert kind.empty == ()
    try:
        assert isinstance(kind.parse(""), tuple)
    except BadValue as bad:
        assert "at least one" in str(bad)
