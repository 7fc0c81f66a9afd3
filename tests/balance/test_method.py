"""The balance option is read strictly, and wrong ones are told what would be right."""

from __future__ import annotations

import pytest

from wsgate.balance.method import Balance, KeyKind, Method, parse_balance


@pytest.mark.parametrize(
    ("text", "balance"),
    [
        ("round_robin", Balance(Method.ROUND_ROBIN)),
        ("least_conn", Balance(Method.LEAST_CONN)),
        ("random_two", Balance(Method.RANDOM_TWO)),
        ("first", Balance(Method.FIRST)),
        ("hash client", Balance(Method.HASH, KeyKind.CLIENT)),
        ("hash host", Balance(Method.HASH, KeyKind.HOST)),
        ("hash path", Balance(Method.HASH, KeyKind.PATH)),
        ("hash header X-User", Balance(Method.HASH, KeyKind.HEADER, "X-User")),
        ("hash cookie sid", Balance(Method.HASH, KeyKind.COOKIE, "sid")),
        ("hash argument room", Balance(Method.HASH, KeyKind.ARGUMENT, "room")),
    ],
)
def test_every_method_is_read_and_written(text: str, balance: Balance) -> None:
    assert parse_balance(f"  {text} ") == balance
    assert str(balance) == text


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("", "expected one of round_robin, least_conn, random_two, hash, first, not ''"),
        ("fair", "not 'fair'"),
        ("first x", "first takes nothing behind it"),
        ("hash", "expected hash client, host, path"),
        ("hash moon", "expected hash client, host, path"),
        ("hash cookie", "expected hash cookie NAME"),
        ("hash cookie a b", "expected hash cookie NAME"),
        ("hash client x", "hash client takes nothing behind it"),
    ],
)
def test_what_is_wrong_is_told(text: str, hint: str) -> None:
    with pytest.raises(ValueError, match=hint):
        parse_balance(text)
