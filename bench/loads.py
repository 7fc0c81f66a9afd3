"""One measurement: a load on one gateway, and what the gateway used meanwhile."""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.cases import Case, Load, Subject, Unit
from bench.gateways import Running
from bench.ruler import GATEWAY_CORE, HERE, LOAD_CORE, BenchError, cpu_seconds, find, pinned, resident_megabytes

_PATIENCE = 60.0
_MILLI = {"us": 1.0, "ms": 1e3, "s": 1e6}


@dataclass(frozen=True, slots=True)
class Sample:
    """One measurement, in the units of the case: ``rate`` a second, latencies in microseconds, ``memory`` in MB.

    ``each`` is memory growth in kB a connection, where it was asked for.
    """

    cost: float
    rate: float | None = None
    p50: float | None = None
    p99: float | None = None
    memory: float | None = None
    each: float | None = None


@dataclass(frozen=True, slots=True)
class Task:
    """What to measure: ``case`` on ``gateway``, which is none for the scanner, for ``seconds``.

    ``connections``, where not 0, are instead of the case's own.
    """

    case: Case
    subject: Subject
    gateway: Running | None
    program: Path
    seconds: float
    connections: int = 0

    @property
    def running(self) -> Running:
        assert self.gateway is not None
        return self.gateway

    @property
    def port(self) -> int:
        return self.running.ports[self.case.listener]


def _run(core: int, command: Sequence[str], cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(pinned(core, command), capture_output=True, text=True, timeout=_PATIENCE, cwd=cwd)
    except subprocess.TimeoutExpired:
        raise BenchError(f"{Path(command[0]).name} took more than {_PATIENCE:g} s") from None


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["it says nothing"])[-1]


_COSTS = {
    Unit.MESSAGE: ("cpu_us_per_msg", "msgs_per_s", "msgs"),
    Unit.CONNECTION: ("cpu_us_per_conn", "conns_per_s", "msgs"),
    Unit.GIGABYTE: ("cpu_s_per_GB", "MB_per_s", "MB_per_s"),
    Unit.IDLE: ("rss_growth_kB_per_conn", "", "handshakes"),
}


def gwbench_arguments(task: Task) -> list[str]:
    """The arguments of gwbench's client, without the processes to watch.

    Every echo is compared byte by byte; where a gateway cuts frames anew, what is in them is.
    """
    case, name = task.case, task.subject.gateway
    path = case.route(task.subject)
    arguments = [*case.instead.get(name, case.arguments), "-d", f"{task.seconds:g}"]
    arguments += ["--ws", path] if path else []
    arguments += ["--tls"] if case.tls else []
    arguments += ["--verify"] if case.unit in {Unit.MESSAGE, Unit.CONNECTION} else []
    arguments += ["-c", str(task.connections)] if task.connections else []
    arguments += ["--reframed"] if name == "websockify" else []
    return arguments


def gwbench(task: Task) -> Sample:
    """Echoes, connections, bulk, idle connections."""
    command = [str(task.program), "client", "--port", str(task.port), *gwbench_arguments(task)]
    for pid in task.running.pids[:1] if task.running.forks else task.running.pids:
        command += ["--tree" if task.running.forks else "--pid", str(pid)]
    done = _run(LOAD_CORE, command)
    try:
        answer: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        raise BenchError(f"gwbench: exit {done.returncode}: {_last_line(done.stderr)}") from None
    return read_gwbench(task.case, answer, done.stderr)


def read_gwbench(case: Case, answer: Mapping[str, Any], complaint: str = "") -> Sample:
    """What gwbench's client printed; BenchError where a connection failed or nothing came back."""
    if answer["errors"]:
        raise BenchError(f"{answer['errors']} connections failed: {_last_line(complaint)}")
    cost, rate, done = _COSTS[case.unit]
    if not answer[done]:
        raise BenchError("nothing came back")
    # Those under way when the time began are not counted.
    if "--resume" in case.arguments and answer["resumed"] < 0.9 * (answer["msgs"] - answer["conns"]):
        raise BenchError(f"{answer['resumed']} of {answer['msgs']} sessions were resumed")
    timed = case.unit in {Unit.MESSAGE, Unit.CONNECTION}
    return Sample(
        cost=answer[cost],
        rate=answer[rate] if rate else None,
        p50=answer["p50_us"] if timed else None,
        p99=answer["p99_us"] if timed else None,
        memory=answer["rss_kB"] / 1e3,
        each=answer["rss_growth_kB_per_conn"] if case.fresh else None,
    )


