"""Writing one HTTP/1 answer: its framing, and its head in one send with the first bytes of its body."""

from __future__ import annotations

from http import HTTPStatus

from wsgate.transport.interfaces import Data, Leg
from wsgate.wire.fields import Fields, encode_response
from wsgate.wire.framing import Ending, Framing
from wsgate.wire.heads import RequestHead
from wsgate.wire.http_body import LAST_CHUNK, chunk_head, last_chunk

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_CLOSE = (b"Connection", b"close")
_CLOSE_UPGRADE = (b"Connection", b"close, Upgrade")
_KEEP_ALIVE = (b"Connection", b"keep-alive")
_CHUNKED = (b"Transfer-Encoding", b"chunked")
_PHRASES = {int(status): status.phrase.encode() for status in HTTPStatus}


class AnswerWriter:
    """The answers on one leg, one after the other; each is begun with the request that it is for.

    ``keep`` says whether the connection goes on behind it, ``begun`` whether its head has been made.
    """

    __slots__ = ("_chunked", "_head_request", "_leg", "_minor", "_unsent", "begun", "keep")

    def __init__(self, leg: Leg) -> None:
        self._leg = leg
        self.begin(None, False)

    def begin(self, head: RequestHead | None, keep: bool) -> None:
        """The next answer; ``head`` is None where the request could not be read."""
        self._minor = head.minor if head is not None else 1
        self._head_request = head is not None and head.method == b"HEAD"
        self._chunked = False
        self._unsent = b""
        self.begun = False
        self.keep = keep

    def go_on(self) -> None:
        """Tell a client that waits with its body to send it (RFC 9110 section 10.1.1)."""
        self._leg.write(_CONTINUE)

    def informational(self, status: int, reason: bytes, fields: Fields) -> None:
        """Pass a 1xx answer on; HTTP/1.0 has none (RFC 9110 section 15.2)."""
        if self._minor:
            self._leg.write(encode_response(status, reason, _without_length(fields)))

    @property
    def is_plain(self) -> bool:
        """Whether nothing is to be said of this connection: HTTP/1.1 that goes on."""
        return self.keep and self._minor == 1

    def made(self, head: bytes) -> None:
        """Begin with a head that is written already; only where ``is_plain``, and its framing says where it ends."""
        self._unsent = head
        self.begun = True

    def head(self, status: int, reason: bytes, fields: Fields, framing: Framing) -> None:
        """Begin.  Where ``framing`` has a length, ``fields`` say so too; else the end of the body is marked here.

        The head goes out with the first bytes of the body, or on ``flush``.
        """
        fields = _without_length(fields) if status == 204 else list(fields)
        if framing.ending in {Ending.CHUNKED, Ending.CLOSE} and not self._head_request:
            if self._minor:
                self._chunked = True
                fields.append(_CHUNKED)
            else:
                self.keep = False
        if not self.keep:
            # Whoever sends Upgrade says so in Connection (RFC 9110 section 7.8); only our own 426 has it.
            fields.append(_CLOSE_UPGRADE if any(name == b"Upgrade" for name, _ in fields) else _CLOSE)
        elif not self._minor:
            fields.append(_KEEP_ALIVE)
        self._unsent = encode_response(status, reason or _PHRASES.get(status, b""), fields)
        self.begun = True

    def body(self, data: Data) -> None:
        """Send a piece of the body; nothing where the answer has none (RFC 9110 section 9.3.2)."""
        if self._head_request or not data:
            return
        if self._chunked:
            self._leg.write(b"".join((self._unsent, chunk_head(len(data)), data, b"\r\n")))
            self._unsent = b""
        elif self._unsent:
            unsent, self._unsent = self._unsent, b""
            self._leg.write(b"".join((unsent, data)))
        else:
            self._leg.write(data)

    def flush(self) -> None:
        """Send the head if it still waits for a body."""
        unsent, self._unsent = self._unsent, b""
        if unsent:
            self._leg.write(unsent)

    def withdraw(self) -> bool:
        """Take the head back if nothing of the answer has gone out, so that another may be given; whether it could."""
        if not self._unsent:
            return False
        self._unsent = b""
        self._chunked = self.begun = False
        return True

    def end(self, trailers: Fields | None = None) -> None:
        """The answer is complete."""
        if self._chunked:
            self._unsent += last_chunk(trailers) if trailers else LAST_CHUNK
        self.flush()


def _without_length(fields: Fields) -> Fields:
    """``fields`` for a status that has no Content-Length, whatever a server says (RFC 9110 section 8.6)."""
    return [field for field in fields if field[0].lower() != b"content-length"]
