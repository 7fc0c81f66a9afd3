"""From measurements to figures: medians, ratios within rounds, verdicts, and pages with parts that are made."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import page
from bench.cases import Case, Subject, Unit, all_cases
from bench.loads import Sample, read_gwbench, read_s_time, read_wrk
from bench.outcomes import Failure, Results, load
from bench.ruler import BenchError
from bench.table import number, tables, targets
from bench.targets import TARGETS, Target

NGINX, WSGATE = Subject("nginx"), Subject("wsgate")
ECHO = Case("Layer 4", "echo", Unit.MESSAGE, "l4", (), (NGINX, WSGATE))

ANSWER = {
    "conns": 1,
    "errors": 0,
    "msgs": 10,
    "handshakes": 1,
    "resumed": 0,
    "cpu_us_per_msg": 7.5,
    "msgs_per_s": 100,
    "p50_us": 20,
    "p99_us": 90,
    "rss_kB": 4000,
    "rss_growth_kB_per_conn": 3,
}


def _results(*rounds: tuple[float, float]) -> Results:
    results = Results()
    for nginx, own in rounds:
        results.add(ECHO, NGINX, Sample(nginx, 1000, 100, 200, 20))
        results.add(ECHO, WSGATE, Sample(own, 500, 150, 400, 60))
    return results


def test_a_ratio_is_the_median_of_the_ratios_within_rounds() -> None:
    results = _results((10, 10), (10, 20), (100, 150))
    assert results.middle(ECHO.key, "wsgate", "cost") == 20
    assert results.ratio((ECHO.key, "wsgate"), (ECHO.key, "nginx")) == 1.5


def test_a_round_that_failed_or_cost_nothing_has_no_ratio() -> None:
    results = _results((0, 10))
    assert results.ratio((ECHO.key, "wsgate"), (ECHO.key, "nginx")) is None
    results.add(ECHO, NGINX, Failure("gone"))
    results.add(ECHO, WSGATE, Sample(5))
    assert results.ratio((ECHO.key, "wsgate"), (ECHO.key, "nginx")) is None


def test_the_table_has_a_row_for_each_subject() -> None:
    [(group, text)] = tables([ECHO], _results((10, 15)))
    heading, nginx, own = text.splitlines()
    assert group == "Layer 4"
    assert heading.split() == ["echo", "us/message", "ratio", "messages/s", "p50", "us", "p99", "us", "MB"]
    assert nginx.split() == ["nginx", "10.0", "1,000", "100", "200", "20.0"]
    assert own.split() == ["wsgate", "15.0", "1.50", "500", "150", "400", "60.0"]


def test_what_failed_and_what_is_absent_stand_in_the_table() -> None:
    results = Results()
    results.add(ECHO, NGINX, Failure("not installed: apt-get install nginx", absent=True))
    results.add(ECHO, WSGATE, Sample(5))
    results.add(ECHO, WSGATE, Failure("3 connections failed:\npayload differs"))
    [(_, text)] = tables([ECHO], results)
    _, nginx, own = text.splitlines()
    assert nginx.split(maxsplit=1)[1] == "not installed"
    assert own.split(maxsplit=1)[1] == "error in 1 of 2: 3 connections failed: payload differs"
    assert results.failures() == [f"{ECHO.key}, wsgate: 3 connections failed:\npayload differs"]


def test_results_are_the_same_after_they_were_kept(tmp_path: Path) -> None:
    results = _results((10, 15))
    results.add(ECHO, WSGATE, Failure("gone"))
    results.machine = {"kernel": "6"}
    results.save(tmp_path / "kept" / "results.json")
    assert load(tmp_path / "kept" / "results.json") == results


@pytest.mark.parametrize(("own", "verdict"), [(15.04, "met"), (15.06, "missed")])
def test_a_target_is_met_up_to_its_limit(own: float, verdict: str) -> None:
    """Two figures after the point count, as they are printed."""
    target = Target("echo", ECHO.key, "wsgate", 1.5)
    assert target.verdict(_results((10, own))) == verdict


def test_a_target_may_be_absolute_or_to_another_case() -> None:
    results = _results((10, 15))
    assert Target("us", ECHO.key, "wsgate", 20, against="").found(results) == 15
    assert Target("p50", ECHO.key, "wsgate", 20, "p50").found(results) == 1.5
    results.add(Case("Growth", "more", Unit.MESSAGE, "l4", (), (WSGATE,)), WSGATE, Sample(30))
    assert Target("growth", "Growth: more", "wsgate", 1.2, against=ECHO.key).found(results) == 2


def test_every_target_is_of_a_case_and_a_subject_that_exist() -> None:
    known = {(case.key, str(subject)) for case in all_cases() for subject in case.subjects}
    assert not [target for target in TARGETS if (target.case, target.subject) not in known]
    others = [
        (target.against, target.subject) if ":" in target.against else (target.case, target.against)
        for target in TARGETS
        if target.against
    ]
    assert not [other for other in others if other not in known]


def test_targets_that_were_not_tried_are_left_out() -> None:
    results = Results()
    scanner = next(case for case in all_cases() if case.group == "Scanner")
    results.add(scanner, Subject("wsgate", "frames"), Sample(0.4))
    assert [line.split()[-3:] for line in targets(results).splitlines()[1:]] == [["1.5", "0.40", "met"]]


@pytest.mark.parametrize(
    ("value", "expected"), [(None, ""), (0.126, "0.13"), (12.34, "12.3"), (123.4, "123"), (12345.6, "12,346")]
)
def test_numbers_have_three_figures(value: float | None, expected: str) -> None:
    assert number(value) == expected


def test_an_answer_of_gwbench_is_a_sample() -> None:
    assert read_gwbench(ECHO, ANSWER) == Sample(7.5, 100, 20, 90, 4)


@pytest.mark.parametrize(
    ("wrong", "reason"), [({"errors": 2}, "2 connections failed: it says nothing"), ({"msgs": 0}, "nothing came back")]
)
def test_an_answer_with_errors_or_without_messages_is_none(wrong: dict[str, int], reason: str) -> None:
    with pytest.raises(BenchError, match=reason):
        read_gwbench(ECHO, {**ANSWER, **wrong})


def test_sessions_that_are_not_resumed_are_no_resumption() -> None:
    case = Case("TLS", "resumed", Unit.CONNECTION, "l4tls", ("--resume",), (WSGATE,))
    with pytest.raises(BenchError, match="0 of 10 sessions were resumed"):
        read_gwbench(case, {**ANSWER, "cpu_us_per_conn": 1, "conns_per_s": 1})


WRK = """
  Latency Distribution
     50%  843.00us
     75%    1.10ms
     90%    1.50ms
     99%    2.25ms
  2000 requests in 1.00s, 2.5MB read
