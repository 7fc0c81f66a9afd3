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
import resource
import socket
import sys
import tempfile
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from tests.doubles.gateway import Gateway, start
from tests.doubles.waiting import until
from tests.load.acts import ACTS, figures, renew
from tests.load.report import Report
from tests.load.running import Load, records
from tests.load.sockets import echo
from wsgate.control.client import NoGatewayError, ask

INI = """
[gateway]
workers = {workers}
close_spread = {spread}
drain_timeout = 60s
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
ping_interval = {ping}
[upstream echo]
servers = 127.0.0.1:{echo}
"""

#: Connections that wait at the server: in a storm all come at once.
BACKLOG = 4096


def serve_echo(sock: socket.socket) -> None:
    """The server behind the gateway, in a process of its own."""

    async def main() -> None:
        server = await asyncio.start_server(echo, sock=sock, backlog=BACKLOG)
        await server.serve_forever()

    asyncio.run(main())


def measure(options: argparse.Namespace, directory: Path) -> Report:
    """One run with a gateway of its own in ``directory``."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    sock = socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)
    server = multiprocessing.get_context("fork").Process(target=serve_echo, args=(sock,), daemon=True)
    server.start()
    directory.mkdir(parents=True, exist_ok=True)
    renew(directory, 0)
    values: dict[str, object] = {
        "workers": options.workers,
        "echo": sock.getsockname()[1],
        "spread": options.spread,
        "ping": options.ping,
    }
    gateway = start(INI, directory, **values)
    try:
        report = asyncio.run(Load(options, gateway).run(ACTS[options.what]))
    finally:
        finish(gateway, directory)
        server.terminate()
        server.join()
        sock.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    # The one that has taken over is no child of ours: it is gone when it has written all.
    with suppress(AssertionError):
        until(lambda: records(gateway) >= report.totals.opened - report.expected_cut, "all access records")
    report.records = records(gateway)
    if "Traceback" in gateway.log:
        report.failures.append(f"a traceback in the log:\n{gateway.log}")
    return report


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
    found.add_argument("--within", type=float, default=1.0, help="seconds for the successor of a killed worker")
    found.add_argument("--spread", default="1s", help="close_spread of the gateway")
    found.add_argument("--ping", default="20s", help="ping_interval of the gateway")
    return found


def main() -> int:
    """Run, print the report as JSON, and say by the exit code whether all was well."""
    options = parser().parse_args()
    with tempfile.TemporaryDirectory() as directory:
        report = measure(options, Path(directory) / "gateway")
    faults = report.faults()
    shown = figures(report.closes, report.handshakes)
    facts = asdict(report)
    for long in (facts, facts["totals"]):
        for name in ("closes", "closed_at", "handshakes"):
            long.pop(name, None)
    print(json.dumps({**facts, "lost": report.lost, "faults": faults}, default=str))
    print("\n".join(shown), file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
