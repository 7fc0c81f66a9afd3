"""The WebSocket handshake in both directions: what becomes one, and everything that must not."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsgate.causes import Cause
from wsgate.wire.fields import Fields, HeadError, encode_request, encode_response
from wsgate.wire.framing import CHUNKED
from wsgate.wire.heads import RequestHead, ResponseHead, parse_request, parse_response
from wsgate.wire.ws_handshake import (
    MAX_EXTENSIONS,
    Agreed,
    Upgrade,
    accept_for,
    check_answer,
    check_upgrade,
    client_answer_fields,
    is_deflated,
    new_key,
    only_deflate,
    upgrade_fields,
)

KEY = b"x3JJHMbDL1EzLkh9GBhXDw=="
ACCEPT = b"HSmrc0sMlYUkAGmm5OPpG2HaGWk="
OTHER_KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
DEFLATE = b"permessage-deflate; client_max_window_bits"
ASKED: Fields = [
    (b"Host", b"a"),
    (b"Upgrade", b"websocket"),
    (b"Connection", b"Upgrade"),
    (b"Sec-WebSocket-Key", KEY),
    (b"Sec-WebSocket-Version", b"13"),
]
ANSWERED: Fields = [
    (b"Upgrade", b"websocket"),
    (b"Connection", b"Upgrade"),
    (b"Sec-WebSocket-Accept", ACCEPT),
]


def asked(fields: Fields, method: bytes = b"GET") -> RequestHead:
    return parse_request(encode_request(method, b"/chat", fields), 50)


def answered(fields: Fields, status: int = 101) -> ResponseHead:
    return parse_response(encode_response(status, b"Switching Protocols", fields), 50, b"GET")


def without(fields: Fields, name: bytes) -> Fields:
    return [field for field in fields if field[0] != name]


def changed(fields: Fields, name: bytes, value: bytes) -> Fields:
    return [(key, value if key == name else old) for key, old in fields]


def test_the_key_of_the_talk() -> None:
    """The talk's slide has HSmerc0s...; this is right."""
    assert accept_for(KEY) == ACCEPT


def test_the_key_of_the_rfc() -> None:
    """RFC 6455 section 1.3."""
    assert accept_for(OTHER_KEY) == b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


def test_a_new_key_is_a_right_one() -> None:
    key = new_key(lambda size: bytes(range(256 - size, 256)))
    assert key == b"8PHy8/T19vf4+fr7/P3+/w=="
    assert check_upgrade(asked(changed(ASKED, b"Sec-WebSocket-Key", key))).key == key


# The client asks


def test_a_plain_wish() -> None:
    assert check_upgrade(asked(ASKED)) == Upgrade(KEY, (), b"")


def test_a_wish_as_browsers_send_it() -> None:
    fields = changed(changed(ASKED, b"Upgrade", b"WebSocket"), b"Connection", b"keep-alive, Upgrade")
    fields += [
        (b"Origin", b"https://a"),
        (b"Sec-WebSocket-Protocol", b"chat.v2, chat"),
        (b"sec-websocket-protocol", b"Chat"),
        (b"Sec-WebSocket-Extensions", DEFLATE),
        (b"Sec-WebSocket-Extensions", b'x-other;a="b" ; c = 1'),
    ]
    assert check_upgrade(asked(fields)) == Upgrade(
        KEY, (b"chat.v2", b"chat", b"Chat"), DEFLATE + b', x-other;a="b" ; c = 1'
    )


