"""Conditions and ranges of RFC 9110 for one file in one coding."""

from __future__ import annotations

import os
import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsgate.targets.answer import Headers
from wsgate.targets.representation import Part, Representation, accepted_codings

# Mon, 02 Jan 2023 03:04:05 GMT and a bit.
MTIME_NS = 1_672_628_645_250_000_000
DATE = "Mon, 02 Jan 2023 03:04:05 GMT"
EARLIER = "Mon, 02 Jan 2023 03:04:04 GMT"
LATER = "Mon, 02 Jan 2023 03:04:06 GMT"
NO_SINGLE_RANGE = (
    *(
        "bytes=0-1,3-4",
        "bytes=0-1, bytes=3-4",
        "bytes=-",
        "bytes=a-b",
        "lines=0-1",
        "bytes=+1-2",
        "bytes=1_0-",
        "",
        "0-1",
    ),
    *("bytes=\u0663-", "bytes=" + "9" * 5000 + "-"),
)


def representation(size: int = 10, mtime_ns: int = MTIME_NS, coding: str = "") -> Representation:
    times = {"st_mtime": mtime_ns / 10**9, "st_mtime_ns": mtime_ns}
    status = os.stat_result((stat.S_IFREG | 0o644, 1, 1, 1, 0, 0, size, 0, mtime_ns // 10**9, 0), times)
    return Representation(status, coding, [("Content-Type", "text/plain"), ("Vary", "Accept-Encoding")])


@pytest.fixture
def ten() -> Representation:
    return representation()


def described(headers: Headers) -> dict[str, str]:
    return {name.decode("ascii"): value.decode("ascii") for name, value in headers}


def fields(**values: str) -> dict[str, str]:
    return {f"HTTP_{name.upper()}": value for name, value in values.items()}


def test_the_whole_file_is_described(ten: Representation) -> None:
    status, headers, part = ten.respond("GET", {})
    assert (status, part) == (200, Part(0, 10))
    assert described(headers) == {
        "Content-Type": "text/plain",
        "Vary": "Accept-Encoding",
        "Accept-Ranges": "bytes",
        "ETag": f'"{MTIME_NS:x}-a"',
        "Last-Modified": DATE,
        "Content-Length": "10",
    }
    assert ten.respond("HEAD", {})[:2] == (status, headers)


def test_codings_differ_in_their_tags() -> None:
    plain, packed = representation(), representation(coding="gzip")
    assert plain.etag != packed.etag
    assert described(packed.respond("GET", {})[1])["Content-Encoding"] == "gzip"


class TestRanges:
    @pytest.mark.parametrize(
        ("text", "part"),
        [
            ("bytes=0-3", Part(0, 4)),
            ("bytes=0-0", Part(0, 1)),
            ("bytes=9-9", Part(9, 1)),
            ("bytes=9-", Part(9, 1)),
            ("bytes=4-", Part(4, 6)),
            ("bytes=4-999", Part(4, 6)),
            ("bytes=-3", Part(7, 3)),
            ("bytes=-10", Part(0, 10)),
            ("bytes=-99", Part(0, 10)),
            (" Bytes=1-2 ", Part(1, 2)),
        ],
    )
    def test_one_range_is_cut_out(self, ten: Representation, text: str, part: Part) -> None:
        status, headers, found = ten.respond("GET", fields(range=text))
        assert (status, found) == (206, part)
        told = described(headers)
        assert told["Content-Range"] == f"bytes {part.offset}-{part.offset + part.length - 1}/10"
        assert told["Content-Length"] == str(part.length)
        assert told["ETag"] == ten.etag

    @pytest.mark.parametrize("text", ["bytes=10-", "bytes=10-12", "bytes=99-", "bytes=-0", "bytes=5-3"])
    def test_a_range_with_nothing_in_it_is_refused(self, ten: Representation, text: str) -> None:
        status, headers, _ = ten.respond("GET", fields(range=text))
        assert (status, headers) == (416, [(b"Content-Range", b"bytes */10")])

    @pytest.mark.parametrize("text", ["bytes=0-", "bytes=0-0", "bytes=-1"])
    def test_an_empty_file_has_no_range(self, text: str) -> None:
        empty = representation(size=0)
        assert empty.respond("GET", fields(range=text))[:2] == (416, [(b"Content-Range", b"bytes */0")])
        assert empty.respond("GET", {})[2] == Part(0, 0)

    @pytest.mark.parametrize("text", NO_SINGLE_RANGE)
    def test_several_ranges_and_what_is_none_are_ignored(self, ten: Representation, text: str) -> None:
        assert ten.respond("GET", fields(range=text))[::2] == (200, Part(0, 10))

    def test_head_knows_no_ranges(self, ten: Representation) -> None:
        status, headers, _ = ten.respond("HEAD", fields(range="bytes=0-3"))
        assert (status, described(headers)["Content-Length"]) == (200, "10")

    def test_a_range_is_only_cut_from_the_file_that_the_client_knows(self, ten: Representation) -> None:
        for known in (ten.etag, DATE):
            assert ten.respond("GET", fields(range="bytes=0-3", if_range=known))[0] == 206
        for other in ('"other"', f"W/{ten.etag}", EARLIER, LATER, "nonsense", ""):
            assert ten.respond("GET", fields(range="bytes=0-3", if_range=other))[0] == 200


class TestConditions:
    def test_a_known_tag_is_not_modified(self, ten: Representation) -> None:
        for tags in (ten.etag, f"W/{ten.etag}", f'"a", {ten.etag}', f'W/"a,b",{ten.etag}', "*", " * "):
            status, headers, _ = ten.respond("GET", fields(if_none_match=tags))
            assert status == 304
            assert described(headers) == {"Vary": "Accept-Encoding", "ETag": ten.etag}

    def test_another_tag_is_modified_whatever_the_date_says(self, ten: Representation) -> None:
        for tags in ('"other"', "", ten.etag.strip('"'), '"*"', ten.etag[:-1]):
            assert ten.respond("GET", fields(if_none_match=tags, if_modified_since=LATER))[0] == 200

    @pytest.mark.parametrize(
        ("date", "status"),
        [
            (DATE, 304),
            (LATER, 304),
            (EARLIER, 200),
            ("Monday, 02-Jan-23 03:04:05 GMT", 304),
            ("Mon Jan  2 03:04:05 2023", 304),
            ("nonsense", 200),
            ("", 200),
        ],
    )
    def test_a_date_at_or_behind_the_last_change_is_not_modified(
        self, ten: Representation, date: str, status: int
    ) -> None:
        assert ten.respond("GET", fields(if_modified_since=date))[0] == status

    def test_if_match_fails_unless_a_strong_tag_is_the_same(self, ten: Representation) -> None:
        for tags in (ten.etag, "*", f'"a", {ten.etag}'):
            assert ten.respond("GET", fields(if_match=tags))[0] == 200
        for tags in ('"a"', f"W/{ten.etag}", ""):
            assert ten.respond("GET", fields(if_match=tags))[0] == 412

    def test_if_unmodified_since_fails_behind_a_change(self, ten: Representation) -> None:
        for date, status in ((DATE, 200), (LATER, 200), (EARLIER, 412), ("nonsense", 200)):
            assert ten.respond("GET", fields(if_unmodified_since=date))[0] == status
        assert ten.respond("GET", fields(if_match=ten.etag, if_unmodified_since=EARLIER))[0] == 200

    @pytest.mark.parametrize("seconds", [0, -1, -(10**9), 253_402_300_800, 2**60])
    def test_a_time_that_http_cannot_write_is_left_out(self, seconds: int) -> None:
        odd = representation(mtime_ns=seconds * 10**9)
        status, headers, _ = odd.respond("GET", fields(if_modified_since=LATER, if_unmodified_since=EARLIER))
        assert (status, described(headers)["ETag"]) == (200, odd.etag)
        assert "Last-Modified" not in described(headers)

    def test_the_last_second_with_four_digits_for_the_year_is_written(self) -> None:
        headers = representation(mtime_ns=253_402_300_799 * 10**9).respond("GET", {})[1]
        assert described(headers)["Last-Modified"] == "Fri, 31 Dec 9999 23:59:59 GMT"


SOUP = st.one_of(st.text(max_size=30), st.text('bytes=-0123456789, "W/*:JanMonGMT;+', max_size=30))


@given(st.fixed_dictionaries({}, optional=dict.fromkeys(("range", "if_range", "if_match", "if_none_match"), SOUP)))
def test_no_condition_raises_or_asks_for_more_than_the_file(values: dict[str, str]) -> None:
    file = Representation(os.stat(__file__), "", [])
    status, _, part = file.respond("GET", fields(**values))
    assert status in (200, 206, 304, 412, 416)
    assert 0 <= part.offset <= part.offset + part.length <= file.size


@given(SOUP)
def test_no_date_raises(text: str) -> None:
    file = Representation(os.stat(__file__), "", [])
    for name in ("if_modified_since", "if_unmodified_since", "if_range"):
        assert file.respond("GET", fields(**{name: text, "range": "bytes=0-0"}))[0] in (200, 206, 304, 412)


@pytest.mark.parametrize(
    ("field", "codings"),
    [
        ("gzip, deflate, br", {"gzip", "deflate", "br"}),
        ("GZIP;q=1.0, br ; q=0.5", {"gzip", "br"}),
        ("gzip;q=0, br;q=0.000", set()),
        ("x-gzip", {"gzip"}),
        ("*", {"*"}),
        ("identity", {"identity"}),
        ("", set()),
        ("gzip;q=x, br;level=3, ;;,", set()),
        ("notgzip, gzip2", {"notgzip", "gzip2"}),
    ],
)
def test_a_coding_is_taken_by_its_whole_name_and_weight(field: str, codings: set[str]) -> None:
    assert accepted_codings(field) == codings
