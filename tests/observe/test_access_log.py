"""One record is one line, whatever a peer put into it, and every field can be read back."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsgate.observe.access_log import LONGEST_LINE, format_json, format_text
from wsgate.observe.record import AccessRecord, Kind

MOMENT = 1_795_000_000.123  # 18 November 2026, 11:06:40 UTC
Form = Callable[[AccessRecord, bool], str]
FORMATS: list[Form] = [format_json, format_text]
TEXT_FIELDS = [f.name for f in fields(AccessRecord) if f.type == "str"]
NUMBER_FIELDS = [f.name for f in fields(AccessRecord) if f.type in {"int", "int | None"}]
SECONDS_FIELDS = [f.name for f in fields(AccessRecord) if f.type == "float | None"] + ["duration"]

# A line of text: the combined format, then pairs; each quoted text holds no bare quote, and only known escapes.
QUOTED = r'"(?:[^"\\]|\\x[0-9a-f]{2}|\\u[0-9a-f]{4}|\\U[0-9a-f]{8}|\\[\\nrt])*"'
BARE = r"[A-Za-z0-9._:/@%+\[\]-]+"
TEXT_LINE = re.compile(
    rf"(?P<client>{BARE}|{QUOTED}) - - \[(?P<time>[^\]]+)\] (?P<request>{QUOTED}) (?P<status>\d+|-) (?P<bytes>\d+) "
    rf"(?P<referer>{QUOTED}) (?P<agent>{QUOTED})(?P<pairs>(?: [a-z_]+=(?:{BARE}|{QUOTED}))+)"
)
PAIR = re.compile(rf" ([a-z_]+)=({BARE}|{QUOTED})")


def websocket(**facts: object) -> AccessRecord:
    return AccessRecord(Kind.WEBSOCKET, MOMENT, **facts)  # type: ignore[arg-type]


def parsed(line: str) -> dict[str, str]:
    """A line of text as its parts, or an AssertionError."""
    match = TEXT_LINE.fullmatch(line)
    assert match is not None, line
    parts = match.groupdict()
    pairs = PAIR.findall(parts.pop("pairs"))
    assert len({name for name, _ in pairs}) == len(pairs), "a name stands twice"
    return parts | dict(pairs)


def unquoted(shown: str) -> str:
    return shown[1:-1].encode("ascii").decode("unicode_escape")


def test_json_has_the_facts_of_a_websocket_under_their_names() -> None:
    record = websocket(
        duration=12.5,
        listener="web",
        client="192.0.2.1",
        client_port=51234,
        method="GET",
        path="/chat",
        version="1.1",
        status=101,
        route="chat",
        server="127.0.0.1:2222",
        tries=1,
        relay="frames",
        subprotocol="wamp.2.json",
        close_code=1000,
        close_reason="bye",
        tls_resumed=False,
        rtt_client=0.0123456,
        frames_in=3,
        frames_out=4,
        messages_in=2,
        messages_out=3,
        bytes_in=100,
        bytes_out=200,
        cause="client_closed",
        closed_by="client",
    )
    assert json.loads(format_json(record)) == {
        "time": "2026-11-18T11:06:40.123Z",
        "kind": "websocket",
        "duration": 12.5,
        "listener": "web",
        "client": "192.0.2.1",
        "client_port": 51234,
        "tls_resumed": False,
        "method": "GET",
        "path": "/chat",
        "version": "1.1",
        "status": 101,
        "route": "chat",
        "server": "127.0.0.1:2222",
        "tries": 1,
        "relay": "frames",
        "subprotocol": "wamp.2.json",
        "close_code": 1000,
        "close_reason": "bye",
        "rtt_client": 0.012346,
        "frames_in": 3,
        "frames_out": 4,
        "messages_in": 2,
        "messages_out": 3,
        "bytes_in": 100,
        "bytes_out": 200,
        "cause": "client_closed",
        "closed_by": "client",
    }


def test_a_line_of_text_begins_as_the_combined_format_and_goes_on_with_pairs() -> None:
    record = AccessRecord(
        Kind.HTTP,
        MOMENT,
        duration=0.25,
        client="192.0.2.1",
        client_port=51234,
        method="GET",
        path="/index.html",
        version="1.1",
        status=200,
        referer="https://example.org/",
        user_agent="curl/8.5",
        route="home",
        bytes_out=1234,
        cause="done",
        detail="a b",
        tls_resumed=True,
    )
    assert format_text(record) == (
        '192.0.2.1 - - [18/Nov/2026:11:06:40 +0000] "GET /index.html HTTP/1.1" 200 1234 "https://example.org/" '
        '"curl/8.5" kind=http duration=0.250000 client_port=51234 tls_resumed=true route=home bytes_in=0 '
        'bytes_out=1234 cause=done detail="a b"'
    )


def test_a_layer_4_record_has_no_request() -> None:
    record = AccessRecord(Kind.TCP, MOMENT, client="unix", path="/ignored", frames_in=3, bytes_in=5, bytes_out=6)
    assert format_text(AccessRecord(Kind.TCP, MOMENT)).startswith('- - - [18/Nov/2026:11:06:40 +0000] "-" - 0 "-" "-"')
    assert json.loads(format_json(record)) == {
        "time": "2026-11-18T11:06:40.123Z",
        "kind": "tcp",
        "duration": 0.0,
        "client": "unix",
        "bytes_in": 5,
        "bytes_out": 6,
    }


def test_the_time_is_rounded_and_never_carries_a_wrong_second() -> None:
    shown = [json.loads(format_json(AccessRecord(Kind.TCP, moment)))["time"] for moment in (0.9996, 1.0004, 0.0)]
    assert shown == ["1970-01-01T00:00:01.000Z", "1970-01-01T00:00:01.000Z", "1970-01-01T00:00:00.000Z"]


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("log_query", [False, True])
def test_credentials_are_not_shown(form: Form, log_query: bool) -> None:
    record = websocket(
        method="GET",
        path="/chat",
        query="token=s3cret",
        referer="https://u:s3cret@example.org/?token=s3cret",
        origin="https://u:s3cret@example.org",
        subprotocol="bearer.s3cret",
    )
    assert "s3cret" not in form(record, log_query)


def test_a_query_is_three_dots() -> None:
    assert '"GET /chat?... HTTP/1.1"' in format_text(websocket(method="GET", path="/chat", query="a=b", version="1.1"))


def test_the_query_is_shown_where_the_operator_wants_it() -> None:
    record = websocket(method="GET", path="/chat", query="room=5&key=x")
    assert '"GET /chat?room=5&key=[redacted] HTTP/-"' in format_text(record, log_query=True)
    assert json.loads(format_json(record, log_query=True))["query"] == "room=5&key=[redacted]"


FORGERIES = [
    'a"\n{"x":1}',
    'x" 200 0 "-" "-" kind=http status=200',
    "x\r\n127.0.0.1 - - [] forged",
    "back\\slash\\",
    "\x1b[2J\x07\x00\x7f",
    "\u2028\u2029\x85\xff\U0001f600\ud800",
    "a cause=done",
]


@pytest.mark.parametrize("forgery", FORGERIES)
@pytest.mark.parametrize("field", ["tls_name", "host", "user_agent", "close_reason", "client", "route"])
def test_no_text_forges_a_line_or_a_field(field: str, forgery: str) -> None:
    record = websocket(**{field: forgery, "method": "GET", "path": "/", "version": "1.1"})
    assert json.loads(format_json(record))[field] == forgery
    line = format_text(record)
    assert line.isascii() and line.isprintable()
    parts = parsed(line)
    shown = parts["agent" if field == "user_agent" else field]
    assert unquoted(shown) == forgery
    expected = parsed(format_text(websocket(method="GET", path="/", version="1.1", **{field: "x"})))
    assert parts.keys() == expected.keys()


def test_a_target_with_blanks_cannot_look_like_a_whole_request_line() -> None:
    record = AccessRecord(Kind.HTTP, MOMENT, method="GET", path='/a HTTP/1.1" 200', version="1.1", status=400)
    assert parsed(format_text(record))["request"] == r'"GET /a\x20HTTP/1.1\x22\x20200 HTTP/1.1"'


CUT = "...".encode("utf-16-le")


def utf_16(text: str) -> bytes:
    """What JSON's escapes stand for: they cannot tell two lone surrogates from a pair."""
    return text.encode("utf-16-le", "surrogatepass")