@pytest.mark.parametrize(
    ("fields", "cause"),
    [
        (without(ASKED, b"Upgrade"), Cause.BAD_REQUEST),
        (without(ASKED, b"Connection"), Cause.BAD_REQUEST),
        (without(ASKED, b"Sec-WebSocket-Key"), Cause.BAD_REQUEST),
        (without(ASKED, b"Sec-WebSocket-Version"), Cause.UPGRADE_REQUIRED),
        (changed(ASKED, b"Connection", b"keep-alive"), Cause.BAD_REQUEST),
        (changed(ASKED, b"Upgrade", b"websocket, h2c"), Cause.BAD_REQUEST),
        (changed(ASKED, b"Upgrade", b"h2c"), Cause.BAD_REQUEST),
        (changed(ASKED, b"Upgrade", b"websocket/13"), Cause.BAD_REQUEST),
        ([*ASKED, (b"Upgrade", b"websocket")], Cause.BAD_REQUEST),
        (changed(ASKED, b"Sec-WebSocket-Version", b"8"), Cause.UPGRADE_REQUIRED),
        (changed(ASKED, b"Sec-WebSocket-Version", b"777"), Cause.UPGRADE_REQUIRED),
        (changed(ASKED, b"Sec-WebSocket-Version", b"13, 8"), Cause.UPGRADE_REQUIRED),
        ([*ASKED, (b"Sec-WebSocket-Version", b"13")], Cause.BAD_REQUEST),
        ([*ASKED, (b"sec-websocket-key", KEY)], Cause.BAD_REQUEST),
    ],
)
def test_wishes_that_are_refused(fields: Fields, cause: Cause) -> None:
    with pytest.raises(HeadError) as refusal:
        check_upgrade(asked(fields))
    assert refusal.value.cause is cause


@pytest.mark.parametrize("other", [b"https://a", b"https://b", b"null"])
def test_two_origins_are_a_request_that_is_not_right(other: bytes) -> None:
    """RFC 6454 section 7.3 allows one: a 400, as for any handshake that is malformed, whichever origins are let in; 403
    is for one that is not.  No server hears of either, and the connection ends."""
    with pytest.raises(HeadError) as refusal:
        check_upgrade(asked([*ASKED, (b"Origin", b"https://a"), (b"Origin", other)]))
    assert refusal.value.cause is Cause.BAD_REQUEST and refusal.value.cause.status == 400


@pytest.mark.parametrize("method", [b"POST", b"HEAD", b"OPTIONS"])
def test_only_get_upgrades(method: bytes) -> None:
    with pytest.raises(HeadError) as refusal:
        check_upgrade(asked(ASKED, method))
    assert refusal.value.cause is Cause.METHOD


def test_http_1_0_does_not_upgrade() -> None:
    head = parse_request(encode_request(b"GET", b"/", ASKED).replace(b"HTTP/1.1", b"HTTP/1.0"), 9)
    with pytest.raises(HeadError) as refusal:
        check_upgrade(head)
    assert refusal.value.cause is Cause.BAD_REQUEST


def test_a_body_does_not_upgrade() -> None:
    """Also where somebody made the head by other means than `parse_request`, which refuses it."""
    with pytest.raises(HeadError) as refusal:
        check_upgrade(replace(asked(ASKED), framing=CHUNKED))
    assert refusal.value.cause is Cause.BAD_REQUEST


@pytest.mark.parametrize(
    "key",
    [
        *(b"", b"x", KEY[:-1], KEY[:-2], KEY + b"=", KEY[1:], b"A" + KEY, KEY.replace(b"=", b"A"), KEY[:-1] + b"A"),
        # Not canonical: bits beyond the 16 bytes are set.
        *(
            KEY.replace(b"w==", b"x=="),
            KEY.replace(b"w==", b"z=="),
            KEY.replace(b"x3", b"x-"),
            KEY.replace(b"x3", b"x "),
        ),
        *(KEY + b", " + KEY, b"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", b"AAAAAAAAAAAAAAAAAAAAAAAAAAA="),
    ],
)
def test_keys_that_are_refused(key: bytes) -> None:
    with pytest.raises(HeadError, match="16 bytes") as refusal:
        check_upgrade(asked(changed(ASKED, b"Sec-WebSocket-Key", key)))
    assert refusal.value.cause is Cause.BAD_REQUEST


