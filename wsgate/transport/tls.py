"""A leg under TLS, with the interface of a plain one.

Twisted's TLS layers producers, aggregation and a turn of the reactor over a memory BIO.  Here a read is one ``recv``, a
loop of SSL_read, and the protocol called with each record's plaintext; a write is SSL_write and one direct send.

Half-close is close_notify, which leaves the other direction open only since TLS 1.3 (RFC 8446 section 6.1); the TCP
connection under TLS is never half-closed.  An end of the TCP connection without close_notify is a loss, since anybody
on the way could have made it.
"""

from __future__ import annotations

import socket
from collections.abc import Callable

from OpenSSL import SSL
from twisted.python.failure import Failure

from wsgate.transport.hub import Hub
from wsgate.transport.interfaces import Data
from wsgate.transport.openssl import PIECE, RECORD, Buffers, Engine
from wsgate.transport.tcp import TcpLeg, Way

#: Ciphertext without plaintext in it that a peer may send: tickets and alerts are small, key updates are 27 bytes each
#: and cost a key derivation and an answer.  Each record with plaintext makes up for the longest one, since it may be
#: padded so far (RFC 8446 section 5.4): then a byte of key updates costs no more than a byte of small records.
BARREN = 64 * 1024

#: A record with its header (RFC 8446 section 5.2; RFC 5246 section 6.2.3 has room that no cipher of ours takes).
_LONGEST = RECORD + 256 + 5


