"""WebSockets with a steady rate of messages, probes that connect anew, and one gateway below."""

from __future__ import annotations

import argparse
import asyncio
import json
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from tests.doubles import processes
from tests.doubles.gateway import Gateway
from tests.load.report import Report
from tests.load.sockets import HALVES, Socket, Totals, open_socket
from wsgate.control.client import ask

#: Of so many WebSockets one goes through TLS, and one more has frames that are sent in halves, both ways.
TLS_SHARE = 10

#: WebSockets opened at a time.
BATCH = 50


class Load:
    """The sockets of one run; ``report`` is what they find."""

    def __init__(self, options: argparse.Namespace, gateway: Gateway) -> None:
        self.options = options
        self.gateway = gateway
        self.totals = Totals()
        self.report = Report(options.what, options.times, self.totals)
        self.sockets: list[Socket] = []
        self.sending = True
        self.insecure = ssl.create_default_context()
        self.insecure.check_hostname = False
        self.insecure.verify_mode = ssl.CERT_NONE

    @property
    def ini(self) -> Path:
        return self.gateway.directory / "wsgate.ini"

    async def ask(self, order: str, **facts: Any) -> dict[str, Any]:
        """The answer to an order; a refusal is a failure of the run."""
        state = self.gateway.directory / "state"
        answer = await asyncio.get_running_loop().run_in_executor(None, lambda: ask(state, order, facts, 120.0))
        if not answer["ok"]:
            self.report.failures.append(f"{order}: {answer.get('error')}")
        return answer

    async def workers(self) -> list[dict[str, Any]]:
        return list((await self.ask("status"))["workers"])

    # WebSockets

    async def open_one(self, number: int) -> None:
        """Open the WebSocket with this number: it says how."""
        ports = self.gateway.ports
        if number % TLS_SHARE == 0:
            opened = await open_socket(self.totals, ports["secure"], "/echo", self.insecure)
        else:
            opened = await open_socket(self.totals, ports["web"], HALVES if number % TLS_SHARE == 1 else "/echo")
        if opened is not None:
            self.sockets.append(opened)

    async def open_all(self) -> None:
        for first in range(0, self.options.sockets, BATCH):
            batch = range(first, min(first + BATCH, self.options.sockets))
            await asyncio.gather(*map(self.open_one, batch))

    async def until_closed(self, sockets: list[Socket], seconds: float) -> None:
        """Wait until all of these have been closed, but not longer."""
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while any(one.open for one in sockets) and loop.time() < end:
            await asyncio.sleep(0.05)

    # What goes on all the time

    async def _send(self) -> None:
        """Messages at the wanted rate, each on the next WebSocket."""
        loop, number = asyncio.get_running_loop(), 0
        begun = loop.time()
        while self.sending:
            due = int((loop.time() - begun) * self.options.rate)
            while number < due:
                one = self.sockets[number % len(self.sockets)] if self.sockets else None
                if one is not None and one.open:
                    one.send()
                number += 1
            await asyncio.sleep(0.005)

    async def _probe(self) -> None:
        """Connect and ask for a page, again and again: nobody must be refused or wait for long."""
        loop = asyncio.get_running_loop()
        while self.sending:
            begun = loop.time()
            self.report.probes += 1
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", self.gateway.ports["web"])
            except OSError:
                self.report.probes_refused += 1
            else:
                self.report.probes_cut += not await _is_answered(reader, writer)
            self.report.slowest_probe = max(self.report.slowest_probe, loop.time() - begun)
            await asyncio.sleep(0.02)

    async def _settle(self) -> None:
        """Wait until every message that was sent on an open WebSocket has come back."""
        loop = asyncio.get_running_loop()
        end = loop.time() + 20
        while any(one.open and one.waiting for one in self.sockets) and loop.time() < end:
            await asyncio.sleep(0.02)

    async def cost(self) -> tuple[int, int]:
        """Resident memory and descriptors of the parent and its workers."""
        pids = {self.gateway.pid, *(worker["pid"] for worker in await self.workers())}
        return sum(map(processes.rss, pids)), sum(len(processes.descriptors(pid)) for pid in pids)

    # The run

    async def run(self, act: Callable[[Load, int], Awaitable[None]]) -> Report:
        """Do ``act`` as often as the options say, while messages and probes go on."""
        await self.open_all()
        tasks = [asyncio.ensure_future(self._send()), asyncio.ensure_future(self._probe())]
        report, warm = self.report, min(5, self.options.times // 2)
        for number in range(self.options.times):
            if number == warm:
                report.rss_before, report.fds_before = await self.cost()
            await act(self, number)
            await asyncio.sleep(self.options.pause)
        self.sending = False
        await asyncio.gather(*tasks)
        await self._settle()
        if self.options.what != "upgrade":
            report.rss_after, report.fds_after = await self.cost()
        await asyncio.gather(*(one.close() for one in self.sockets))
        await self._all_gone()
        return report

    async def _all_gone(self) -> None:
        """Nobody is connected any more: the workers must have given back what they had for them."""
        loop = asyncio.get_running_loop()
        end = loop.time() + 20
        left = -1
        while left and loop.time() < end:
            left = sum(worker["connections"] for worker in await self.workers())
            if left:
                await asyncio.sleep(0.05)
        if left:
            self.report.failures.append(f"{left} connections are left in the gateway")


async def _is_answered(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    """Ask for a page; whether it came whole."""
    try:
        writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        return (await reader.read()).endswith(b"home")
    except OSError:
        return False
    finally:
        writer.close()


def records(gateway: Gateway) -> int:
    """How many WebSockets the access log has; to be asked when the gateway has ended."""
    path = gateway.directory / "access.log"
    if not path.exists():
        return 0
    found = (json.loads(line) for line in path.read_text().splitlines())
    return sum(one.get("kind") == "websocket" and one["status"] == 101 for one in found)