@pytest.mark.parametrize(
    "values", [[b""], [b"a,"], [b"a,,b"], [b"a b"], [b"a, a"], [b"a", b"a"], [b'"a"'], [b"a;b"], [b"\xe4"]]
)
def test_subprotocols_that_are_refused(values: list[bytes]) -> None:
    with pytest.raises(HeadError, match="Protocol") as refusal:
        check_upgrade(asked(ASKED + [(b"Sec-WebSocket-Protocol", value) for value in values]))
    assert refusal.value.cause is Cause.BAD_REQUEST


BAD_EXTENSIONS = [
    *(b"", b",", b"a,", b"a,,b", b";a", b"a;", b"a;b=", b"a;=b", b'a;b="c', b'a;b=""', b'a;b="c,d"', b"a b", b"a=b"),
    *(b"a;b c", b'"a"', b"a/b", b"\xe4", b"a" * (MAX_EXTENSIONS + 1)),
]


@pytest.mark.parametrize("value", BAD_EXTENSIONS)
def test_extensions_that_are_refused(value: bytes) -> None:
    with pytest.raises(HeadError, match="Extensions") as refusal:
        check_upgrade(asked([*ASKED, (b"Sec-WebSocket-Extensions", value)]))
    assert refusal.value.cause is Cause.BAD_REQUEST
    with pytest.raises(HeadError, match="Extensions") as refusal:
        check_answer(answered([*ANSWERED, (b"Sec-WebSocket-Extensions", value)]), Upgrade(KEY, (), b"a"))
    assert refusal.value.cause is Cause.BAD_ANSWER


