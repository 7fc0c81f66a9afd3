"""An access record as one line: text in the manner of the combined log format, or a JSON object.

Three promises hold for any record.  A line is printable ASCII without a line break.  No text in one field can look
like another field: quoted text escapes quotes and backslashes, bare text holds only characters from ``is_bare``.
A line with its line break has at most ``LONGEST_LINE`` bytes, so that one write to a pipe is never torn.
"""

from __future__ import annotations

from collections.abc import Callable
from json.encoder import encode_basestring_ascii as json_quoted
from operator import attrgetter
from time import gmtime, strftime
from typing import NamedTuple

from wsgate.observe.quoting import Quote, fitting, is_bare, text_bare, text_quoted
from wsgate.observe.record import AccessRecord, Kind
from wsgate.observe.redact import shown_path, shown_query, shown_subprotocol, shown_url

# POSIX: a write of at most PIPE_BUF bytes to a pipe is not mixed with other writers' bytes; this is Linux's PIPE_BUF.
LONGEST_LINE = 4096

Redact = Callable[[str, bool], str]

# The longest escaped form of each text field: with names and numbers they fit LONGEST_LINE (a test adds them up).
_LIMITS = {
    "request_id": 64,
    "listener": 64,
    "client": 64,
    "tls_version": 16,
    "tls_cipher": 48,
    "tls_name": 160,
    "method": 32,
    "host": 160,
    "path": 704,
    "query": 384,
    "version": 8,
    "origin": 160,
    "referer": 320,
    "user_agent": 256,
    "route": 64,
    "upstream": 64,
    "server": 128,
    "relay": 16,
    "subprotocol": 96,
    "close_reason": 160,
    "cause": 32,
    "closed_by": 16,
    "detail": 160,
}
_REDACT: dict[str, Redact] = {
    "path": shown_path,
    "query": shown_query,
    "origin": shown_url,
    "referer": shown_url,
    "subprotocol": lambda text, _log_query: shown_subprotocol(text),
}

_COMMON = ("duration", "request_id", "listener", "client", "client_port")
_TLS = ("tls_version", "tls_cipher", "tls_name", "tls_resumed")
_REQUEST = ("method", "host", "path", "query", "version", "status", "origin", "referer", "user_agent")
_TARGET = ("route", "upstream", "server", "tries", "connect_time", "answer_time", "relay")
_FRAMES = (
    *("subprotocol", "close_code", "close_reason", "rtt_client", "rtt_server"),
    *("frames_in", "frames_out", "messages_in", "messages_out"),
)
_END = ("bytes_in", "bytes_out", "cause", "closed_by", "detail")
_FIELDS = {
    Kind.TCP: (*_COMMON, *_TLS, *_TARGET, *_END),
    Kind.HTTP: (*_COMMON, *_TLS, *_REQUEST, *_TARGET, *_END),
    Kind.WEBSOCKET: (*_COMMON, *_TLS, *_REQUEST, *_TARGET, *_FRAMES, *_END),
}
# What the combined part of a text line has shown already.
_COMBINED = frozenset({"client", "method", "path", "query", "version", "status", "referer", "user_agent"})


class _Layout(NamedTuple):
    """The fields of one kind of record, in order."""

    start: str  # names the kind
    values: attrgetter[tuple[object, ...]]
    fields: tuple[tuple[str, int, Redact | None], ...]  # what stands before the value, limit of text or 0, redaction


def _layout(start: str, names: tuple[str, ...], before: str) -> _Layout:
    fields = tuple((before % name, _LIMITS.get(name, 0), _REDACT.get(name)) for name in names)
    return _Layout(start, attrgetter(*names), fields)


_JSON = {kind: _layout(f'"kind":"{kind.value}"', names, ',"%s":') for kind, names in _FIELDS.items()}
_TEXT = {
    kind: _layout(f"kind={kind.value}", tuple(name for name in names if name not in _COMBINED), " %s=")
    for kind, names in _FIELDS.items()
}


def _pairs(layout: _Layout, record: AccessRecord, log_query: bool, quote: Quote) -> str:
    """The kind and each known fact behind its name; seconds have six places."""
    pairs = [layout.start]
    for (before, limit, redact), value in zip(layout.fields, layout.values(record), strict=True):
        sort = type(value)
        if sort is int:
            pairs.append(f"{before}{value}")
        elif isinstance(value, str):
            if value:
                text = redact(value, log_query) if redact else value
                quoted = quote(text)
                pairs.append(before + (quoted if len(quoted) <= limit else fitting(text, limit, quote)))
        elif sort is float:
            pairs.append(f"{before}{value:.6f}")
        elif value is not None:
            pairs.append(f"{before}true" if value else f"{before}false")
    return "".join(pairs)


_shown_seconds: dict[int, tuple[str, str]] = {}


def _shown_second(second: int) -> tuple[str, str]:
    """A second since the epoch in UTC: ISO 8601 without the zone, and the combined log's form; the last one is kept."""
    shown = _shown_seconds.get(second)
    if shown is None:
        moment = gmtime(second)
        # Not %b, which follows the locale.
        month = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")[moment.tm_mon - 1]
        shown = strftime("%Y-%m-%dT%H:%M:%S", moment), strftime(f"%d/{month}/%Y:%H:%M:%S +0000", moment)
        _shown_seconds.clear()
        _shown_seconds[second] = shown
    return shown


def format_json(record: AccessRecord, log_query: bool = False) -> str:
    """The record as one JSON object without a line break; facts that are not known are left out.

    ``log_query`` shows query strings, except for the values of parameters whose names speak of credentials.
    """
    second, millis = divmod(round(record.time * 1000), 1000)
    pairs = _pairs(_JSON[record.kind], record, log_query, json_quoted)
    return f'{{"time":"{_shown_second(second)[0]}.{millis:03d}Z",{pairs}}}'


def _word(text: str, limit: int) -> str:
    """Text for a place inside quotes between blanks."""
    return text if len(text) <= limit and is_bare(text) else fitting(text, limit, _quoted_word)[1:-1]


def _quoted_word(text: str) -> str:
    return text_quoted(text).replace(" ", "\\x20")


def _request_line(record: AccessRecord, log_query: bool) -> str:
    """Method, target and version; blanks are escaped, so that there are always two."""
    if not record.method and not record.path:
        return '"-"'
    method = _word(record.method or "-", _LIMITS["method"])
    target = _word(shown_path(record.path, log_query), _LIMITS["path"])
    if record.query:
        target += "?" + _word(shown_query(record.query, log_query), _LIMITS["query"])
    return f'"{method} {target} HTTP/{_word(record.version or "-", _LIMITS["version"])}"'


def format_text(record: AccessRecord, log_query: bool = False) -> str:
    """The record as a line of the combined log format followed by ``name=value`` pairs, without a line break.

    ``log_query`` is ``format_json``'s.
    """
    second = _shown_second(int(record.time // 1))[1]
    client = fitting(record.client or "-", _LIMITS["client"], text_bare)
    request = _request_line(record, log_query)
    referer = fitting(shown_url(record.referer, log_query) or "-", _LIMITS["referer"], text_quoted)
    agent = fitting(record.user_agent or "-", _LIMITS["user_agent"], text_quoted)
    status = "-" if record.status is None else record.status
    pairs = _pairs(_TEXT[record.kind], record, log_query, text_bare)
    return f"{client} - - [{second}] {request} {status} {record.bytes_out} {referer} {agent} {pairs}"
