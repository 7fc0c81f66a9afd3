"""Quoted text reads back, holds nothing that ends a field or a line, and keeps to its length."""

from __future__ import annotations

from json.encoder import encode_basestring_ascii as json_quoted

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsgate.observe.quoting import Quote, fitting, text_bare, text_quoted

anything = st.text(st.characters(exclude_categories=())) | st.text(st.sampled_from('a"\\ =\n\x00\x7f\x85\u2028é😀'))


def unquoted(shown: str) -> str:
    return shown[1:-1].encode("ascii").decode("unicode_escape")


@given(anything)
def test_quoted_text_reads_back_and_has_no_quote_inside(text: str) -> None:
    shown = text_quoted(text)
    assert shown.isascii() and shown.isprintable()
    assert '"' not in shown[1:-1]
    assert unquoted(shown) == text


@given(anything)
def test_bare_text_has_nothing_to_be_mistaken_for(text: str) -> None:
    shown = text_bare(text)
    assert shown == text_quoted(text) or (shown == text and not set(text) & set(' "=,\\{}'))


@pytest.mark.parametrize(
    ("text", "shown"),
    [("127.0.0.1:80", "127.0.0.1:80"), ("[::1]:80", "[::1]:80"), ("", '""'), ("a b", '"a b"'), ("a=b", '"a=b"')],
)
def test_text_is_quoted_only_where_it_must_be(text: str, shown: str) -> None:
    assert text_bare(text) == shown


@given(anything, st.integers(5, 60), st.sampled_from([text_quoted, text_bare, json_quoted]))
def test_text_is_cut_only_when_it_is_too_long_and_then_fits(text: str, limit: int, quote: Quote) -> None:
    shown = fitting(text, limit, quote)
    assert len(shown) <= limit
    assert shown == quote(text) or "..." in shown


def test_as_much_as_fits_is_kept() -> None:
    assert fitting("a" * 100_000, 20, text_quoted) == '"' + "a" * 15 + '..."'
    assert fitting("\x00" * 100_000, 40, text_quoted) == '"' + r"\x00" * 8 + '..."'