class TlsLeg(TcpLeg):
    """A TLS leg over a connected socket; ``connection`` is a pyOpenSSL one on memory BIOs, with its side set.

    ``secured()`` is called when the handshake is done (set ``protocol`` there at the latest), ``refused(why)`` when it
    failed; the leg is then on its way to being closed, and ``protocol`` hears nothing of it.
    """

    __slots__ = ("_answers", "_barren", "_engine", "_heard", "_refused", "_secured")

    def __init__(
        self,
        hub: Hub,
        sock: socket.socket,
        connection: SSL.Connection,
        buffers: Buffers,
        *,
        secured: Callable[[], None],
        refused: Callable[[str], None],
    ) -> None:
        super().__init__(hub, sock)
        self._engine = Engine(connection, buffers)
        self._answers = 0
        self._barren = 0
        self._heard: Callable[[], None] | None = None
        self._secured: Callable[[], None] | None = secured
        self._refused: Callable[[str], None] | None = refused

    @property
    def connection(self) -> SSL.Connection:
        """For facts about the session; reading and writing it would break the leg."""
        return self._engine.connection

    @property
    def half_closes(self) -> bool:
        """Whether one direction can end before the other."""
        return self._engine.connection.get_protocol_version() >= SSL.TLS1_3_VERSION

    def start(self, initial: bytes = b"") -> None:
        """Begin the handshake; ``initial`` are its first bytes, read ahead of this leg."""
        if self._events < 0:
            self._watch()
        if initial:
            self._engine.feed(initial)
        self._shake()

    def once_heard(self, call: Callable[[], None]) -> None:
        """Call this behind the first data of the peer: the tickets of TLS 1.3 have come before it."""
        self._heard = call

    def negotiated_protocol(self) -> bytes:
        """The protocol agreed by ALPN (RFC 7301), or nothing."""
        return self._engine.connection.get_alpn_proto_negotiated()

    # Handshake

    def _shake(self) -> None:
        try:
            done = self._engine.handshake()
        except SSL.Error as error:
            self._refuse(_reason(error))
            return
        if not done:
            self._send_pending()
            return
        # What is left to say (a client's Finished, a server's tickets) goes out with the first answer, if that comes
        # at once.
        secured, self._secured, self._refused = self._secured, None, None
        if secured is not None:
            secured()
        if self._fd >= 0:
            self._read_plain()

    def _refuse(self, why: str) -> None:
        refused, self._secured, self._refused = self._refused, None, None
        self._send_pending()
        self.loseConnection()
        if refused is not None:
            refused(why)

    # Reading

    def _receive(self) -> None:
        try:
            count = self._sock.recv_into(self._hub.buffer)
        except BlockingIOError:
            return
        except OSError:
            self.lost()
            return
        if not count:
            self._cut_off()
            return
        self._engine.feed_received(count)
        if self._secured is not None:
            self._shake()
            return
        self._barren += count
        self._read_plain()

    def _read_plain(self) -> None:
        """Deliver what can be decrypted, until nothing is left or the protocol pauses the leg."""
        engine = self._engine
        try:
            while not self._paused and self._reading is Way.OPEN and not self._closing:
                plain = engine.read()
                if plain is None:
                    break
                self._barren = max(0, self._barren - engine.records * _LONGEST)
                self.received += len(plain)
                if self._heard is not None:
                    heard, self._heard = self._heard, None
                    heard()
                self.protocol.dataReceived(plain)
                if not engine.more:
                    break
        except SSL.ZeroReturnError:
            self._close_notified()
        except SSL.Error:
            self._send_pending()
            self.lost()
        else:
            self._answer()

    def _answer(self) -> None:
        """Send what reading made OpenSSL say: each KeyUpdate may ask for one in return, also between data.

        Left alone, the answers would pile up in OpenSSL until the next write, or here when the peer does not read.
        """
        count = self._engine.pending_output()
        if count and self._fd >= 0:
            self._answers = self._answers + count if self.queued else 0
            self._send(count)
        if self._barren > BARREN or self._answers > BARREN:
            self.abortConnection()

    def _close_notified(self) -> None:
        self.end_of_input()
        if self._fd >= 0 and self._writing is Way.OPEN and not self.half_closes:
            # TLS 1.2: the peer expects our close_notify at once, and nothing else (RFC 5246 section 7.2.1).
            self.loseConnection()

    def _cut_off(self) -> None:
        if self._secured is not None:
            self._refuse("the peer left during the handshake")
        else:
            self.lost()

    def resumeProducing(self) -> None:
        if self._paused:
            super().resumeProducing()
            # Records that were received but not read when the leg was paused lie in OpenSSL, where no event tells.
            self._hub.soon(self._read_on)

    def _read_on(self) -> None:
        if self._fd >= 0 and self._secured is None and not self._paused:
            self._read_plain()

    # Writing

    def write(self, data: Data) -> None:
        if self._writing is not Way.OPEN or self._closing or self._fd < 0:
            return
        size = len(data)
        self.sent += size
        if size <= PIECE:
            self._send(self._engine.write(data))
            return
        view = memoryview(data)
        for start in range(0, size, PIECE):
            self._send(self._engine.write(view[start : start + PIECE]))

    def _send_pending(self) -> None:
        count = self._engine.pending_output()
        if count:
            self._send(count)

    def _send(self, count: int) -> None:
        """Send ``count`` bytes of ciphertext from the shared buffer; queue a copy of what the socket does not take."""
        cipher = self._engine.outgoing(count)
        sent = 0
        if not self.queued:
            try:
                sent = self._sock.send(cipher)
            except BlockingIOError:
                pass
            except OSError:
                self._broken_pipe()
                return
        if sent < count:
            self._enqueue(bytes(cipher[sent:]))

    # Ending

    def loseWriteConnection(self) -> None:
        if self._writing is Way.OPEN and self.half_closes:
            self._notify()
            # The leg must not go before the ciphertext that still waits.
            self._writing = Way.ENDING if self.queued else Way.ENDED
            if self._reading is Way.ENDED:
                self.loseConnection()

    def _finish_writing(self) -> None:
        """The queue is empty, and close_notify was in it: TCP under TLS is never half-closed."""
        self._writing = Way.ENDED
        if self._reading is Way.ENDED:
            self._hub.soon(self._end_done)

    def _notify(self) -> None:
        self._engine.close_notify()
        self._send_pending()

    def loseConnection(self) -> None:
        if self._fd >= 0 and not self._closing and self._writing is Way.OPEN and self._secured is None:
            self._notify()
        super().loseConnection()

    def _close(self, reason: Failure) -> None:
        refused, self._refused, self._secured = self._refused, None, None
        super()._close(reason)
        if refused is not None:
            refused("the peer left during the handshake")


def _reason(error: SSL.Error) -> str:
    """OpenSSL's words for a failed handshake: the last reason in its queue."""
    if isinstance(error, SSL.SysCallError):
        return "the peer left during the handshake"
    queue = error.args[0] if error.args else ()
    if isinstance(queue, str):
        return queue
    return str(queue[-1][-1]) if queue else "unknown TLS error"
