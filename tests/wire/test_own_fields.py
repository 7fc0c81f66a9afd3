"""Fields that the gateway adds to answers."""

from __future__ import annotations

from wsgate.wire.own_fields import origin_fields, with_hsts

HSTS = (b"Strict-Transport-Security", b"max-age=60")


def test_an_answer_of_the_gateways_own_has_the_date_in_the_form_of_http() -> None:
    assert origin_fields(784111777, "") == [(b"Date", b"Sun, 06 Nov 1994 08:49:37 GMT")]
    assert origin_fields(784111778, "") == [(b"Date", b"Sun, 06 Nov 1994 08:49:38 GMT")]


def test_the_software_is_named_only_where_the_operator_says_so() -> None:
    assert origin_fields(0, "shop")[1:] == [(b"Server", b"shop")]


def test_hsts_is_added_where_a_section_has_it() -> None:
    assert with_hsts([(b"A", b"b")], b"max-age=60") == [(b"A", b"b"), HSTS]
    assert with_hsts([(b"A", b"b")], b"") == [(b"A", b"b")]


def test_a_servers_own_hsts_stands() -> None:
    own = [(b"strict-transport-security", b"max-age=1")]
    assert with_hsts(own, b"max-age=60") == own