Requests/sec:   1999.50
"""


def test_what_wrk_prints_is_a_sample() -> None:
    assert read_wrk(WRK, 0.5, 20) == Sample(250, 1999.5, 843, 2250, 20)


@pytest.mark.parametrize("line", ["  Non-2xx or 3xx responses: 5", "  Socket errors: connect 0, read 3, write 0"])
def test_answers_that_wrk_does_not_like_are_an_error(line: str) -> None:
    with pytest.raises(BenchError, match=line.strip()):
        read_wrk(f"{WRK}{line}\n", 0.5, 20)


def test_what_s_time_prints_is_a_sample() -> None:
    text = "starting\n****\n\n4 connections in 0.01s; 400.00 connections/user sec, bytes read 0\n"
    text += "4 connections in 2 real seconds, 0 bytes read per connection\n"
    assert read_s_time(text, False, 0.004, 2, 20) == Sample(1000, 2, None, None, 20)
    with pytest.raises(BenchError, match="0 of 4 sessions were resumed"):
        read_s_time(text, True, 0.004, 2, 20)
    assert read_s_time(text.replace("****", "rrrr"), True, 0.004, 2, 20).cost == 1000


def test_a_part_of_a_page_is_replaced_and_the_rest_stays() -> None:
    before = "Text\n\n.. bench: x, made by ``make bench``\n\nold\n\n.. bench: end of x\n\nMore\n"
    after = page.replaced(before, "x", "new \\1")
    assert after == before.replace("old", "new \\1")
    assert page.replaced(after, "x", "new \\1") == after
    with pytest.raises(BenchError, match="no part 'y'"):
        page.replaced(before, "y", "")


def test_the_pages_of_the_tree_have_the_parts(tmp_path: Path) -> None:
    """A run can write its figures."""
    copies = [tmp_path / path.name for path in (page.PAGE, page.README)]
    for copy, path in zip(copies, (page.PAGE, page.README), strict=True):
        copy.write_text(path.read_text())
    results = _results((10, 15))
    results.machine = {"kernel": "6.0"}
    page.write([ECHO], results, *copies)
    written = copies[0].read_text()
    assert "    kernel  6.0\n" in written
    assert "Layer 4\n~~~~~~~\n\n::\n\n    echo" in written