anything = st.text(st.characters(exclude_categories=()), max_size=40) | st.text(
    st.sampled_from('ab"\\ =\n\r\x00\x7f\x85\u2028{}[]%,:;é😀'), max_size=1500
)
records = st.builds(
    AccessRecord,
    kind=st.sampled_from(Kind),
    time=st.floats(0, 4e9),
    **dict.fromkeys(TEXT_FIELDS, anything),
    **dict.fromkeys(NUMBER_FIELDS, st.integers(0, 2**63)),
    **dict.fromkeys(SECONDS_FIELDS, st.floats(0, 1e9)),
    tls_resumed=st.sampled_from([True, False, None]),
)


@given(records, st.booleans())
def test_any_record_is_one_printable_line_that_reads_back(record: AccessRecord, log_query: bool) -> None:
    line = format_json(record, log_query)
    assert line.isascii() and line.isprintable() and len(line) < LONGEST_LINE
    shown = json.loads(line)
    for name in shown.keys() & {"host", "user_agent", "close_reason", "client"}:
        whole, text = utf_16(getattr(record, name)), utf_16(shown[name])
        assert text == whole or (text.endswith(CUT) and whole.startswith(text.removesuffix(CUT)))
    line = format_text(record, log_query)
    assert line.isascii() and line.isprintable() and len(line) < LONGEST_LINE
    assert parsed(line)["kind"] == record.kind.value


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("filler", ["a", "\x00", "\U0001f600", '"', " ", "a\x00"])
def test_the_longest_record_fits_one_write_to_a_pipe(form: Form, filler: str) -> None:
    texts = dict.fromkeys(TEXT_FIELDS, filler * 20_000) | {"path": "/" + filler * 20_000}
    numbers = dict.fromkeys(NUMBER_FIELDS, 2**64) | dict.fromkeys(SECONDS_FIELDS, 1e9)
    record = websocket(**texts, **numbers, tls_resumed=False)
    assert len(form(record, True)) < LONGEST_LINE


@pytest.mark.parametrize("form", FORMATS)
def test_long_text_is_cut_and_marked(form: Form) -> None:
    assert "Mozilla" + "a" * 200 in form(websocket(user_agent="Mozilla" + "a" * 1000), False)
    assert 'aaa..."' in form(websocket(user_agent="a" * 1000), False)
