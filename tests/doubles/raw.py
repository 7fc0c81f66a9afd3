"""A raw connection: what is sent and when is the test's choice, and every wait has an end."""

from __future__ import annotations

import contextlib
import ctypes
import socket
import struct
import threading
from types import TracebackType
from typing import Self

from tests.doubles.ports import bind_anew

_RECEIVE = 65_536
_libc = ctypes.CDLL(None, use_errno=True)


class EndOfStream(ConnectionError):
    """The other side ended the stream before what the test waited for had come."""


class Wire:
    """One end of a TCP or unix connection, blocking, each wait bounded by ``timeout`` seconds (TimeoutError).

    Bytes that were received and not yet asked for are in ``unread``; ``total`` counts all that came.
    """

    def __init__(self, sock: socket.socket, timeout: float = 30.0) -> None:
        self.sock = sock
        self.unread = bytearray()
        self.total = 0
        self.ended = False
        self.released = threading.Event()
        sock.settimeout(timeout)
        if sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    # -- what differs under TLS

    def _send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def _receive(self) -> bytes:
        return self.sock.recv(_RECEIVE)

    def half_close(self) -> None:
        """End the sending direction and go on receiving."""
        self.sock.shutdown(socket.SHUT_WR)

    # -- sending

    def send(self, data: bytes) -> None:
        """Send all of ``data``."""
        self._send(data)

    def send_sliced(self, data: bytes, size: int = 1) -> None:
        """Send ``data`` in writes of ``size`` bytes, each a packet of its own as far as the kernel goes along."""
        for start in range(0, len(data), size):
            self._send(data[start : start + size])

    # -- receiving

    def _more(self) -> bool:
        """Take what comes next into ``unread``; False when the stream has ended."""
        if self.ended:
            return False
        data = self._receive()
        if not data:
            self.ended = True
            return False
        self.total += len(data)
        self.unread += data
        return True

    def _take(self, size: int) -> bytes:
        data = bytes(self.unread[:size])
        del self.unread[:size]
        return data

    def some(self) -> bytes:
        """Whatever is there or comes next; empty when the stream has ended."""
        if not self.unread:
            self._more()
        return self._take(len(self.unread))

    def exactly(self, size: int) -> bytes:
        """The next ``size`` bytes; EndOfStream when the stream ends before."""
        while len(self.unread) < size:
            if not self._more():
                raise EndOfStream(f"wanted {size} bytes, the stream ended with {bytes(self.unread)!r}")
        return self._take(size)

    def until(self, marker: bytes) -> bytes:
        """Everything up to and with ``marker``; EndOfStream when the stream ends before."""
        searched = 0
        while (found := self.unread.find(marker, searched)) < 0:
            searched = max(0, len(self.unread) - len(marker) + 1)
            if not self._more():
                raise EndOfStream(f"wanted {marker!r}, the stream ended with {bytes(self.unread)!r}")
        return self._take(found + len(marker))

    def rest(self) -> bytes:
        """Everything until the stream ends in good order."""
        while self._more():
            pass
        return self._take(len(self.unread))

    def drain(self, size: int) -> int:
        """Receive and drop at least ``size`` bytes, or what comes before the end; the number that was dropped."""
        dropped = 0
        while dropped < size and (data := self.some()):
            dropped += len(data)
        return dropped

    # -- facts about the end

    def expect_eof(self) -> None:
        """The stream ends in good order, with no further byte."""
        left = self.rest()
        assert not left, f"bytes before the end of the stream: {left!r}"

    def expect_reset(self) -> None:
        """The other side aborts the connection; bytes before that are dropped."""
        try:
            while self._more():
                pass
        except ConnectionResetError:
            self.ended = True
            return
        raise AssertionError("the stream ended in good order, a reset was expected")

    def expect_gone(self) -> None:
        """The connection is over, in good order or by a reset; bytes before that are dropped."""
        with contextlib.suppress(ConnectionError):
            while self._more():
                pass
        self.ended = True

    def expect_silence(self, seconds: float) -> None:
        """Neither a byte nor an end comes for ``seconds``."""
        assert not self.unread, f"bytes are waiting: {bytes(self.unread)!r}"
        before = self.sock.gettimeout()
        self.sock.settimeout(seconds)
        try:
            self._more()
        except TimeoutError:
            return
        finally:
            self.sock.settimeout(before)
        raise AssertionError(f"expected silence, got {bytes(self.unread) or 'the end of the stream'!r}")

    # -- ending

    def hold(self, timeout: float = 60.0) -> None:
        """Keep the connection and read nothing until it is released by its owner."""
        self.released.wait(timeout)

    def reset(self) -> None:
        """Abort: the other side gets a reset at once, whatever was queued is thrown away."""
        if self.sock.family == socket.AF_UNIX:
            self.close()
            return
        # Connecting to AF_UNSPEC resets the connection even while another thread waits on the socket, which a close
        # with SO_LINGER 0 does only once that thread has let go; the linger is for a connection still in its handshake.
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        nowhere = ctypes.create_string_buffer(16)
        _libc.connect(self.sock.fileno(), nowhere, len(nowhere))
        self.close()

    def close(self) -> None:
        """Close the socket (a FIN, or a reset where received bytes were never read)."""
        self.released.set()
        self.sock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def dial(
    address: tuple[str, int] | str,
    *,
    receive_buffer: int = 0,
    send_buffer: int = 0,
    source: str = "",
    timeout: float = 30.0,
) -> socket.socket:
    """A connected socket to a (host, port) or to the path of a unix socket, from a port that no other has had.

    ``receive_buffer`` and ``send_buffer`` are the kernel's buffers in bytes (0: its defaults), set before connecting so
    that a small window is announced; ``source`` is the local address.
    """
    if isinstance(address, str):
        sock = socket.socket(socket.AF_UNIX)
    else:
        sock = socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET)
    try:
        if receive_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        if send_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
        if not isinstance(address, str):
            # The kernel gives a port anew as soon as it can; a gateway's records are told apart by it.
            bind_anew(sock, source)
        sock.settimeout(timeout)
        sock.connect(address)
    except BaseException:
        sock.close()
        raise
    return sock


def connect(
    address: tuple[str, int] | str,
    *,
    receive_buffer: int = 0,
    send_buffer: int = 0,
    source: str = "",
    timeout: float = 30.0,
) -> Wire:
    """A plain ``Wire`` to ``address``; the arguments are those of ``dial``."""
    sock = dial(address, receive_buffer=receive_buffer, send_buffer=send_buffer, source=source, timeout=timeout)
    return Wire(sock, timeout)