def test_extensions_together_are_bounded() -> None:
    half = (b"Sec-WebSocket-Extensions", b"a" * (MAX_EXTENSIONS // 2))
    with pytest.raises(HeadError, match="Extensions"):
        check_upgrade(asked([*ASKED, half, half]))


# We ask the server


def test_what_a_server_is_sent() -> None:
    """The client's other fields, and a handshake that the server's side of these rules takes."""
    offer = Upgrade(OTHER_KEY, (b"b", b"a"), DEFLATE)
    fields = upgrade_fields([(b"Host", b"a"), (b"Cookie", b"c=d")], offer)
    assert fields == [
        (b"Host", b"a"),
        (b"Cookie", b"c=d"),
        (b"Upgrade", b"websocket"),
        (b"Connection", b"Upgrade"),
        (b"Sec-WebSocket-Version", b"13"),
        (b"Sec-WebSocket-Key", OTHER_KEY),
        (b"Sec-WebSocket-Protocol", b"b, a"),
        (b"Sec-WebSocket-Extensions", DEFLATE),
    ]
    assert check_upgrade(asked(fields)) == offer


def test_nothing_is_offered_that_was_not_asked_for() -> None:
    names = [name for name, _ in upgrade_fields([(b"Host", b"a")], Upgrade(KEY, (), b""))]
    assert names == [b"Host", b"Upgrade", b"Connection", b"Sec-WebSocket-Version", b"Sec-WebSocket-Key"]


# The server answers

OFFER = Upgrade(KEY, (b"chat", b"Chat2"), DEFLATE + b", x-other")


@pytest.mark.parametrize(
    ("extra", "agreed"),
    [
        ([], Agreed(None, b"")),
        ([(b"Sec-WebSocket-Protocol", b"Chat2")], Agreed(b"Chat2", b"")),
        ([(b"Sec-WebSocket-Extensions", b"permessage-deflate")], Agreed(None, b"permessage-deflate")),
        (
            [(b"Sec-WebSocket-Extensions", b"x-other; a=1"), (b"Sec-WebSocket-Extensions", b"permessage-deflate")],
            Agreed(None, b"x-other; a=1, permessage-deflate"),
        ),
        ([(b"Set-Cookie", b"a=b"), (b"Connection", b"keep-alive")], Agreed(None, b"")),
    ],
)
def test_answers(extra: Fields, agreed: Agreed) -> None:
    assert check_answer(answered(ANSWERED + extra), OFFER) == agreed


@pytest.mark.parametrize(
    "fields",
    [
        without(ANSWERED, b"Sec-WebSocket-Accept"),
        changed(ANSWERED, b"Sec-WebSocket-Accept", b"HSmerc0sMlYUkAGmm5OPpG2HaGWk="),
        changed(ANSWERED, b"Sec-WebSocket-Accept", ACCEPT.lower()),
        changed(ANSWERED, b"Sec-WebSocket-Accept", ACCEPT + b", " + ACCEPT),
        [*ANSWERED, (b"Sec-WebSocket-Accept", ACCEPT)],
        changed(ANSWERED, b"Upgrade", b"h2c"),
        changed(ANSWERED, b"Upgrade", b"websocket, h2c"),
        [*ANSWERED, (b"upgrade", b"websocket")],
        [*ANSWERED, (b"Sec-WebSocket-Protocol", b"other")],
        [*ANSWERED, (b"Sec-WebSocket-Protocol", b"CHAT")],
        [*ANSWERED, (b"Sec-WebSocket-Protocol", b"")],
        [*ANSWERED, (b"Sec-WebSocket-Protocol", b"chat, Chat2")],
        [*ANSWERED, (b"Sec-WebSocket-Protocol", b"chat"), (b"Sec-WebSocket-Protocol", b"chat")],
        [*ANSWERED, (b"Sec-WebSocket-Extensions", b"x-unknown")],
        [*ANSWERED, (b"Sec-WebSocket-Extensions", b"permessage-deflate, permessage-deflate")],
        [*ANSWERED, (b"Sec-WebSocket-Extensions", b"client_max_window_bits")],
    ],
)
def test_answers_that_are_refused(fields: Fields) -> None:
    with pytest.raises(HeadError) as refusal:
        check_answer(answered(fields), OFFER)
    assert refusal.value.cause is Cause.BAD_ANSWER


@pytest.mark.parametrize(("upgrade", "connection"), [(b"", b"Upgrade"), (b"websocket", b"close"), (b"", b"close")])
def test_a_101_must_say_what_it_switches_to(upgrade: bytes, connection: bytes) -> None:
    """llhttp refuses most of these; the rule holds without it."""
    fields = [(b"Upgrade", upgrade), (b"Connection", connection), (b"Sec-WebSocket-Accept", ACCEPT)]
    head = replace(answered(ANSWERED), index=answered(fields, 200).index)
    with pytest.raises(HeadError) as refusal:
        check_answer(head, OFFER)
    assert refusal.value.cause is Cause.BAD_ANSWER


def test_other_statuses_are_no_websocket() -> None:
    """Also with all the fields of one, and also a 101 in HTTP/1.0."""
    old = parse_response(encode_response(101, b"S", ANSWERED).replace(b"HTTP/1.1", b"HTTP/1.0"), 9, b"GET")
    for head in (answered(ANSWERED, 200), answered(ANSWERED, 100), old):
        with pytest.raises(HeadError) as refusal:
            check_answer(head, OFFER)
        assert refusal.value.cause is Cause.BAD_ANSWER


def test_nothing_is_agreed_that_was_not_offered() -> None:
    offer = Upgrade(KEY, (), b"")
    for field in ((b"Sec-WebSocket-Protocol", b"chat"), (b"Sec-WebSocket-Extensions", b"permessage-deflate")):
        with pytest.raises(HeadError):
            check_answer(answered([*ANSWERED, field]), offer)


# We answer the client


def test_what_a_client_is_answered() -> None:
    """Its own key is answered; what the server set beside the handshake stays, what belongs to its leg does not."""
    extra = [
        (b"Server", b"x"),
        (b"Set-Cookie", b"a=b"),
        (b"set-cookie", b"c=d"),
        (b"Keep-Alive", b"5"),
        (b"Content-Length", b"0"),
        (b"Sec-WebSocket-Version", b"13"),
        (b"Sec-WebSocket-Protocol", b"chat"),
        (b"Sec-WebSocket-Extensions", b"permessage-deflate"),
    ]
    answer = answered(ANSWERED + extra)
    fields = client_answer_fields(answer, check_answer(answer, OFFER), OTHER_KEY)
    assert fields == [
        (b"Upgrade", b"websocket"),
        (b"Connection", b"Upgrade"),
        (b"Sec-WebSocket-Accept", accept_for(OTHER_KEY)),
        (b"Sec-WebSocket-Protocol", b"chat"),
        (b"Sec-WebSocket-Extensions", b"permessage-deflate"),
        (b"Server", b"x"),
        (b"Set-Cookie", b"a=b"),
        (b"set-cookie", b"c=d"),
    ]
    assert check_answer(answered(fields), OFFER._replace(key=OTHER_KEY)) == Agreed(b"chat", b"permessage-deflate")


def test_a_client_is_answered_no_more_than_was_agreed() -> None:
    assert client_answer_fields(answered(ANSWERED), Agreed(None, b""), KEY) == ANSWERED


# Laws

_token = st.from_regex(rb"\A[a-z0-9.!-]{1,5}\Z")
_protocols = st.lists(_token, unique=True, max_size=4).map(tuple)
_parameter = st.sampled_from([b"", b"; a", b";b=1", b'; c="2"'])
_extensions = st.lists(st.builds(bytes.__add__, _token, _parameter), unique_by=lambda e: e.split(b";")[0], max_size=3)


@given(st.binary(min_size=16, max_size=16), _protocols, _extensions.map(b", ".join))
def test_what_is_asked_reads_back(noise: bytes, protocols: tuple[bytes, ...], extensions: bytes) -> None:
    """Law: a server that follows these rules understands every offer, and its full agreement is understood."""
    offer = Upgrade(new_key(lambda _: noise), protocols, extensions)
    assert check_upgrade(asked(upgrade_fields([(b"Host", b"a")], offer))) == offer
    agreed = Agreed(protocols[-1] if protocols else None, extensions)
    answer = answered(client_answer_fields(answered(ANSWERED), agreed, offer.key))
    assert check_answer(answer, offer) == agreed


_mess = st.lists(
    st.tuples(
        st.sampled_from(
            [name for name, _ in ASKED + ANSWERED] + [b"Sec-WebSocket-Protocol", b"Sec-WebSocket-Extensions"]
        ),
        st.sampled_from([b"websocket", b"Upgrade", KEY, ACCEPT, b"13", b"a", b"a, b", b"", b"\xff", b"a;b"]),
    ),
    max_size=6,
)


@given(_mess)
def test_nothing_but_head_errors_escapes(mess: Fields) -> None:
    try:
        check_upgrade(asked([(b"Host", b"a"), *mess]))
    except HeadError as error:
        assert error.cause.status in {400, 426}
    try:
        check_answer(answered(mess), Upgrade(KEY, (b"a",), b"a"))
    except HeadError as error:
        assert error.cause is Cause.BAD_ANSWER
    else:
        assert dict(mess)[b"Sec-WebSocket-Accept"] == ACCEPT


@pytest.mark.parametrize(
    ("offered", "kept"),
    [
        (b"", b""),
        (b"permessage-deflate; client_max_window_bits", b"permessage-deflate; client_max_window_bits"),
        (b"x-foo, Permessage-Deflate ;a=1,permessage-deflate", b"Permessage-Deflate ;a=1, permessage-deflate"),
        (b'x-a; b="permessage-deflate", x-permessage-deflatex', b""),
    ],
)
def test_of_the_extensions_that_are_offered_only_permessage_deflate_is_kept(offered: bytes, kept: bytes) -> None:
    assert only_deflate(offered) == kept
    assert is_deflated(offered) == bool(kept)
