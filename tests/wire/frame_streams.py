"""Streams of WebSocket frames for tests: legal, nearly legal and noise, and a slow reference that judges them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hypothesis import strategies as st

from wsgate.wire.close_codes import FrameError, close_payload, parse_close
from wsgate.wire.ws_encoding import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, Chunk, apply_mask, encode_frame
from wsgate.wire.ws_rules import FrameRules

KEY = b"\x9c\x01\xfe\x35"
BIG = (1 << 63) - 1


def bytewise(stream: bytes) -> list[bytes]:
    return [stream[at : at + 1] for at in range(len(stream))]


def pieces(stream: bytes, cuts: Sequence[int]) -> Iterator[Chunk]:
    """Cut ``stream`` at ``cuts`` (any numbers), every other piece a view, empty pieces too."""
    places = sorted(cut % (len(stream) + 1) for cut in cuts)
    for number, (start, end) in enumerate(zip([0, *places], [*places, len(stream)], strict=True)):
        yield memoryview(stream)[start:end] if number % 2 else stream[start:end]


def frame(masked: bool, opcode: int, payload: bytes = b"", fin: bool = True, rsv1: bool = False) -> bytes:
    return encode_frame(opcode, payload, fin, KEY if masked else None, rsv1)


class Stop(Exception):
    """The reference has met a fault."""


class Reference:
    """A slow reader of a whole stream; ``least`` and ``most`` bound what may be forwarded."""

    def __init__(self, rules: FrameRules, stream: bytes) -> None:
        self.rules, self.stream = rules, stream
        self.controls: list[tuple[int, bytes]] = []
        self.frames = self.messages = self.texts = self.payload_bytes = self.at = 0
        self.closed = False
        self.fault: int | None = None
        self.open: list[bytes] = []
        self.open_text = self.open_plain = False
        self.least = self.most = 0
        try:
            while not self.closed and self.one_frame():
                self.least = self.most = self.at
            self.least = self.most = self.at
        except Stop as stop:
            self.fault = stop.args[0]
            self.most = max(self.most, self.at)

    def need(self, count: int) -> bytes | None:
        found = self.stream[self.look : self.look + count]
        self.look += count
        return found if len(found) == count else None

    def one_frame(self) -> bool:
        """Read a frame at ``at``; False where the stream ends in it."""
        rules, self.look = self.rules, self.at
        if (first := self.need(1)) is None:
            return False
        fin, rsv, opcode = first[0] >> 7, first[0] >> 4 & 7, first[0] & 15
        starts = opcode in {TEXT, BINARY}
        if opcode not in {0, 1, 2, 8, 9, 10} or (rsv and not (rsv == 4 and rules.rsv1 and starts)):
            raise Stop(1002)
        if (opcode >= 8 and not fin) or (starts and self.open) or (opcode == 0 and not self.open):
            raise Stop(1002)
        if (second := self.need(1)) is None:
            return False
        size = second[0] & 127
        if (second[0] >= 128) != rules.masked or (opcode >= 8 and size > 125):
            raise Stop(1002)
        if size >= 126:
            if (long := self.need(2 if size == 126 else 8)) is None:
                return False
            least = 126 if size == 126 else 65536
            size = int.from_bytes(long, "big")
            if size < least or size > BIG:
                raise Stop(1002)
        return self.control(opcode, size) if opcode >= 8 else self.data(opcode, bool(fin), bool(rsv), size)

    def control(self, opcode: int, size: int) -> bool:
        key = self.need(4) if self.rules.masked else b"\0\0\0\0"
        payload = self.need(size)
        if key is None or payload is None:
            return False
        payload = apply_mask(payload, key)
        if opcode == CLOSE:
            try:
                parse_close(payload)
            except FrameError as error:
                raise Stop(error.code) from None
            self.closed = True
        self.controls.append((opcode, payload))
        self.frames += 1
        self.at = self.look
        return True

    def data(self, opcode: int, fin: bool, compressed: bool, size: int) -> bool:
        rules = self.rules
        before = sum(len(part) for part in self.open)
        if size > (rules.max_frame or BIG) or before + size > (rules.max_message or BIG):
            raise Stop(1009)
        if rules.max_fragments and len(self.open) + 1 > rules.max_fragments:
            raise Stop(1008)
        key = self.need(4) if rules.masked else b"\0\0\0\0"
        if key is None:
            return False
        body = self.stream[self.look : self.look + size]
        whole = len(body) == size
        if opcode:
            self.open_text, self.open_plain = opcode == TEXT, not compressed
        self.open.append(apply_mask(body, key))
        if rules.validate_utf8 and self.open_text and self.open_plain and not self.good_text(fin and whole):
            self.at = self.look + len(body)
            raise Stop(1007)
        self.payload_bytes += len(body)
        self.at = self.look + len(body)
        if not whole:
            return False
        self.frames += 1
        if fin:
            self.messages += 1
            self.texts += self.open_text
            self.open = []
        return True

    def good_text(self, final: bool) -> bool:
        try:
            b"".join(self.open).decode()
        except UnicodeDecodeError as error:
            return error.reason == "unexpected end of data" and not final
        return True


SIZES = st.one_of(st.integers(0, 8), st.sampled_from([124, 125, 126, 127, 300, 65535, 65536]))
CHOPS = st.lists(st.integers(0, 1 << 20), max_size=12)
RULES = st.builds(
    FrameRules,
    masked=st.booleans(),
    rsv1=st.booleans(),
    max_frame=st.sampled_from([0, 126, 70000]),
    max_message=st.sampled_from([0, 200, 70000]),
    max_fragments=st.sampled_from([0, 1, 3]),
    validate_utf8=st.booleans(),
)


@st.composite
def payloads(draw: st.DrawFn) -> bytes:
    size = draw(SIZES)
    unit = draw(st.sampled_from([b"\0", b"\0", "é".encode(), "€".encode(), "😀".encode(), b"x\xff"]))
    return (unit * size)[:size]


@st.composite
def messages(draw: st.DrawFn, masked: bool, rsv1: bool) -> bytes:
    """A legal data message in frames, with Pings and Pongs between them."""
    opcode = draw(st.sampled_from([TEXT, BINARY]))
    parts = draw(st.lists(payloads(), min_size=1, max_size=3))
    out, compressed = b"", rsv1 and draw(st.booleans())
    for number, part in enumerate(parts):
        if draw(st.booleans()):
            out += frame(masked, draw(st.sampled_from([PING, PONG])), part[:125])
        first, last = number == 0, number == len(parts) - 1
        out += frame(masked, opcode if first else CONTINUATION, part, last, compressed and first)
    return out


@st.composite
def sound_streams(draw: st.DrawFn) -> tuple[FrameRules, bytes]:
    masked, rsv1 = draw(st.booleans()), draw(st.booleans())
    stream = b"".join(draw(st.lists(messages(masked, rsv1), max_size=4)))
    if draw(st.booleans()):
        stream += frame(masked, CLOSE, close_payload(1000, "bye"))
    return FrameRules(masked, rsv1), stream


@st.composite
def any_streams(draw: st.DrawFn) -> tuple[FrameRules, bytes]:
    """Frames that are legal, nearly legal, or noise, and perhaps the head of one more."""
    rules = draw(RULES)
    stream = b""
    for _ in range(draw(st.integers(0, 5))):
        kind = draw(st.integers(0, 9))
        if kind <= 5:
            stream += draw(messages(rules.masked, rules.rsv1))
        elif kind <= 7:
            first = draw(st.sampled_from([*range(256), *[0x00, 0x01, 0x80, 0x88, 0x89] * 40]))
            masked = rules.masked if draw(st.integers(0, 9)) else not rules.masked
            stream += bytes([first]) + frame(masked, BINARY, draw(payloads()))[1:]
        elif kind == 8:
            stream += frame(rules.masked, CLOSE, draw(st.binary(max_size=4)))
        else:
            stream += draw(st.binary(max_size=12))
    return rules, stream[: len(stream) - draw(st.sampled_from([0, 0, 1, 2, 5, 130]))] if stream else stream
