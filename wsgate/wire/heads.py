"""What a whole head of HTTP/1 says, strictly.

llhttp (through httptools) takes the head apart; what it lets pass or cannot know is checked here, and its own verdict
on the rest stands.  Bodies are no business of this module: `wsgate.wire.framing` says where they end.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from sys import intern
from typing import NamedTuple

import httptools

from wsgate.causes import Cause
from wsgate.wire.authority import host_of
from wsgate.wire.fields import TOKEN, Fields, HeadError, encode_response, end_to_end, tokens
from wsgate.wire.framing import NO_BODY, Ending, Framing, request_framing, response_framing

# The target is visible ASCII without "#": a fragment is never sent, and makes a path look longer than it is.
_REQUEST_LINE = re.compile(rb"(" + TOKEN + rb') ([!-"$-~]+) HTTP/([0-9]\.[0-9])\r\n')
_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9]{2})(?: ([\t -~\x80-\xff]*))?\r\n")
_ABSOLUTE = re.compile(rb"https?://([^/?]*)(.*)", re.IGNORECASE)
_REFUSED_METHODS = frozenset((b"CONNECT", b"TRACE"))


class Index:
    """Fields by lower-case name: ``first`` the first value of each, ``repeated`` all values of those that recur."""

    __slots__ = ("first", "repeated")

    def __init__(self, fields: Fields) -> None:
        self.first = {name.lower(): value for name, value in fields}
        self.repeated: dict[bytes, list[bytes]] = {}
        if len(self.first) != len(fields):
            self._gather(fields)

    def _gather(self, fields: Fields) -> None:
        self.first.clear()
        for name, value in fields:
            key = name.lower()
            if key in self.first:
                self.repeated.setdefault(key, [self.first[key]]).append(value)
            else:
                self.first[key] = value

    def with_value(self, name: bytes, value: bytes) -> Index:
        """The same with another value of ``name`` (lower case), which does not recur."""
        index = Index.__new__(Index)
        index.first = {**self.first, name: value}
        index.repeated = self.repeated
        return index

    def all(self, name: bytes) -> list[bytes]:
        """The values of every field called ``name`` (lower case), in order."""
        value = self.first.get(name)
        if value is None:
            return []
        return self.repeated.get(name, [value])


@dataclass(slots=True)
class Head:
    """What requests and answers share.

    ``minor`` is the n of HTTP/1.n; ``fields`` are as received; ``keep_alive`` says whether the connection may carry
    another message after this one; ``upgrade`` whether a WebSocket is asked for, or made.
    """

    minor: int
    fields: Fields
    framing: Framing
    keep_alive: bool
    upgrade: bool
    index: Index = field(repr=False, compare=False)
    _onward: Fields | None = field(default=None, init=False, repr=False, compare=False)

    def get(self, name: bytes) -> bytes | None:
        """The value of the first field of this name, in any case."""
        return self.index.first.get(name.lower())

    def get_all(self, name: bytes) -> list[bytes]:
        """The values of every field of this name, in order."""
        return list(self.index.all(name.lower()))


class Told(NamedTuple):
    """What a log tells of a request, as text: bytes are decoded as latin-1."""

    method: str
    path: str
    query: str
    host: str
    version: str
    user_agent: str
    referer: str
    origin: str


@dataclass(slots=True)
class RequestHead(Head):
    """A request.

    ``target`` is in origin-form (or ``*``), also when it came in absolute-form; ``authority`` is that of an
    absolute-form target, else Host (empty only in HTTP/1.0); ``host`` is its host as `wsgate.wire.authority` gives it.
    ``upgrade`` only says that a WebSocket is wanted: `wsgate.wire.ws_handshake` says whether it is asked for rightly.
    ``is_kept`` says that the same object is given for the same bytes, so that what is made of it is worth keeping.
    """

    method: bytes
    target: bytes
    authority: bytes
    host: str
    expects_continue: bool
    is_kept: bool = field(default=False, init=False, repr=False, compare=False)
    _told: Told | None = field(default=None, init=False, repr=False, compare=False)

    def with_value(self, name: bytes, value: bytes) -> RequestHead:
        """The same with another value of a field of the handshake, ``name`` in lower case, which does not recur."""
        head = RequestHead(
            self.minor,
            _with_value(self.fields, name, value),
            self.framing,
            self.keep_alive,
            self.upgrade,
            self.index.with_value(name, value),
            self.method,
            self.target,
            self.authority,
            self.host,
            self.expects_continue,
        )
        # Nothing of a handshake goes on, nor into a log.
        head._onward, head._told = self.onward, self.told
        return head

    @property
    def onward(self) -> Fields:
        """The fields that go on to a server; worked out once, not to be changed."""
        fields = self._onward
        if fields is None:
            fields = self._onward = end_to_end(self.fields)
        return fields

    @property
    def told(self) -> Told:
        """Worked out once; texts that most requests share are the same objects in all of them."""
        told = self._told
        if told is None:
            path, _, query = self.target.partition(b"?")
            first = self.index.first
            agent, referer, origin = (
                intern(first.get(name, b"").decode("latin-1")) for name in (b"user-agent", b"referer", b"origin")
            )
            told = self._told = Told(
                intern(self.method.decode("latin-1")),
                intern(path.decode("latin-1")),
                query.decode("latin-1"),
                intern(self.host),
                "1.1" if self.minor else "1.0",
                agent,
                referer,
                origin,
            )
        return told


@dataclass(slots=True)
class ResponseHead(Head):
    """An answer; ``upgrade`` is set for a 101 that says ``Upgrade: websocket``."""

    status: int
    reason: bytes
    _encoded: bytes = field(default=b"", init=False, repr=False, compare=False)

    def with_value(self, name: bytes, value: bytes) -> ResponseHead:
        """As `RequestHead.with_value`."""
        head = ResponseHead(
            self.minor,
            _with_value(self.fields, name, value),
            self.framing,
            self.keep_alive,
            self.upgrade,
            self.index.with_value(name, value),
            self.status,
            self.reason,
        )
        head._onward = self.onward
        return head

    @property
    def onward(self) -> Fields:
        """The fields that go on to a client; worked out once, not to be changed."""
        fields = self._onward
        if fields is None:
            fields = self._onward = end_to_end(self.fields, request=False)
        return fields

    @property
    def encoded(self) -> bytes:
        """The head with its fields that go on and nothing else; worked out once.  Raises HeadError (INTERNAL)."""
        if not self._encoded:
            self._encoded = encode_response(self.status, self.reason, self.onward)
        return self._encoded


def _with_value(fields: Fields, name: bytes, value: bytes) -> Fields:
    return [field if field[0].lower() != name else (field[0], value) for field in fields]


class _Heard:
    """What llhttp reports of one head."""

    __slots__ = ("fields",)

    def __init__(self) -> None:
        self.fields: Fields = []

    def on_header(self, name: bytes, value: bytes) -> None:
        self.fields.append((name, value.rstrip(b" \t")))


def _field_count(head: bytes, bad: Cause) -> int:
    """How many fields the lines of a head can hold; every CR and every LF must be part of a CRLF."""
    lines = head.count(b"\r\n")
    if head.count(b"\n") != lines or head.count(b"\r") != lines:
        raise HeadError(bad, "a line end that is not CRLF")
    return lines - 2


def _persistent(minor: int, connection: list[bytes]) -> bool:
    """RFC 9112 section 9.3; ``connection`` in lower case."""
    return b"close" not in connection and (minor == 1 or b"keep-alive" in connection)


def parse_request(head: bytes, max_fields: int) -> RequestHead:
    """A request from its whole head, the empty line included; raises HeadError with the cause to answer with."""
    method, target, minor, fields, complaint = _request_parts(head, max_fields)
    index = Index(fields)
    first = index.first
    framing = NO_BODY
    if b"content-length" in first or b"transfer-encoding" in first:
        framing = request_framing(index.all(b"content-length"), index.all(b"transfer-encoding"), minor)
    if complaint:
        raise HeadError(Cause.BAD_REQUEST, complaint)
    target, authority = _addressed(method, target, index.all(b"host"), minor)
    connection = tokens(index.all(b"connection")) if b"connection" in first else []
    upgrade = b"upgrade" in connection and b"websocket" in tokens(index.all(b"upgrade"))
    if upgrade and framing is not NO_BODY:
        raise HeadError(Cause.BAD_REQUEST, "an upgrade with a body")
    return RequestHead(
        minor,
        fields,
        framing,
        _persistent(minor, connection),
        upgrade,
        index,
        method,
        target,
        authority,
        host_of(authority) if authority else "",
        b"expect" in first and _expects_continue(index.all(b"expect"), minor, framing),
    )


def _request_parts(head: bytes, max_fields: int) -> tuple[bytes, bytes, int, Fields, str]:
    """Method, target, minor version, fields, and what llhttp has against the head (empty: nothing)."""
    count = _field_count(head, Cause.BAD_REQUEST)
    match = _REQUEST_LINE.match(head)
    if match is None:
        raise HeadError(Cause.BAD_REQUEST, "the request line is not valid")
    method, target, version = match.groups()
    if version not in {b"1.1", b"1.0"}:
        raise HeadError(Cause.VERSION, "the HTTP version is neither 1.0 nor 1.1")
    if method in _REFUSED_METHODS:
        raise HeadError(Cause.METHOD, "CONNECT and TRACE are not served")
    if count > max_fields:
        raise HeadError(Cause.HEAD_SIZE, "too many fields")
    heard = _Heard()
    complaint = ""
    # One parser for each head: after a head with a body ahead, llhttp would wait for that body.
    try:
        httptools.HttpRequestParser(heard).feed_data(head)
    except httptools.HttpParserUpgrade:
        pass
    except httptools.HttpParserInvalidMethodError:
        raise HeadError(Cause.NOT_IMPLEMENTED, "the method is not known") from None
    except httptools.HttpParserError as error:
        complaint = str(error)
    if len(heard.fields) != count:
        raise HeadError(Cause.BAD_REQUEST, complaint or "a line is not a field")
    return method, target, int(version == b"1.1"), heard.fields, complaint


def _addressed(method: bytes, target: bytes, hosts: list[bytes], minor: int) -> tuple[bytes, bytes]:
    """The target in origin-form, and the authority (RFC 9112 sections 3.2 and 3.2.2)."""
    if len(hosts) > 1:
        raise HeadError(Cause.BAD_REQUEST, "more than one Host")
    host = hosts[0] if hosts else b""
    if minor and not host:
        raise HeadError(Cause.BAD_REQUEST, "no Host")
    if target[:1] == b"/" or (target == b"*" and method == b"OPTIONS"):
        return target, host
    match = _ABSOLUTE.fullmatch(target)
    if match is None:
        raise HeadError(Cause.BAD_REQUEST, "the target is neither a path nor an http URI")
    authority, rest = match.groups()
    if not authority or (hosts and authority.lower() != host.lower()):
        raise HeadError(Cause.BAD_REQUEST, "the target names another host than Host")
    if not rest and method == b"OPTIONS":
        return b"*", authority
    return (rest if rest[:1] == b"/" else b"/" + rest), authority


def _expects_continue(expectations: list[bytes], minor: int, framing: Framing) -> bool:
    """Whether the client waits for 100 before it sends its body (RFC 9110 section 10.1.1)."""
    if any(value.lower() != b"100-continue" for value in expectations):
        raise HeadError(Cause.EXPECTATION, "an expectation other than 100-continue")
    return minor == 1 and framing is not NO_BODY


def parse_response(head: bytes, max_fields: int, method: bytes) -> ResponseHead:
    """An answer to ``method`` from its whole head; raises HeadError (BAD_ANSWER)."""
    count = _field_count(head, Cause.BAD_ANSWER)
    match = _STATUS_LINE.match(head)
    if match is None:
        raise HeadError(Cause.BAD_ANSWER, "the status line is not valid")
    if count > max_fields:
        raise HeadError(Cause.BAD_ANSWER, "too many fields")
    heard = _Heard()
    complaint = ""
    try:
        httptools.HttpResponseParser(heard).feed_data(head)
    except httptools.HttpParserUpgrade:
        pass
    except httptools.HttpParserError as error:
        complaint = str(error)
    fields = heard.fields
    if complaint or len(fields) != count:
        raise HeadError(Cause.BAD_ANSWER, complaint or "a line is not a field")
    index = Index(fields)
    minor, status = int(match[1]), int(match[2])
    first = index.first
    lengths = index.all(b"content-length") if b"content-length" in first else []
    codings = index.all(b"transfer-encoding") if b"transfer-encoding" in first else []
    framing = response_framing(lengths, codings, minor, status, method)
    connection = tokens(index.all(b"connection")) if b"connection" in first else []
    return ResponseHead(
        minor,
        fields,
        framing,
        framing.ending is not Ending.CLOSE and _persistent(minor, connection),
        status == 101 and b"websocket" in tokens(index.all(b"upgrade")),
        index,
        status,
        match[3] or b"",
    )
