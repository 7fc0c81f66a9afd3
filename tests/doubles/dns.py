"""A DNS server that says what a test wants, good or bad."""

from __future__ import annotations

import socket
import threading
from typing import Any

from twisted.names import dns

from tests.doubles.stopping import Stopping

Record = Any


class DnsServer(Stopping):
    """Answers UDP queries on a free port of 127.0.0.1 from ``records``, by name and type; other names do not exist.

    With ``mute`` nothing is answered.  ``forge`` makes every answer from these bytes instead (the query's id comes
    first), ``impostor`` are records that somebody else, on another port, answers with before; ``asked`` counts the
    queries by name.
    """

    def __init__(self, ttl: int = 1) -> None:
        self.records: dict[str, list[Record]] = {}
        self.asked: dict[str, int] = {}
        self.mute = False
        self.forge: bytes | None = None
        self.impostor: dict[str, list[Record]] = {}
        self.ttl = ttl
        self._sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._sock.bind(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._run, name="dns server", daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        host, port = self._sock.getsockname()
        return f"{host}:{port}"

    def _run(self) -> None:
        while True:
            data, peer = self._sock.recvfrom(4096)
            if not data:
                return
            if self.impostor:
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
                    other.sendto(self._answer(data, self.impostor), peer)
            if not self.mute:
                honest = self._answer(data, self.records)
                self._sock.sendto(honest if self.forge is None else data[:2] + self.forge, peer)

    def _answer(self, data: bytes, records: dict[str, list[Record]]) -> bytes:
        message = dns.Message()
        message.fromStr(data)
        query = message.queries[0]
        name = str(query.name).lower().rstrip(".")
        self.asked[name] = self.asked.get(name, 0) + 1
        known = records.get(name)
        answer = dns.Message(id=message.id, answer=1, recDes=1, recAv=1)
        answer.queries = message.queries
        answer.rCode = dns.OK if known is not None else dns.ENAME
        answer.answers = [
            dns.RRHeader(name, record.TYPE, dns.IN, self.ttl, record)
            for record in known or ()
            if query.type == record.TYPE
        ]
        return bytes(answer.toStr())

    def stop(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as waker:
            waker.sendto(b"", self._sock.getsockname())
        self._thread.join(30)
        self._sock.close()
