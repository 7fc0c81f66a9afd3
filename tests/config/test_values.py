"""Single values: what is written is read, and what cannot be read is told with an example."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsgate.config import values
from wsgate.config.values import BadValue, ItemFault


@given(st.integers(1, int(values.MAX_DURATION * 1000)))
def test_a_formatted_duration_is_read_back(milliseconds: int) -> None:
    seconds = milliseconds / 1000
    assert values.duration(values.duration_text(seconds)) == seconds


@given(st.integers(1, values.MAX_SIZE))
def test_a_formatted_size_is_read_back(size: int) -> None:
    assert values.size(values.size_text(size)) == size


def test_nothing_is_formatted_as_off() -> None:
    assert values.duration_or_off(values.duration_text(0)) == 0
    assert values.size_or_off(values.size_text(0)) == 0


@given(st.integers(0, values.MAX_COUNT))
def test_a_count_is_read_back(count: int) -> None:
    assert values.count(str(count)) == count


@given(st.integers(0, 10_000))
def test_a_percentage_is_read_back_as_a_share(hundredths: int) -> None:
    assert values.share(f"{hundredths / 100:.2f}%") == pytest.approx(hundredths / 10_000)


@given(st.integers(0, 0o777))
def test_permissions_are_read_back(mode: int) -> None:
    assert values.file_mode(f"{mode:04o}") == values.file_mode(f"{mode:03o}") == mode


@given(st.lists(st.integers(0, values.MAX_COUNT), max_size=5), st.sampled_from([",", ", ", "\n", ",\n"]))
def test_a_list_goes_by_comma_or_line(counts: list[int], separator: str) -> None:
    assert values.listed(values.count)(separator.join(map(str, counts))) == tuple(counts)


GOOD: list[tuple[Callable[[str], Any], str, Any]] = [
    (values.duration, "500ms", 0.5),
    (values.duration, "10s", 10.0),
    (values.duration, "5m", 300.0),
    (values.duration, "1h", 3600.0),
    (values.duration, "1d", 86400.0),
    (values.duration_or_off, "off", 0.0),
    (values.duration_or_off, "0", 0.0),
    (values.duration_or_off, "1s", 1.0),
    (values.size, "4096", 4096),
    (values.size, "64k", 65536),
    (values.size, "1M", 1048576),
    (values.size, "2g", 2147483648),
    (values.size_or_off, "off", 0),
    (values.size_or_off, "0", 0),
    (values.size_or_off, "1", 1),
    (values.size_or_auto, "auto", None),
    (values.size_or_auto, "off", 0),
    (values.size_or_auto, "512m", 512 << 20),
    (values.switch, "on", True),
    (values.switch, "off", False),
    (values.positive, "1", 1),
    (values.rate, "0.5", 0.5),
    (values.rate, "100", 100.0),
    (values.rate, "off", 0.0),
    (values.share, "10%", 0.1),
    (values.line, "any; text = here", "any; text = here"),
    (values.file_path, "run/../key.pem", Path("run/../key.pem")),
    (values.path_or("-", "off", example="x"), "-", "-"),
    (values.path_or("-", "off", example="x"), "logs/off", Path("logs/off")),
    (values.file_name, "index.html", "index.html"),
    (values.choice("text", "json"), "json", "json"),
    (values.python_name, "a.b_c:D.e", "a.b_c:D.e"),
    (values.method, "GET", "GET"),
    (values.method, "M-SEARCH", "M-SEARCH"),
    (values.section_name, "a" * 64, "a" * 64),
    (values.section_name, "web-1.example_org", "web-1.example_org"),
]


@pytest.mark.parametrize(("parse", "text", "value"), GOOD)
def test_good_values(parse: Callable[[str], Any], text: str, value: Any) -> None:
    read = parse(text)
    assert read == value
    assert type(read) is type(value)


BAD: list[tuple[Callable[[str], Any], list[str], str]] = [
    (
        values.duration,
        ["", "0", "0s", "10", "5x", "-1s", "1.5s", "1h30m", "10 s", "1001d", "9" * 30 + "s", "٣s"],
        "10s",
    ),
    (values.duration_or_off, ["never", "1"], "or off"),
    (values.size, ["", "0", "k", "64kb", "-1", "1.5m", "2048g", "1 k"], "64k"),
    (values.size_or_off, ["none", "1x"], "or off"),
    (values.size_or_auto, ["none", "1x", "AUTO"], "or off, or auto"),
    (values.count, ["", "-1", "1.0", "1e3", "2000000000", "٣"], "whole number from 0"),
    (values.positive, ["", "0", "x"], "whole number from 1"),
    (values.rate, ["", "-1", "1/s", "nan", "inf", "1."], "a number such as 100 or 0.5"),
    (values.share, ["", "10", "101%", "-1%", "%"], "10%"),
    (values.switch, ["", "On", "yes", "true", "1"], "on or off"),
    (values.file_mode, ["", "660x", "0999", "1777", "66"], "0660"),
    (values.file_path, ["", "~/key"], "a path such as"),
    (values.file_name, ["", ".", "..", ".htaccess", "a/b", "/"], "such as index.html"),
    (values.path_or("-", "off", example="logs/a.log"), [""], "-, off or a path such as logs/a.log"),
    (values.path_or("-", example="x"), ["~root/x"], "~ is not expanded"),
    (values.choice("frames", "off"), ["", "frame", "on"], "expected frames or off"),
    (values.choice("frames", "off"), ["frmes"], "did you mean frames?"),
    (values.python_name, ["", "module", "module:", ":name", "a-b:c", "a..b:c", "a:1"], "package.module:name"),
    (values.method, ["", "get", "GET POST", "G" * 33], "GET or POST"),
    (values.section_name, ["", "a b", "-a", "é", "a/b", "a" * 65], "a name of letters"),
]


@pytest.mark.parametrize(
    ("parse", "text", "told"), [(parse, text, told) for parse, texts, told in BAD for text in texts]
)
def test_bad_values_are_told_with_what_would_be_right(parse: Callable[[str], Any], text: str, told: str) -> None:
    with pytest.raises(BadValue) as caught:
        parse(text)
    assert told in str(caught.value)


def test_a_number_is_never_near_another() -> None:
    with pytest.raises(BadValue, match="^expected 1.2 or 1.3$"):
        values.choice("1.2", "1.3")("1.1")


def test_all_bad_items_of_a_list_are_told_with_their_rows() -> None:
    with pytest.raises(BadValue) as caught:
        values.listed(values.switch)("on, yes\noff\nno")
    assert caught.value.faults == (ItemFault("expected on or off", "yes", 0), ItemFault("expected on or off", "no", 2))


def test_a_list_that_must_have_an_item_says_so() -> None:
    assert values.listed(values.switch)(" ,\n") == ()
    with pytest.raises(BadValue, match="^at least one$"):
        values.listed(values.switch, empty="at least one")(" ,\n")


PARSERS = [parse for parse, _, _ in GOOD]


@given(st.sampled_from(PARSERS), st.text(max_size=20))
def test_no_text_escapes_the_error_of_its_parser(parse: Callable[[str], Any], text: str) -> None:
    try:
        parse(text)
    except BadValue as bad:
        assert str(bad)
