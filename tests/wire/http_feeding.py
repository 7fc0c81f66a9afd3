"""Ways to feed a codec of HTTP, the corpus of heads, and what came of a head in words that compare."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis.strategies as st

from wsgate.wire.http_head import Head, HeadError, RequestHead, RequestReader, ResponseHead, ResponseReader

CORPUS = Path(__file__).parents[1] / "corpus" / "heads"
_ESCAPE = re.compile(rb"\\(x[0-9a-f]{2}|.)")
_SIGNS = {b"r": b"\r", b"n": b"\n", b"t": b"\t", b"0": b"\0", b"s": b" ", b"\\": b"\\"}

Reader = RequestReader | ResponseReader


def bytewise(stream: bytes) -> list[bytes]:
    return [stream[at : at + 1] for at in range(len(stream))]


def cut(stream: bytes, cuts: list[int]) -> list[bytes]:
    """``stream`` in pieces cut at ``cuts``, any numbers."""
    places = sorted({place % (len(stream) + 1) for place in cuts})
    return [stream[start:end] for start, end in zip([0, *places], [*places, len(stream)], strict=True)]


cuts = st.lists(st.integers(0, 10_000), max_size=6)


def corpus(name: str) -> Iterator[tuple[str, str, bytes]]:
    """Name, expected outcome and bytes of each head of a corpus file."""
    for block in (CORPUS / name).read_bytes().split(b"\n== ")[1:]:
        title, *lines = block.rstrip(b"\n").split(b"\n")
        case, _, expected = title.decode().rpartition(": ")
        yield case, expected, b"".join(_ESCAPE.sub(_sign, line) + b"\r\n" for line in lines) + b"\r\n"


def _sign(match: re.Match[bytes]) -> bytes:
    sign = match[1]
    return bytes([int(sign[1:], 16)]) if sign[:1] == b"x" else _SIGNS[sign]


def told(value: object) -> str:
    """A value of a head as the corpus writes it."""
    if isinstance(value, bytes):
        return value.decode("latin-1")
    if isinstance(value, tuple):
        return f"{value[0].value}:{value[1]}"
    return str(value)


def attributes(head: Head, names: list[str]) -> str:
    return " ".join(["ok", *(f"{name}={told(getattr(head, name))}" for name in names)])


def read(reader: Reader, chunks: list[bytes]) -> tuple[RequestHead | ResponseHead | None, bytes]:
    """The first head in ``chunks`` and all bytes behind it."""
    for number, chunk in enumerate(chunks):
        head = reader.feed(chunk)
        if head is not None:
            return head, reader.take_rest() + b"".join(chunks[number + 1 :])
    return None, b""


def outcome(make: Callable[[], Reader], chunks: list[bytes]) -> tuple[object, object]:
    """What `read` gives, or the cause of its refusal: equal for every way of feeding."""
    try:
        return read(make(), chunks)
    except HeadError as error:
        assert str(error)
        return error.cause, None
