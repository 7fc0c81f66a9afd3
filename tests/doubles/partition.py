"""A network that falls apart between the gateway and one server, and heals."""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
import threading

from tests.doubles.ports import bind_anew
from tests.doubles.stopping import Stopping


class Partition(Stopping):
    """Passes connections on to ``target``.  Between ``cut`` and ``heal`` nothing gets through, and no SYN is answered.

    The kernel goes on to acknowledge what is sent, as far as its buffers go: only who asks for an answer finds out.
    """

    def __init__(self, target: tuple[str, int]) -> None:
        self._target = target
        self._listening = socket.socket()
        self.port = bind_anew(self._listening, "127.0.0.1")
        self._listening.listen(0)
        self._listening.setblocking(False)
        self._whole = threading.Event()
        self._whole.set()
        self._parked = threading.Event()
        self._over = False
        self._wake, self._waker = os.pipe()
        self._fillers: list[socket.socket] = []
        self._peers: dict[socket.socket, socket.socket] = {}
        self._selector = selectors.DefaultSelector()
        self._thread = threading.Thread(target=self._run, name="partition", daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def cut(self) -> None:
        """Let nothing through any more."""
        self._parked.clear()
        self._whole.clear()
        os.write(self._waker, b"x")
        assert self._parked.wait(30)
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", self.port))
            self._fillers.append(filler)

    def heal(self) -> None:
        """Let everything through again, what waits included."""
        for filler in self._fillers:
            filler.close()
        self._fillers.clear()
        self._whole.set()

    def _run(self) -> None:
        self._selector.register(self._listening, selectors.EVENT_READ)
        self._selector.register(self._wake, selectors.EVENT_READ)
        while not self._over:
            for key, _ in self._selector.select():
                if key.fileobj == self._wake:
                    os.read(self._wake, 100)
                elif key.fileobj is self._listening:
                    self._accept()
                elif isinstance(key.fileobj, socket.socket) and key.fileobj in self._peers:
                    self._pass_on(key.fileobj)
            if not self._whole.is_set():
                self._parked.set()
                self._whole.wait()
        for sock in (*self._peers, *self._fillers, self._listening):
            sock.close()
        self._selector.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            client, _ = self._listening.accept()
            server = socket.create_connection(self._target)
            for one, other in ((client, server), (server, client)):
                self._peers[one] = other
                self._selector.register(one, selectors.EVENT_READ)

    def _pass_on(self, sock: socket.socket) -> None:
        peer = self._peers[sock]
        with contextlib.suppress(OSError):
            if data := sock.recv(65_536):
                peer.sendall(data)
                return
        for one in (sock, peer):
            del self._peers[one]
            self._selector.unregister(one)
            one.close()

    def stop(self) -> None:
        """End every connection and stop listening."""
        self._over = True
        os.write(self._waker, b"x")
        self.heal()
        self._thread.join(30)
        os.close(self._wake)
        os.close(self._waker)