def wrk(task: Task) -> Sample:
    """Requests on connections that are kept."""
    program = find("wrk")
    assert program is not None
    url = f"http://127.0.0.1:{task.port}{task.case.route(task.subject)}"
    duration = f"{math.ceil(task.seconds)}s"
    before = cpu_seconds(task.running.pids)
    done = _run(LOAD_CORE, [program, *task.case.arguments, "-d", duration, "--latency", url])
    used = cpu_seconds(task.running.pids) - before
    return read_wrk(done.stdout or done.stderr, used, resident_megabytes(task.running.pids))


def read_wrk(text: str, used: float, memory: float) -> Sample:
    """What wrk printed, where the gateway ``used`` so many seconds; BenchError for answers that are none."""
    bad = re.search(r"Non-2xx.*|Socket errors.*", text)
    total = re.search(r"(\d+) requests in", text)
    if bad or total is None or not int(total[1]):
        raise BenchError(f"wrk: {bad[0].strip() if bad else _last_line(text)}")
    rate = re.search(r"Requests/sec:\s+([\d.]+)", text)
    latency = {
        share: float(value) * _MILLI[unit] for share, value, unit in re.findall(r"(\d+)%\s+([\d.]+)(us|ms|s)\b", text)
    }
    return Sample(
        cost=used * 1e6 / int(total[1]),
        rate=float(rate[1]) if rate else None,
        p50=latency.get("50"),
        p99=latency.get("99"),
        memory=memory,
    )


def s_time(task: Task) -> Sample:
    """TLS handshakes, one after the other; with a path, one HTTP/1.0 request on each."""
    path = task.case.route(task.subject)
    command = ["openssl", "s_time", "-connect", f"127.0.0.1:{task.port}", *task.case.arguments]
    command += ["-time", str(math.ceil(task.seconds))] + (["-www", path] if path else [])
    before, began = cpu_seconds(task.running.pids), time.monotonic()
    done = _run(LOAD_CORE, command)
    used, took = cpu_seconds(task.running.pids) - before, time.monotonic() - began
    if done.returncode:
        raise BenchError(f"openssl s_time: exit {done.returncode}: {_last_line(done.stderr)}")
    return read_s_time(done.stdout, "-reuse" in command, used, took, resident_megabytes(task.running.pids))


def read_s_time(text: str, resumed: bool, used: float, took: float, memory: float) -> Sample:
    """What s_time printed in ``took`` seconds: a letter for each connection, r with an old session, then a count."""
    found = re.search(r"(\d+) connections in \d+ real seconds", text)
    marks = "".join(re.findall(r"^[*r]+$", text, re.MULTILINE))
    if found is None or not int(found[1]):
        raise BenchError(f"openssl s_time: {_last_line(text)}")
    if resumed and marks.count("r") < 0.9 * int(found[1]):
        raise BenchError(f"{marks.count('r')} of {found[1]} sessions were resumed")
    count = len(marks) or int(found[1])
    return Sample(cost=used * 1e6 / count, rate=count / took, memory=memory)


def scanner(task: Task) -> Sample:
    """No gateway at all: the scanner, in a process of its own."""
    command = [sys.executable, "-m", "bench.scanner", f"{task.seconds:g}"]
    done = _run(GATEWAY_CORE, command, HERE.parent)
    if done.returncode:
        raise BenchError(f"the scanner: exit {done.returncode}: {_last_line(done.stderr)}")
    cost = float(json.loads(done.stdout)["us_per_frame"])
    return Sample(cost=cost, rate=1e6 / cost)


LOADS: Mapping[Load, Callable[[Task], Sample]] = {
    Load.GWBENCH: gwbench,
    Load.WRK: wrk,
    Load.S_TIME: s_time,
    Load.SCANNER: scanner,
}

PACKAGES: Mapping[Load, tuple[str, str]] = {Load.WRK: ("wrk", "wrk"), Load.S_TIME: ("openssl", "openssl")}
"""The program that a load needs, and the Debian package that has it."""
