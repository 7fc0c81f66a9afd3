"""The gateways that are compared: how each is started, what it can do, whether it is here."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bench import own, proxies, rivals
from bench.place import LISTENERS, SERVERS, Certificate, Place
from bench.ruler import GATEWAY_CORE, end, find, free_ports, pinned, wait_children, wait_listening


@dataclass(frozen=True, slots=True)
class Gateway:
    """One program; ``listeners`` are the ports that it opens, ``packages`` what Debian calls what it needs.

    ``children`` are the processes below its first, by workers: some fork when they listen already.
    ``forks`` where it has a process for each connection; such a program is measured with all that came of it.
    """

    command: Callable[[Place], list[str]]
    listeners: tuple[str, ...] = LISTENERS
    packages: tuple[tuple[str, str], ...] = ()
    children: Mapping[int, int] = field(default_factory=dict)
    forks: bool = False
    program: str = ""

    def missing(self, programs: Path) -> str | None:
        """What would install it, where it is not; ``programs`` is where Python's programs of others are."""
        gone = [package for path, package in self.packages if not (find(path) or Path(path).exists())]
        if gone:
            return f"apt-get install {' '.join(gone)}"
        if self.program and not (programs / self.program).exists():
            return "make .venv-bench/.installed"
        return None


GATEWAYS: Mapping[str, Gateway] = {
    "nginx": Gateway(
        proxies.nginx,
        packages=(("nginx", "nginx"), (proxies.STREAM_MODULE, "libnginx-mod-stream")),
        children={1: 1, 2: 2},
    ),
    "haproxy": Gateway(proxies.haproxy, packages=(("haproxy", "haproxy"),)),
    "wsgate": Gateway(own.wsgate, children={2: 3}),
    "twisted": Gateway(rivals.twisted, ("l4", "l4tls", "l4push", "l4tlspush")),
    "websockify": Gateway(rivals.websockify, ("http",), forks=True, program="websockify"),
    "proxy.py": Gateway(rivals.proxy_py, ("http",), children={1: 1}, program="proxy"),
}
"""By name; the first is the one that all others are compared with."""

REFERENCE = next(iter(GATEWAYS))


@dataclass(slots=True)
class Running:
    """A gateway that runs; ``pids`` are its processes."""

    ports: Mapping[str, int]
    process: subprocess.Popen[bytes]
    forks: bool
    pids: list[int] = field(default_factory=list)

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def stop(self) -> None:
        end(self.process)


@dataclass(frozen=True, slots=True)
class Site:
    """What all gateways have in common: ``folder`` for theirs, the ``servers`` behind, a certificate, files."""

    folder: Path
    servers: Mapping[str, int]
    certificate: Certificate
    www: Path
    programs: Path

    def start(self, name: str, workers: int = 1) -> Running:
        """Start a gateway, on its core where it has one worker, and wait until every listener accepts."""
        gateway = GATEWAYS[name]
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        folder.chmod(0o755)
        ports = dict(zip(LISTENERS, free_ports(len(LISTENERS)), strict=True))
        if "httptls" not in gateway.listeners:
            ports["httptls"] = ports["http"]
        servers = {server: self.servers[server] for server in SERVERS}
        place = Place(folder, ports, servers, self.certificate, self.www, self.programs, workers)
        command = gateway.command(place)
        if workers == 1:
            command = pinned(GATEWAY_CORE, command)
        log = folder / "output.log"
        with log.open("ab") as output:
            process = subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        try:
            wait_listening(process, [ports[listener] for listener in gateway.listeners], log)
            pids = wait_children(process, gateway.children.get(workers, 0))
        except BaseException:
            end(process)
            raise
        return Running(ports, process, gateway.forks, [process.pid, *pids])
