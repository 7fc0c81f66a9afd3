"""The ruler: gwbench built, its servers started, one measurement taken."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
BUILD = HERE / "build"

# The process under test has a core to itself; what loads it and what stands behind it share the other.
GATEWAY_CORE, LOAD_CORE = 0, 1

_READY_SECONDS = 20.0


class BenchError(Exception):
    """A measurement that could not be taken; its text says why."""


def pinned(core: int, command: Sequence[str]) -> list[str]:
    """``command`` on one core; as it is where the machine has only one."""
    if (os.cpu_count() or 1) < 2:
        return list(command)
    return ["taskset", "--cpu-list", str(core), *command]


def build() -> Path:
    """Compile gwbench where its source is newer; the path of the program."""
    source, program = HERE / "gwbench.c", BUILD / "gwbench"
    if not program.exists() or program.stat().st_mtime < source.stat().st_mtime:
        BUILD.mkdir(exist_ok=True)
        subprocess.run(["cc", "-O2", "-w", "-o", str(program), str(source), "-lssl", "-lcrypto"], check=True)
    return program


def free_ports(count: int) -> list[int]:
    """``count`` different ports that are free on the loopback address now."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(sock.getsockname()[1]) for sock in sockets]
    for sock in sockets:
        sock.close()
    return ports


def wait_listening(process: subprocess.Popen[bytes], ports: Sequence[int], log: Path | None = None) -> None:
    """Wait until every port accepts; BenchError when the process ends or takes too long."""
    end = time.monotonic() + _READY_SECONDS
    for port in ports:
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                if process.poll() is not None or time.monotonic() > end:
                    text = log.read_text()[-3000:] if log else ""
                    raise BenchError(f"port {port} does not accept (exit {process.poll()})\n{text}") from None
                time.sleep(0.02)


def end(process: subprocess.Popen[bytes]) -> None:
    """Ask a process to end, and end it when it does not."""
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


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


def measure(program: Path, port: int, pids: Sequence[int], arguments: Sequence[str]) -> dict[str, Any]:
    """One run of the gwbench client against ``port``: what it printed, as a dict.

    ``errors`` counts connections that failed; BenchError where it printed nothing, such as for a payload that differs.
    """
    command = [str(program), "client", "--port", str(port), *arguments]
    for pid in pids:
        command += ["--pid", str(pid)]
    done = subprocess.run(pinned(LOAD_CORE, command), capture_output=True, text=True, check=False)
    try:
        answer: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        raise BenchError(f"{' '.join(command)}: exit {done.returncode}\n{done.stderr}") from None
    return answer
