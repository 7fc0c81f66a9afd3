"""The ruler: gwbench built, processes pinned and ended, ports found, processor time read."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path

HERE = Path(__file__).resolve().parent
BUILD = HERE / "build"

# The process under test has a core to itself; what loads it and what stands behind it share the other.
GATEWAY_CORE, LOAD_CORE = 0, 1

_READY_SECONDS = 20.0
_TICKS = os.sysconf("SC_CLK_TCK")


class BenchError(Exception):
    """A measurement that could not be taken; its text says why."""


def find(program: str) -> str | None:
    """The path of a program; servers are looked for in /usr/sbin too, which is not on everyone's PATH."""
    return shutil.which(program, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")


def pinned(core: int, command: Sequence[str]) -> list[str]:
    """``command`` on one core; as it is where the machine has only one."""
    if (os.cpu_count() or 1) < 2:
        return list(command)
    return ["taskset", "--cpu-list", str(core), *command]


def build() -> Path:
    """Compile gwbench where its source is newer; the path of the program.  BenchError where that does not work."""
    source, program = HERE / "gwbench.c", BUILD / "gwbench"
    if not program.exists() or program.stat().st_mtime < source.stat().st_mtime:
        BUILD.mkdir(exist_ok=True)
        compiler = find("cc") or find("gcc")
        if compiler is None:
            raise BenchError(
                "gwbench needs a C compiler and OpenSSL's headers: apt-get install gcc libc6-dev libssl-dev"
            )
        # Built aside: two benchmarks may start in one tree.
        fresh = program.with_name(f"gwbench.{os.getpid()}")
        command = [compiler, "-O2", "-w", "-o", str(fresh), str(source), "-lssl", "-lcrypto"]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise BenchError(f"gwbench does not compile (apt-get install gcc libc6-dev libssl-dev)\n{done.stderr}")
        fresh.replace(program)
    return program


def _candidate_ports() -> Iterator[int]:
    """Ports below those that the kernel gives to connections by itself, from another one on in each process."""
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    first, top = 10_000, max(20_000, min(32_000, lowest))
    start = first + os.getpid() * 61 % (top - first)
    return cycle([*range(start, top), *range(first, start)])


_candidates = _candidate_ports()


def free_ports(count: int) -> list[int]:
    """``count`` different ports that nobody listens on now, and that no connection will be given meanwhile."""
    ports: list[int] = []
    for port in _candidates:
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                sock.bind(("127.0.0.1", port))
            except OSError:
                continue
        ports.append(port)
        if len(ports) == count:
            return ports
    raise AssertionError("a cycle has no end")


def _listening() -> set[int]:
    """The ports that somebody listens on; to connect would already be work for a gateway."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return {int(row[1].rpartition(":")[2], 16) for row in rows if row[3] == "0A"}


def wait_listening(process: subprocess.Popen[bytes], ports: Iterable[int], log: Path | None = None) -> None:
    """Wait until every port is listened on; BenchError when the process ends or takes too long."""
    deadline = time.monotonic() + _READY_SECONDS
    while missing := set(ports) - _listening():
        if process.poll() is not None or time.monotonic() > deadline:
            text = log.read_text(errors="replace")[-3000:] if log else ""
            raise BenchError(f"port {min(missing)} does not accept (exit {process.poll()}): {text}")
        time.sleep(0.02)


def end(process: subprocess.Popen[bytes]) -> None:
    """Ask a process to end, and end it when it does not."""
    process.terminate()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def descendants(pid: int) -> list[int]:
    """The processes below ``pid``, nearest first."""
    try:
        listed = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    return [int(child) for child in listed] + [below for child in listed for below in descendants(int(child))]


def wait_children(process: subprocess.Popen[bytes], count: int) -> list[int]:
    """The processes below this one, as soon as there are ``count``; BenchError when that takes too long."""
    deadline = time.monotonic() + _READY_SECONDS
    while len(pids := descendants(process.pid)) < count:
        if process.poll() is not None or time.monotonic() > deadline:
            raise BenchError(f"{len(pids)} of {count} processes run (exit {process.poll()})")
        time.sleep(0.02)
    return pids


def cpu_seconds(pids: Iterable[int]) -> float:
    """Processor time that these processes have used, in user and kernel mode, all threads together."""
    return sum(_scheduled(pid) or _ticked(pid) for pid in pids)


def _scheduled(pid: int) -> float:
    """To the nanosecond, as the scheduler counts; 0 where it does not tell."""
    try:
        tasks = [path.read_text().split()[0] for path in Path(f"/proc/{pid}/task").glob("*/schedstat")]
    except OSError:
        return 0.0
    return sum(map(int, tasks)) / 1e9


def _ticked(pid: int) -> float:
    """utime and stime, which are cut to ticks of 10 ms."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def resident_megabytes(pids: Iterable[int]) -> float:
    """Resident memory of these processes."""
    pages = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pids)
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


@contextmanager
def servers(program: Path, commands: Mapping[str, Sequence[str]]) -> Iterator[dict[str, int]]:
    """gwbench servers by name, each with its further arguments; their ports."""
    ports = dict(zip(commands, free_ports(len(commands)), strict=True))
    running = []
    try:
        for name, arguments in commands.items():
            command = [str(program), "server", "--listen", str(ports[name]), *arguments]
            process = subprocess.Popen(pinned(LOAD_CORE, command))
            running.append(process)
            wait_listening(process, [ports[name]])
        yield ports
    finally:
        for process in running:
            end(process)
