"""What is done to the gateway under load."""

from __future__ import annotations

import asyncio
import os
import signal
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path

from tests.doubles.certificates import CertificateAuthority
from tests.load.report import histogram, percentile
from tests.load.running import BATCH, Load

#: What a reload adds, and the next one takes away.
MORE = """
[route more]
path = /more
upstream = more
[upstream more]
servers = 127.0.0.1:1, 127.0.0.1:2
"""

#: Seconds over which all come back in a storm, and until the last one of them has to be served.
STORM, SERVED = 1.0, 60.0

#: Close codes of a drained part and of a gateway that stops (RFC 6455 section 7.4.1, and IANA's registry).
RESTART, GOING_AWAY = 1012, 1001


async def reload(load: Load, number: int) -> None:
    """A route and an upstream come and go."""
    text = load.ini.read_text()
    load.ini.write_text(text.replace(MORE, "") if MORE in text else text + MORE)
    answer = await load.ask("reload")
    if answer["ok"] and not answer["changed"]:
        load.report.failures.append("a reload changed nothing")


async def kill(load: Load, number: int) -> None:
    """A worker dies: its WebSockets are cut, no others, and another one takes its place in time (``--within``)."""
    workers = await load.workers()
    victim = workers[number % len(workers)]
    before, cut = sum(one.open for one in load.sockets), load.totals.cut
    load.report.expected_cut += victim["relayed"]
    os.kill(victim["pid"], signal.SIGKILL)
    loop = asyncio.get_running_loop()
    end = loop.time() + load.options.within
    while victim["pid"] in (pids := [one["pid"] for one in await load.workers()]) or len(pids) < len(workers):
        if loop.time() > end:
            load.report.failures.append(f"no successor within {load.options.within:g} s")
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
    await _closed_by(load, "upgrade", {}, GOING_AWAY)
    await load.open_all()


async def drain(load: Load, number: int) -> None:
    """An upstream is drained: every WebSocket gets a whole Close, at a moment of its own, and comes back later."""
    await _closed_by(load, "drain", {"kind": "upstream", "name": "echo"}, RESTART)
    await load.ask("undrain", kind="upstream", name="echo")
    await load.open_all()


async def _closed_by(load: Load, order: str, facts: dict[str, str], code: int) -> None:
    """Give an order that closes every WebSocket, and see that each gets a whole Close with ``code``."""
    totals, report = load.totals, load.report
    told, first = totals.closed.get(code, 0), len(totals.closed_at)
    there = [one for one in load.sockets if one.open]
    begun = asyncio.get_running_loop().time()
    await load.ask(order, **facts)
    await load.until_closed(there, 60.0)
    closed = totals.closed.get(code, 0) - told
    if closed != len(there):
        report.failures.append(f"{closed} of {len(there)} WebSockets got a Close with {code}")
    report.closes = [at - begun for at in totals.closed_at[first:]]
    load.sockets.clear()


async def storm(load: Load, number: int) -> None:
    """All WebSockets end, and all come back within a second."""
    await asyncio.gather(*(one.close() for one in load.sockets))
    load.sockets.clear()
    loop, first = asyncio.get_running_loop(), len(load.totals.handshakes)
    begun, many = loop.time(), load.options.sockets
    coming = []
    for place in range(many):
        if place % BATCH == 0:
            await asyncio.sleep(max(0.0, begun + STORM * place / many - loop.time()))
        coming.append(asyncio.ensure_future(load.open_one(place)))
    done, late = await asyncio.wait(coming, timeout=SERVED)
    for one in late:
        one.cancel()
    if late:
        load.report.failures.append(f"{len(late)} of {many} were not served within {SERVED:g} s")
    load.report.handshakes = sorted(load.totals.handshakes[first:])


async def idle(load: Load, number: int) -> None:
    """Nothing happens but pings (``--ping``) and what ``--rate`` asks for: memory must not grow."""
    pings = load.totals.pings
    loop = asyncio.get_running_loop()
    end = loop.time() + 60
    while load.totals.pings - pings < len(load.sockets) and loop.time() < end:
        await asyncio.sleep(0.02)
    if load.totals.pings - pings < len(load.sockets):
        load.report.failures.append("a round of pings did not come")
    load.report.rounds.append((await load.cost())[0])


ACTS: dict[str, Callable[[Load, int], Awaitable[None]]] = {
    act.__name__: act for act in (reload, kill, resize, certificate, upgrade, drain, storm, idle)
}


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


def figures(closes: list[float], handshakes: list[float]) -> list[str]:
    """What is better shown than counted: when Closes came, and how long handshakes took."""
    found = []
    if closes:
        found += ["Close frames, by the time since the order:", histogram(closes)]
    if handshakes:
        parts = ", ".join(f"p{part * 100:g} {percentile(handshakes, part):.3f} s" for part in (0.5, 0.9, 0.99, 1.0))
        found.append(f"{len(handshakes)} handshakes: {parts}")
    return found
