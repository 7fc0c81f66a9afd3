"""Operations under load: `python -m tests.load.program reload --sockets 2000 --rate 1000 --times 100 --workers 4`.

Opens WebSockets through a real gateway, sends numbered messages on them, and meanwhile does one thing to the gateway
again and again.  Afterwards it tells how many messages were lost, duplicated or reordered, how many connections were
refused or cut, and what memory and descriptors the gateway had before and has now.  The exit code is 0 if nothing was.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import resource
import signal
import socket
import ssl
import sys
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tests.doubles import processes
from tests.doubles.certificates import CertificateAuthority
from tests.doubles.gateway import Gateway, start
from tests.load.sockets import Socket, Totals, echo, open_socket
from wsgate.control.client import NoGatewayError, ask

INI = """
[gateway]
workers = {workers}
close_spread = {spread}
drain_timeout = 30s
[listener web]
bind = 127.0.0.1:{web}
[listener secure]
bind = 127.0.0.1:{secure}
tls = site
[tls site]
certificate = {dir}/site.pem
key = {dir}/site.key
[route home]
path = = /
respond = 200 home
[route echo]
path = /echo
upstream = echo
[upstream echo]
servers = 127.0.0.1:{echo}
"""

#: What a reload adds, and the next one takes away.
MORE = """
[route more]
path = /more
upstream = more
[upstream more]
servers = 127.0.0.1:1, 127.0.0.1:2
"""

#: Of so many WebSockets one goes through TLS.
TLS_SHARE = 10


@dataclass
class Report:
    """What was found."""

    what: str
    times: int
    totals: Totals
    probes: int = 0
    probes_refused: int = 0
    failures: list[str] = field(default_factory=list)
    rss_before: int = 0
    rss_after: int = 0
    fds_before: int = 0
    fds_after: int = 0
    expected_cut: int = 0
    slowest_probe: float = 0.0

    @property
    def lost(self) -> int:
        return self.totals.sent - self.totals.received

    def faults(self) -> list[str]:
        """Everything that must not have happened."""
        found = list(self.failures)
        totals = self.totals
        if totals.out_of_order:
            found.append(f"{totals.out_of_order} messages out of order")
        # A message that crosses a Close, or was in a worker that died, is not answered; its sender knows.
        if self.lost > 0 and self.what not in {"kill", "upgrade"}:
            found.append(f"{self.lost} messages lost")
        if totals.cut > self.expected_cut:
            found.append(f"{totals.cut} connections cut, {self.expected_cut} expected")
        if self.probes_refused or totals.refused:
            found.append(f"{self.probes_refused} probes and {totals.refused} WebSockets refused")
        return found


class Load:
    """Sockets with a steady rate of messages, probes that connect anew, and one gateway below."""

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
        state = self.gateway.directory / "state"
        answer = await asyncio.get_running_loop().run_in_executor(None, lambda: ask(state, order, facts, 60.0))
        if not answer["ok"]:
            self.report.failures.append(f"{order}: {answer.get('error')}")
        return answer

    async def workers(self) -> list[dict[str, Any]]:
        return list((await self.ask("status"))["workers"])

    async def open_all(self) -> None:
        ports = self.gateway.ports
        for start_at in range(0, self.options.sockets, 50):
            batch = range(start_at, min(start_at + 50, self.options.sockets))
            opened = await asyncio.gather(
                *(
                    open_socket(self.totals, ports["secure"], "/echo", self.insecure)
                    if number % TLS_SHARE == 0
                    else open_socket(self.totals, ports["web"], "/echo")
                    for number in batch
                )
            )
            self.sockets += [one for one in opened if one is not None]

    async def send(self) -> None:
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

    async def probe(self) -> None:
        """Connect and ask for a page, again and again: nobody must be refused or wait for long."""
        loop = asyncio.get_running_loop()
        while self.sending:
            begun = loop.time()
            self.report.probes += 1
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", self.gateway.ports["web"])
                writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                answer = await reader.read()
                writer.close()
                if not answer.endswith(b"home"):
                    raise ConnectionError("no whole answer")
            except OSError:
                self.report.probes_refused += 1
            self.report.slowest_probe = max(self.report.slowest_probe, loop.time() - begun)
            await asyncio.sleep(0.02)

    async def settle(self) -> None:
        """Wait until every message that was sent on an open WebSocket has come back."""
        loop = asyncio.get_running_loop()
        end = loop.time() + 20
        while any(one.open and one.waiting for one in self.sockets) and loop.time() < end:
            await asyncio.sleep(0.02)

    async def cost(self) -> tuple[int, int]:
        """Resident memory and descriptors of the parent and its workers."""
        pids = [self.gateway.pid, *(worker["pid"] for worker in await self.workers())]
        return sum(map(processes.rss, set(pids))), sum(len(processes.descriptors(pid)) for pid in set(pids))

    async def run(self, act: Callable[[Load, int], Awaitable[None]]) -> Report:
        await self.open_all()
        tasks = [asyncio.ensure_future(self.send()), asyncio.ensure_future(self.probe())]
        report, warm = self.report, min(5, self.options.times // 2)
        for number in range(self.options.times):
            if number == warm:
                report.rss_before, report.fds_before = await self.cost()
            await act(self, number)
            await asyncio.sleep(self.options.pause)
        self.sending = False
        await asyncio.gather(*tasks)
        await self.settle()
        if self.options.what != "upgrade":
            report.rss_after, report.fds_after = await self.cost()
        await asyncio.gather(*(one.close() for one in self.sockets))
        return report


async def reload(load: Load, number: int) -> None:
    """A route and an upstream come and go."""
    text = load.ini.read_text()
    load.ini.write_text(text.replace(MORE, "") if MORE in text else text + MORE)
    answer = await load.ask("reload")
    if answer["ok"] and not answer["changed"]:
        load.report.failures.append("a reload changed nothing")


async def kill(load: Load, number: int) -> None:
    """A worker dies: its WebSockets are cut, no others, and another one takes its place within a second."""
    workers = await load.workers()
    victim = workers[number % len(workers)]
    before, cut = sum(one.open for one in load.sockets), load.totals.cut
    load.report.expected_cut += victim["relayed"]
    os.kill(victim["pid"], signal.SIGKILL)
    loop = asyncio.get_running_loop()
    end = loop.time() + 1.0
    while victim["pid"] in (pids := [one["pid"] for one in await load.workers()]) or len(pids) < len(workers):
        if loop.time() > end:
            load.report.failures.append("no successor within a second")
            break
    await asyncio.sleep(0.2)
    gone = before - sum(one.open for one in load.sockets)
    if gone != load.totals.cut - cut or gone > victim["relayed"]:
        load.report.failures.append(f"{gone} WebSockets ended, the worker had {victim['relayed']}")


async def resize(load: Load, number: int) -> None:
    """More and fewer workers."""
    text, wanted = load.ini.read_text(), (4, 2, 3, 2)[number % 4]
    head, _, tail = text.partition("workers = ")
    load.ini.write_text(f"{head}workers = {wanted}\n{tail.partition(chr(10))[2]}")
    await load.ask("reload")


async def certificate(load: Load, number: int) -> None:
    """The certificate changes: open connections stay, new ones get the new one."""
    serial = renew(load.gateway.directory, number + 1)
    await load.ask("reload")
    reader, writer = await asyncio.open_connection("127.0.0.1", load.gateway.ports["secure"], ssl=load.insecure)
    served = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    if served != serial:
        load.report.failures.append("a new connection got the old certificate")


async def upgrade(load: Load, number: int) -> None:
    """Another process takes over: every WebSocket gets a whole Close, and comes back to the new one."""
    before = load.totals.closed.get(1001, 0)
    open_before = [one for one in load.sockets if one.open]
    await load.ask("upgrade")
    loop = asyncio.get_running_loop()
    end = loop.time() + 30
    while any(one.open for one in open_before) and loop.time() < end:
        await asyncio.sleep(0.05)
    if load.totals.closed.get(1001, 0) - before != len(open_before):
        closed = load.totals.closed.get(1001, 0) - before
        load.report.failures.append(f"{closed} of {len(open_before)} WebSockets got a Close with 1001")
    load.sockets.clear()
    await load.open_all()


ACTS = {act.__name__: act for act in (reload, kill, resize, certificate, upgrade)}


def renew(directory: Path, number: int) -> bytes:
    """Put another certificate and its key in place; gives the certificate (DER)."""
    folder = directory / f"ca{number}"
    folder.mkdir(parents=True)
    issued = CertificateAuthority(folder).issue("localhost")
    for source, name in ((issued.key_path, "site.key"), (issued.chain_path, "site.pem")):
        new = directory / f"{name}.new"
        new.write_bytes(source.read_bytes())
        new.chmod(0o600)
        new.rename(directory / name)
    return ssl.PEM_cert_to_DER_cert(issued.cert_path.read_text())


def serve_echo(sock: socket.socket) -> None:
    """The server behind the gateway, in a process of its own."""

    async def main() -> None:
        server = await asyncio.start_server(echo, sock=sock, backlog=4096)
        await server.serve_forever()

    asyncio.run(main())


def measure(options: argparse.Namespace, directory: Path) -> Report:
    """One run with a gateway of its own in ``directory``."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    sock = socket.create_server(("127.0.0.1", 0), backlog=4096)
    server = multiprocessing.get_context("fork").Process(target=serve_echo, args=(sock,), daemon=True)
    server.start()
    directory.mkdir(parents=True, exist_ok=True)
    renew(directory, 0)
    values: dict[str, object] = {"workers": options.workers, "echo": sock.getsockname()[1], "spread": options.spread}
    gateway = start(INI, directory, **values)
    try:
        return asyncio.run(Load(options, gateway).run(ACTS[options.what]))
    finally:
        finish(gateway, directory)
        server.terminate()
        server.join()
        sock.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def finish(gateway: Gateway, directory: Path) -> None:
    """End the gateway, or the process that has taken over from it."""
    try:
        ask(directory / "state", "stop", {"at_once": True}, 10.0)
    except NoGatewayError:
        gateway.kill()
    gateway.wait()


def parser() -> argparse.ArgumentParser:
    """The command line."""
    found = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    found.add_argument("what", choices=sorted(ACTS))
    found.add_argument("--sockets", type=int, default=200)
    found.add_argument("--rate", type=float, default=200.0, help="messages a second, all WebSockets together")
    found.add_argument("--times", type=int, default=20)
    found.add_argument("--workers", type=int, default=2)
    found.add_argument("--pause", type=float, default=0.05, help="seconds between two times")
    found.add_argument("--spread", default="1s", help="close_spread of the gateway")
    return found


def main() -> int:
    """Run, print the report as JSON, and say by the exit code whether all was well."""
    options = parser().parse_args()
    with tempfile.TemporaryDirectory() as directory:
        report = measure(options, Path(directory) / "gateway")
    faults = report.faults()
    print(json.dumps({**asdict(report), "lost": report.lost, "faults": faults}, default=str))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
