"""A DNS server that says what a test wants, good or bad."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import Any

from twisted.names import dns

from tests.doubles.ports import bind_anew
from tests.doubles.raw import Wire
from tests.doubles.stopping import Stopping

Record = Any


class DnsServer(Stopping):
    """Answers queries on a free port of 127.0.0.1 from ``records``, by name and type; other names do not exist.

    What is too long for UDP is cut there, and whole over TCP.

    With ``mute`` nothing is answered.  ``forge`` makes every answer from these bytes instead (the query's id comes
    first), ``impostor`` are records that somebody else, on another port, answers with before, ``misnumbered`` those
    that come before with another id, ``aliases`` are names with another one; ``asked`` counts the queries by name.
    """

    def __init__(self, ttl: int = 1) -> None:
        self.records: dict[str, list[Record]] = {}
        self.asked: dict[str, int] = {}
        self.mute = False
        self.forge: bytes | None = None
        self.impostor: dict[str, list[Record]] = {}
        self.misnumbered: dict[str, list[Record]] = {}
        self.aliases: dict[str, str] = {}
        self.ttl = ttl
        self._sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._stream = socket.socket()
        bind_anew(self._stream, "127.0.0.1")
        self._sock.bind(self._stream.getsockname())
        self._stream.listen()
        self._thread = threading.Thread(target=self._run, name="dns server", daemon=True)
        self._thread.start()
        self._streams = threading.Thread(target=self._run_streams, name="dns server over tcp", daemon=True)
        self._streams.start()

    @property
    def address(self) -> str:
        host, port = self._sock.getsockname()
        return f"{host}:{port}"

    def _run(self) -> None:
        while True:
            data, peer = self._sock.recvfrom(4096)
            if not data:
                return
            name = _name(data)
            self.asked[name] = self.asked.get(name, 0) + 1
            if self.impostor:
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
                    other.sendto(self._answer(data, self.impostor), peer)
            if self.misnumbered:
                other_id = bytes([data[0] ^ 1]) + data[1:]
                self._sock.sendto(self._answer(other_id, self.misnumbered), peer)
            if not self.mute:
                honest = self._answer(data, self.records)
                self._sock.sendto(honest if self.forge is None else data[:2] + self.forge, peer)

    def _run_streams(self) -> None:
        while True:
            try:
                stream, _ = self._stream.accept()
            except OSError:
                return
            with Wire(stream) as wire:
                data = wire.exactly(int.from_bytes(wire.exactly(2), "big"))
                answer = self._answer(data, self.records, most=0)
                wire.send(len(answer).to_bytes(2, "big") + answer)

    def _answer(self, data: bytes, records: dict[str, list[Record]], most: int = 512) -> bytes:
        message = dns.Message()
        message.fromStr(data)
        query, name = message.queries[0], _name(data)
        alias = self.aliases.get(name)
        known = records.get(alias or name)
        answer = dns.Message(id=message.id, answer=1, recDes=1, recAv=1, maxSize=most)
        answer.queries = message.queries
        answer.rCode = dns.OK if known is not None else dns.ENAME
        if alias:
            answer.answers.append(dns.RRHeader(name, dns.CNAME, dns.IN, self.ttl, dns.Record_CNAME(alias)))  # type: ignore[arg-type]
        answer.answers += [
            dns.RRHeader(alias or name, record.TYPE, dns.IN, self.ttl, record)
            for record in known or ()
            if query.type == record.TYPE
        ]
        return bytes(answer.toStr())

    def stop(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as waker:
            waker.sendto(b"", self._sock.getsockname())
        self._thread.join(30)
        self._sock.close()
        with contextlib.suppress(OSError):
            self._stream.shutdown(socket.SHUT_RDWR)  # wakes accept()
        self._streams.join(30)
        self._stream.close()


def _name(query: bytes) -> str:
    """What a query asks for."""
    message = dns.Message()
    message.fromStr(query)
    return str(message.queries[0].name).lower().rstrip(".")
