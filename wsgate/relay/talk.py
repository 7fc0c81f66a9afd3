"""What is put in front of autobahn's protocols, so that one of them can sit on a leg of a relay.

autobahn shakes hands, reads frame headers and checks them, and compresses.  What is overridden here is what costs
most for a message (formatting for a log that nobody reads, masks and UTF-8 through calls that are slow for short
payloads, futures), and what a gateway has to decide itself: sizes, Pings, Close, time-outs and the end of the
connection.  autobahn sets no timer here, answers nothing of its own accord and never closes a leg.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import txaio.tx
from autobahn.exception import PayloadCorruptError, PayloadExceededError
from autobahn.websocket.protocol import WebSocketProtocol
from twisted.python.failure import Failure

from wsgate.config.model import RelayLimits
from wsgate.relay.flood import Flood
from wsgate.relay.payloads import Masker, TextCheck, masker_for
from wsgate.relay.speech import Speech
from wsgate.transport.interfaces import Data, Leg
from wsgate.wire.close_codes import FrameError, parse_close
from wsgate.wire.ws_encoding import BINARY, CLOSE, PING, RSV1, TEXT

# autobahn has types for a part of what it offers.
_quiet_logger: Any = txaio.tx.make_logger
_connection_made: Any = WebSocketProtocol._connectionMade

#: Bytes that autobahn is given at a time where frames are short: it cuts each off the front of its buffer, so that
#: its work on a full buffer would grow with the square of its size.
PIECE = 4096

_OPEN = 3  # autobahn's STATE_OPEN

#: The attributes that a talk has when its handshake is done.  autobahn makes 60 more, of 3 kB: both heads, what is
#: agreed on, results to wait for, queues and timers of what is done otherwise here.
_NEEDED = frozenset(
    {
        *("_perMessageCompress", "current_frame", "data", "factory", "inside_message", "state", "transport"),
        *("_budget", "_max_compressed", "_max_fragments", "_max_frame", "_max_message", "_random"),
        *("heard", "held", "leg", "towards"),
    }
)


class Heard(Protocol):
    """Who is told what a peer says; after ``close`` or ``violated`` nothing more is told of frames."""

    def message(self, payload: bytes, binary: bool) -> None: ...

    def ping(self, payload: bytes) -> None: ...

    def pong(self, payload: bytes) -> None: ...

    def empty(self) -> None:
        """A frame of a message came that neither carries anything nor is the last."""

    def close(self, code: int, reason: str) -> None:
        """``code`` is NO_CODE for an empty Close."""

    def violated(self, code: int, text: str) -> None:
        """The peer broke a rule of the protocol or a limit; ``code`` names it (RFC 6455 section 7.4.1)."""

    def ignored(self, size: int) -> None:
        """Bytes came that are not listened to."""

    def input_over(self) -> None:
        """FIN."""

    def lost(self, reason: Failure) -> None:
        """The leg is gone."""


class Talk(Speech):
    """What both of autobahn's protocols get in front of them; mixed in, so that its methods come first.

    Plain attributes to read: ``frames`` that came, ``controls`` and ``empties`` among them, and ``messages``.
    ``held`` stops listening at once, between two frames of what has already been read; ``listen`` goes on.
    ``towards`` is the talk that what is heard here is said on: it sends together what was heard together.
    """

    # The options of a factory are attributes of its class: with none to copy, a connection needs no dictionary of
    # 30 entries, and autobahn formats no text of them for its log.
    CONFIG_ATTRS: tuple[str, ...] = ()
    # What a peer does wrong is told by the relay's ending.
    log = _quiet_logger(level="error")
    peer = ""

    # What is used of autobahn's state.
    factory: Any
    transport: Any
    state: int
    data: bytes
    current_frame: Any
    current_frame_masker: Masker
    inside_message: bool
    control_frame_data: Any
    processData: Callable[[], bool]
    makeConnection: Callable[[Any], None]

    heard: Heard
    towards: Speech
    held = False
    deaf = False
    frames = controls = empties = messages = 0

    _budget: Flood | None = None
    _listening = False
    _rest = b""
    _message: bytes | bytearray = b""
    _fragments = 0
    _wire_size = 0
    _text: TextCheck | None = None
    _compressed = False

    def sit_on(
        self,
        leg: Leg,
        heard: Heard,
        limits: RelayLimits,
        random: Callable[[int], bytes],
        seconds: Callable[[], float],
    ) -> None:
        """Become the protocol of ``leg``; what it says is told to ``heard``.

        ``random`` gives keys for masks, ``seconds`` is a monotonic clock.
        """
        self.leg = leg
        self.heard = heard
        self._budget = Flood.of(limits, seconds)
        self._max_frame = limits.max_frame
        self._max_message = limits.max_message
        self._max_fragments = limits.max_fragments
        # A compressed message may be a little longer than what it inflates to (RFC 1951 section 3.2.4), not much.
        self._max_compressed = limits.max_message + (limits.max_message >> 8) + 1024 if limits.max_message else 0
        self._random = random
        self.makeConnection(leg)
        leg.protocol = self

    def move_to(self, leg: Leg) -> None:
        """Go on, on another leg; nothing may have come from the one before."""
        self.leg = self.transport = leg
        leg.protocol = self

    # From the leg

    def connectionMade(self) -> None:
        _connection_made(self)

    def dataReceived(self, data: Data) -> None:
        if self.deaf:
            self.heard.ignored(len(data))
            return
        if self._rest or len(data) > PIECE:
            self._rest += data
        else:
            self.data += data
        self.listen()

    def readConnectionLost(self) -> None:
        self.heard.input_over()

    def connectionLost(self, reason: Failure) -> None:
        self.heard.lost(reason)

    def listen(self) -> None:
        """Let autobahn take what has come, until it is held, or the peer has nothing more to say."""
        if self._listening:
            return
        self._listening = True
        self.towards.collect()
        try:
            while not (self.held or self.deaf) and (self.processData() or self._rest and self._next_piece()):
                pass
        finally:
            self._listening = False
            self.towards.flush()
        if self.deaf:
            self.data = self._rest = b""

    def consumeData(self) -> None:
        """autobahn asks to go on after the handshake; whoever made the connection does that."""

    def _next_piece(self) -> bool:
        rest = self._rest
        size = PIECE
        if self.current_frame is not None:
            size += self.current_frame.length - self.current_frame_masker.pointer()
        self.data += rest[:size]
        self._rest = rest[size:]
        return True

    @property
    def at_boundary(self) -> bool:
        """Whether what has come so far ends between two messages."""
        return not (self.inside_message or self.current_frame is not None or self.data or self._rest)

    @property
    def begun(self) -> int:
        """Bytes of the message that is not complete."""
        return len(self._message)

    @property
    def kept(self) -> int:
        """Bytes of what has come and has not been told: the part of a message, and what waits while this is held."""
        return len(self._message) + len(self.data) + len(self._rest)

    # Frames

    def onFrameBegin(self) -> None:
        frame = self.current_frame
        if self.deaf:
            return
        if frame.mask is not None and frame.length:
            self.current_frame_masker = masker_for(frame.mask, frame.length)
        if frame.opcode >= CLOSE:
            self.control_frame_data = b""
            return
        if self.inside_message:
            self._fragments += 1
            self._wire_size += frame.length
        else:
            self._begin_message(frame)
        self._check_sizes(frame.length)

    def _begin_message(self, frame: Any) -> None:
        self.inside_message = True
        self._message = b""
        self._fragments = 1
        self._wire_size = frame.length
        self._binary = frame.opcode == BINARY
        self._text = TextCheck() if frame.opcode == TEXT else None
        self._compressed = frame.rsv == RSV1 >> 4
        if self._compressed:
            self._perMessageCompress.start_decompress_message()

    def _check_sizes(self, length: int) -> None:
        """Before a byte of the payload is taken."""
        most = self._max_compressed if self._compressed else self._max_message
        if self._max_frame and length > self._max_frame:
            self._fail_connection(1009, f"frame of {length} bytes, {self._max_frame} allowed")
        elif most and self._wire_size > most:
            self._fail_connection(1009, f"message of at least {self._wire_size} bytes, {self._max_message} allowed")
        elif self._max_fragments and self._fragments > self._max_fragments:
            self._fail_connection(1008, f"message of more than {self._max_fragments} frames")

    def onFrameData(self, payload: bytes) -> bool | None:
        if self.deaf:
            return False
        if self.current_frame.opcode >= CLOSE:
            self.control_frame_data += payload
            return None
        if self._compressed:
            payload = self._inflate(payload)
        if self._text is not None and not self._text.goes_on(payload):
            self._fail_connection(1007, "text is not UTF-8")
            return False
        if not self._message:
            self._message = payload
        elif payload:
            if type(self._message) is bytes:
                self._message = bytearray(self._message)
            self._message += payload
        return None

    def _inflate(self, payload: bytes) -> bytes:
        room = self._max_message - len(self._message) if self._max_message else None
        try:
            plain: bytes = self._perMessageCompress.inflate(payload, room)
        except PayloadExceededError:
            self._fail_connection(1009, f"message inflates to more than {self._max_message} bytes")
        except PayloadCorruptError:
            self._fail_connection(1007, "message cannot be inflated")
        else:
            return plain
        return b""

    def onFrameEnd(self) -> bool | None:
        frame, self.current_frame = self.current_frame, None
        self.frames += 1
        if frame.opcode >= CLOSE:
            self.controls += 1
            self._end_control(frame.opcode, self.control_frame_data)
        elif frame.fin:
            self._end_message()
        elif not frame.length:
            self.empties += 1
            if self._may_be_empty():
                self.heard.empty()
        return None

    def _end_message(self) -> None:
        self.inside_message = False
        message, self._message = self._message, b""
        if self._compressed:
            try:
                self._perMessageCompress.end_decompress_message()
            except PayloadCorruptError:
                self._fail_connection(1007, "message cannot be inflated")
                return
        if self._text is not None and not self._text.complete:
            self._fail_connection(1007, "text ends inside a character")
            return
        self.messages += 1
        self.heard.message(bytes(message), self._binary)

    def _may_be_empty(self) -> bool:
        """Count a frame that carries nothing, a ping or a pong among them; False where it is one too many."""
        if self._budget is not None:
            try:
                self._budget.spend(self.frames - self.controls - self.empties)
            except FrameError as error:
                self._fail_connection(error.code, error.text)
                return False
        return True

    def asked(self) -> None:
        """A ping goes to this peer, which may answer it."""
        if self._budget is not None:
            self._budget.asked()

    def _end_control(self, opcode: int, payload: bytes) -> None:
        if opcode != CLOSE:
            if self._may_be_empty():
                (self.heard.ping if opcode == PING else self.heard.pong)(payload)
        else:
            try:
                code, reason = parse_close(payload)
            except FrameError as error:
                self._fail_connection(error.code, error.text)
                return
            self.deaf = True
            self.heard.close(code, reason)

    def _fail_connection(self, code: int = 1002, reason: str = "") -> None:
        """autobahn and the checks above have found a fault; autobahn itself would go on with the next frame."""
        if not self.deaf:
            self.deaf = True
            self.heard.violated(code, reason)

    # What autobahn is not left to do

    def dropConnection(self, abort: bool = False) -> None:
        """The relay ends its legs itself."""

    def failHandshake(self, reason: str, *_: object) -> None:
        raise AssertionError(f"autobahn does not take a handshake that was checked: {reason}")

    def opened(self) -> None:
        """The handshake that autobahn was shown must have ended well; what was for it alone is let go."""
        if self.state != _OPEN:
            raise AssertionError("autobahn does not take a handshake that was checked")
        self.__dict__ = {name: value for name, value in self.__dict__.items() if name in _NEEDED}
