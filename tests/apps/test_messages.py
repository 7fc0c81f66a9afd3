from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.apps.visitors import FakeVisitor, say, visit
from wsgate.apps.messages import BadMessage, JsonApplication, choices, decode, encode, integer, text


@pytest.mark.parametrize(
    ("payload", "binary"),
    [
        (b'{"type":"say"}', True),
        (b"", False),
        (b"hello", False),
        (b"[]", False),
        (b'"type"', False),
        (b"{}", False),
        (b'{"type":7}', False),
        (b'{"type":"a","n":NaN}', False),
        (b'{"type":"a","n":-Infinity}', False),
        (b"[" * 65_536, False),
        (b'{"type":"a","n":' + b"9" * 60_000 + b"}", False),
    ],
)
def test_what_is_no_message_says_what_would_be_right(payload: bytes, binary: bool) -> None:
    with pytest.raises(BadMessage, match="^send "):
        decode(payload, binary)


@given(st.binary(max_size=200), st.booleans())
def test_no_input_escapes_the_one_error(payload: bytes, binary: bool) -> None:
    try:
        message = decode(payload, binary)
    except BadMessage:
        return
    assert isinstance(message["type"], str)


@given(st.text(st.characters(exclude_categories=["Cs"])), st.integers(), st.lists(st.integers()))
def test_what_is_encoded_decodes_to_the_same(word: str, number: int, numbers: list[int]) -> None:
    message = decode(encode("kind", word=word, number=number, numbers=numbers), False)
    assert message == {"type": "kind", "word": word, "number": number, "numbers": numbers}


@pytest.mark.parametrize("value", [None, True, 1.0, "1", -1, 8, 2**70, [1]])
def test_an_integer_has_its_bounds_and_is_no_boolean(value: object) -> None:
    with pytest.raises(BadMessage, match="^x must be a whole number from 0 to 7$"):
        integer({"x": value}, "x", 0, 7)


def test_an_integer_that_is_left_out_has_its_default() -> None:
    assert integer({}, "x", 0, 7, default=3) == 3
    assert integer({"x": 0}, "x", 0, 7, default=3) == 0


@pytest.mark.parametrize(
    "value", [None, 7, "", "   ", "\x00\x1b", "\u202e", "\u200d", "\ud800", "12345678901", "a" * 500]
)
def test_a_text_has_its_bounds(value: object) -> None:
    with pytest.raises(BadMessage, match="^name must be text of 1 to 10 characters$"):
        text({"name": value}, "name", 10)


@pytest.mark.parametrize(
    ("value", "read"),
    [
        ("Ada", "Ada"),
        ("  Ada \n\t Byron ", "Ada Byron"),
        ("A\u202eda\x00", "Ada"),
        ("\ud83dA", "A"),
        ("👩\u200d🚀", "👩\u200d🚀"),
        ("Zoë", "Zoë"),
    ],
)
def test_a_text_is_cleaned_of_what_nobody_sees(value: str, read: str) -> None:
    assert text({"name": value}, "name", 10) == read


@given(st.text(max_size=60))
def test_a_text_can_always_be_sent_on_and_cleaning_it_again_changes_nothing(value: str) -> None:
    try:
        read = text({"name": value}, "name", 40)
    except BadMessage:
        return
    assert json.loads(encode("said", text=read))["text"] == read
    assert text({"name": read}, "name", 40) == read
    assert len(read) <= 40


def test_choices_come_in_the_known_order_each_once() -> None:
    assert choices({"pick": ["c", "a", "c"]}, "pick", ("a", "b", "c")) == ("a", "c")
    assert choices({"pick": []}, "pick", ("a",)) == ()


@pytest.mark.parametrize("value", [None, "a", {"a": 1}, ["a", "z"], [["a"]], [1]])
def test_choices_are_a_list_of_known_names(value: object) -> None:
    with pytest.raises(BadMessage, match="^pick must be a list of: a, b$"):
        choices({"pick": value}, "pick", ("a", "b"))


def test_an_application_greets_with_its_commands_and_obeys_the_one_named() -> None:
    obeyed: list[object] = []
    app = JsonApplication("demo", {"go": lambda visitor, message: obeyed.append(message["n"])})
    visitor = visit(app)
    assert visitor.told() == [{"type": "hello", "app": "demo", "commands": ["go"]}]
    assert app.subprotocols == ("wsgate.demo",)
    assert say(app, visitor, type="go", n=5) == []
    assert obeyed == [5]
    app.closed(visitor)


def test_an_unknown_type_is_answered_with_the_known_ones_and_not_repeated() -> None:
    app = JsonApplication("demo", {"go": lambda visitor, message: None, "stop": lambda visitor, message: None})
    assert say(app, FakeVisitor(), type="<b>") == [{"type": "error", "text": "type must be one of: go, stop"}]


def test_bad_input_is_answered_with_an_error() -> None:
    app = JsonApplication("demo", {})
    visitor = FakeVisitor()
    app.received(visitor, b"\xff\x00", True)
    assert visitor.told() == [{"type": "error", "text": "send text, not binary"}]
