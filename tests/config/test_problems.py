"""Problems: each has its place, none hides another, and near names are offered."""

from __future__ import annotations

import pytest

from wsgate.config.ini import read
from wsgate.config.problems import ConfigError, Findings, Problem, nearest, shown, unknown
from wsgate.errors import WsgateError

TEXT = "[gateway]\n[listener web]\nbind =\n    127.0.0.1:80\n    [::1]:80\ntls = off\nmode =\n"


@pytest.fixture
def findings() -> Findings:
    found = Findings("gate.ini")
    for section in read(TEXT).sections:
        found.place(section)
    return found


def told(findings: Findings) -> list[str]:
    return [str(problem) for problem in findings.problems]


def test_a_problem_is_told_with_file_line_section_option_and_value(findings: Findings) -> None:
    findings.problem("listener", "web", "tls", "why")
    assert told(findings) == ["gate.ini:6: [listener web] tls = off: why"]


def test_a_problem_with_an_item_is_told_with_the_line_of_the_item(findings: Findings) -> None:
    findings.problem("listener", "web", "bind", "why", item="[::1]:80")
    findings.problem("listener", "web", "bind", "not there", item="[::2]:80")
    assert told(findings) == [
        "gate.ini:5: [listener web] bind = [::1]:80: why",
        "gate.ini:3: [listener web] bind = 127.0.0.1:80 [::1]:80: not there",
    ]


def test_a_problem_with_what_is_not_written_is_told_at_the_header_or_the_file(findings: Findings) -> None:
    findings.problem("listener", "web", "upstream", "why")
    findings.problem("listener", "web", "", "why")
    findings.problem("route", "gone", "path", "why")
    findings.problem("tls", "", "key", "why")
    assert told(findings) == [
        "gate.ini:2: [listener web]: why",
        "gate.ini:2: [listener web]: why",
        "gate.ini: [route gone]: why",
        "gate.ini: why",
    ]


def test_a_bad_value_gets_no_second_problem(findings: Findings) -> None:
    (_, section) = read(TEXT).sections
    findings.bad_value(section, "bind", 4, "127.0.0.1:80", "first")
    findings.problem("listener", "web", "bind", "second")
    assert told(findings) == ["gate.ini:4: [listener web] bind = 127.0.0.1:80: first"]
    assert findings.is_bad("listener", "web", "mode", "bind")
    assert not findings.is_bad("listener", "web", "mode")


def test_only_what_is_switched_on_counts_as_set(findings: Findings) -> None:
    asked = {option: findings.is_set("listener", "web", option) for option in ("bind", "tls", "mode", "backlog")}
    assert asked == {"bind": True, "tls": False, "mode": False, "backlog": False}
    assert not findings.is_set("listener", "other", "bind")


def test_all_problems_are_raised_in_the_order_of_the_file(findings: Findings) -> None:
    findings.raise_problems()
    findings.problem("listener", "web", "tls", "third")
    findings.problem("listener", "web", "", "second")
    findings.at(0, "", "first")
    with pytest.raises(ConfigError) as caught:
        findings.raise_problems()
    assert isinstance(caught.value, WsgateError)
    assert [problem.text for problem in caught.value.problems] == ["first", "second", "third"]
    assert str(caught.value).splitlines()[0] == "gate.ini: first"


def test_lines_of_sections_are_known(findings: Findings) -> None:
    assert (findings.line("listener", "web"), findings.line("gateway", ""), findings.line("tls", "x")) == (2, 1, 0)


def test_parts_that_are_missing_leave_no_colons_behind() -> None:
    assert str(Problem("a.ini", 3, "", "why")) == "a.ini:3: why"


def test_values_are_shown_on_one_line_and_not_too_long() -> None:
    assert shown("a\n  b\t c") == "a b c"
    assert shown("x" * 72) == "x" * 72
    assert shown("x" * 73) == "x" * 72 + "..."


def test_the_nearest_name_is_found_whatever_its_case_and_hyphens() -> None:
    known = ["max_head", "max_fields", "bind"]
    assert nearest("MAX-HEAD", known) == "max_head"
    assert nearest("bnid", known) == "bind"
    assert nearest("colour", known) == ""
    assert nearest("x", []) == ""


def test_an_unknown_name_is_refused_with_the_nearest_or_all() -> None:
    assert unknown("option", "bnd", ["bind", "mode"]) == "unknown option bnd: did you mean bind?"
    assert unknown("option", "xyz", ["bind", "mode"]) == "unknown option xyz; known: bind, mode"
    assert unknown("option", "xyz", []) == "unknown option xyz; there is none"
