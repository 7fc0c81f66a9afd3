"""The gateway as a real twistd process on an INI text."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.doubles import processes
from tests.doubles.ports import free_port
from tests.doubles.raw import Wire, connect
from tests.doubles.waiting import until

ROOT = Path(__file__).resolve().parents[2]

_NAME = re.compile(r"\{([a-z_][a-z0-9_]*)\}")
_OWN = {"state_dir": "{dir}/state", "access_log": "{dir}/access.log", "access_format": "json"}


def render(text: str, directory: Path, values: dict[str, object]) -> tuple[str, dict[str, int]]:
    """Fill ``{name}`` in an INI text: ``{dir}`` and the given values; every other name gets a free port.

    Gives the text and the ports that were chosen.  What the text leaves open in ``[gateway]`` keeps the state and the
    access log (JSON lines) in ``directory``.
    """
    section = re.search(r"(?ms)^\[gateway\]\s*$(.*?)(?=^\[|\Z)", text)
    body = section[1] if section else ""
    own = "".join(f"{name} = {value}\n" for name, value in _OWN.items() if not re.search(rf"(?m)^{name}\s*=", body))
    text = text[: section.start(1)] + "\n" + own + text[section.start(1) :] if section else f"[gateway]\n{own}\n{text}"
    ports: dict[str, int] = {}

    def fill(found: re.Match[str]) -> str:
        name = found[1]
        if name == "dir":
            return str(directory)
        if name in values:
            return str(values[name])
        if name not in ports:
            ports[name] = free_port()
        return str(ports[name])

    return _NAME.sub(fill, text), ports


class Gateway:
    """A running gateway; ``ports`` are those that its INI text named, ``directory`` is its working directory."""

    def __init__(self, process: subprocess.Popen[bytes], directory: Path, ports: dict[str, int]) -> None:
        self._process = process
        self.directory = directory
        self.ports = ports

    # -- where it is

    @property
    def pid(self) -> int:
        return self._process.pid

    def where(self, name: str) -> tuple[str, int]:
        """The address of a port that the INI text named."""
        return "127.0.0.1", self.ports[name]

    def url(self, name: str, path: str = "/", scheme: str = "ws") -> str:
        """A URL on a port that the INI text named."""
        return f"{scheme}://localhost:{self.ports[name]}{path}"

    def connect(self, name: str, **options: Any) -> Wire:
        """A raw connection to a port that the INI text named; ``options`` are those of ``raw.connect``."""
        return connect(self.where(name), **options)

    # -- what it wrote

    @property
    def log(self) -> str:
        """Everything on its standard output and error so far."""
        return (self.directory / "output.log").read_text(errors="replace")

    def records(self, count: int = 0, timeout: float = 30.0) -> list[dict[str, Any]]:
        """The access records so far, once there are at least ``count`` (the log is written in batches)."""
        path = self.directory / "access.log"

        def lines() -> list[str]:
            return path.read_text().splitlines(keepends=True) if path.exists() else []

        if count:
            until(lambda: len([line for line in lines() if line.endswith("\n")]) >= count, "access records", timeout)
        return [json.loads(line) for line in lines() if line.endswith("\n")]

    # -- what it costs

    def rss(self) -> int:
        """Resident memory in bytes."""
        return processes.rss(self.pid)

    def cpu(self) -> float:
        """Processor time so far in seconds."""
        return processes.cpu(self.pid)

    def fds(self) -> int:
        """How many descriptors are open."""
        return len(processes.descriptors(self.pid))

    # -- its end

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        self._process.send_signal(number)

    def wait(self, timeout: float = 60.0) -> int:
        """Wait for its end; the exit code (negative: the signal that killed it)."""
        return self._process.wait(timeout)

    def stop(self) -> None:
        """End it by SIGTERM as an operator does: it ends in good order and has logged no traceback.

        twistd shuts down and then ends itself by the signal it was given, so that its parent can tell (0 is fine too).
        """
        if self._process.poll() is None:
            self.signal(signal.SIGTERM)
        try:
            code = self.wait()
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"the gateway does not stop\n{self.log}") from None
        assert code in (0, -signal.SIGTERM), f"the gateway ended with {code}\n{self.log}"
        assert "Main loop terminated" in self.log, f"the gateway was not shut down\n{self.log}"
        assert "Traceback" not in self.log and "Unhandled" not in self.log, self.log

    def kill(self) -> None:
        """End it at once and ask no question, for a test that has broken it or failed."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()


def launch(arguments: list[str], directory: Path, environment: dict[str, str] | None = None) -> subprocess.Popen[bytes]:
    """Start twistd in the foreground with ``arguments``; its output goes to ``directory``/output.log."""
    twistd = Path(sys.executable).with_name("twistd")
    command = [sys.executable, str(twistd), "--nodaemon", "--pidfile=", *arguments]
    env = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"} | (environment or {})
    with (directory / "output.log").open("ab") as output:
        return subprocess.Popen(
            command, cwd=directory, env=env, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
        )


def start(text: str, directory: Path, *, environment: dict[str, str] | None = None, **values: object) -> Gateway:
    """Start a gateway on an INI text (see ``render``); wait until it listens on every port that was chosen and runs.

    It runs when it takes signals, which is its last step.  No connection is made, so that the gateway's counters and
    logs begin empty.
    """
    directory.mkdir(parents=True, exist_ok=True)
    rendered, ports = render(text, directory, values)
    config = directory / "wsgate.ini"
    config.write_text(rendered)
    process = launch(["wsgate", "--config", str(config)], directory, environment)
    gateway = Gateway(process, directory, ports)
    wanted = set(ports.values())

    def listens() -> bool:
        assert process.poll() is None, f"the gateway ended with {process.returncode}\n{gateway.log}"
        try:
            # The demo servers of several workers have a process of their own.
            pids = (process.pid, *processes.children(process.pid))
            found = set().union(*(processes.listening(pid) for pid in pids))
            return bool(found) and wanted <= found and processes.catches(process.pid, signal.SIGUSR1)
        except OSError:  # it ends just now; the next look has its exit code
            return False

    try:
        until(listens, "a listening gateway", timeout=60)
    except BaseException:
        gateway.kill()
        raise
    return gateway


@contextmanager
def running(
    text: str, directory: Path, *, environment: dict[str, str] | None = None, **values: object
) -> Iterator[Gateway]:
    """A gateway for the length of a ``with``, for fixtures that share one; its clean end is asserted."""
    gateway = start(text, directory, environment=environment, **values)
    try:
        yield gateway
    except BaseException:
        gateway.kill()
        raise
    gateway.stop()
