"""HTTP/1 messages for raw tests, read strictly and apart from the gateway's own code (RFC 9112)."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.doubles.raw import Wire

Fields = list[tuple[str, str]]


@dataclass(slots=True)
class Message:
    """A request or an answer: its first line in three parts, its fields in order, its body."""

    start: tuple[str, str, str]
    fields: Fields
    body: bytes = b""
    trailers: Fields = field(default_factory=list)

    @property
    def status(self) -> int:
        """The status of an answer."""
        return int(self.start[1])

    @property
    def method(self) -> str:
        return self.start[0]

    @property
    def target(self) -> str:
        return self.start[1]

    def all(self, name: str) -> list[str]:
        """The values of every field called ``name`` (any case), in order."""
        return [value for key, value in self.fields if key.lower() == name.lower()]

    def get(self, name: str) -> str | None:
        """The one value of a field; None where it is missing.  AssertionError where it is repeated."""
        values = self.all(name)
        assert len(values) < 2, f"{name} is there {len(values)} times: {values}"
        return values[0] if values else None


def _fields(block: bytes) -> Fields:
    found = []
    for line in block.decode("latin-1").split("\r\n"):
        if line:
            name, colon, value = line.partition(":")
            assert colon and name == name.strip(), f"not a header field: {line!r}"
            found.append((name, value.strip(" \t")))
    return found


def read_head(wire: Wire) -> Message:
    """The next head of ``wire``, without its body."""
    head = wire.until(b"\r\n\r\n")
    first, _, rest = head.partition(b"\r\n")
    parts = first.decode("latin-1").split(" ", 2)
    assert len(parts) >= 2, f"not a start line: {first!r}"
    return Message((parts[0], parts[1], parts[2] if len(parts) == 3 else ""), _fields(rest))


def _read_chunked(wire: Wire, message: Message) -> None:
    body = bytearray()
    while size := int(wire.until(b"\r\n").split(b";")[0], 16):
        body += wire.exactly(size)
        assert wire.exactly(2) == b"\r\n", "a chunk has no end"
    message.body = bytes(body)
    while (line := wire.until(b"\r\n")) != b"\r\n":
        message.trailers += _fields(line)


def read_body(wire: Wire, message: Message, *, until_end: bool) -> None:
    """Read the body that belongs to ``message``; ``until_end`` says that one without a length goes on to the end."""
    if "chunked" in (message.get("Transfer-Encoding") or "").lower():
        _read_chunked(wire, message)
    elif (length := message.get("Content-Length")) is not None:
        message.body = wire.exactly(int(length))
    elif until_end:
        message.body = wire.rest()


def read_answer(wire: Wire, method: str = "GET") -> Message:
    """The next final answer of ``wire`` with its body; interim answers (1xx but 101) are dropped."""
    answer = read_head(wire)
    while 100 <= answer.status < 200 and answer.status != 101:
        answer = read_head(wire)
    if method != "HEAD" and answer.status not in (101, 204, 304):
        read_body(wire, answer, until_end=True)
    return answer


def read_request(wire: Wire) -> Message:
    """The next request of ``wire`` with its body."""
    request = read_head(wire)
    read_body(wire, request, until_end=False)
    return request


def request(method: str, target: str, *fields: str, body: bytes = b"", host: str = "localhost") -> bytes:
    """The bytes of a request; a body gets its Content-Length."""
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", *fields]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "".join(f"{line}\r\n" for line in lines).encode("latin-1") + b"\r\n" + body


def answer(status: int, body: bytes = b"", *fields: str, reason: str = "Status") -> bytes:
    """The bytes of an answer with a Content-Length."""
    lines = [f"HTTP/1.1 {status} {reason}", f"Content-Length: {len(body)}", *fields]
    return "".join(f"{line}\r\n" for line in lines).encode("latin-1") + b"\r\n" + body
