"""Compare wsgate with other gateways on one machine: the same cases in turn, in several interleaved rounds.

Each gateway has one worker on a core of its own; the load and the servers behind share the other.  The figures are
processor time of the gateway for each unit of work; only ratios within a run mean something, for machines differ.
A run of all cases writes its tables into docs/performance.rst and README.rst.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

from bench import page
from bench.cases import Case, Load, Subject, Unit, chosen
from bench.gateways import GATEWAYS, Running, Site
from bench.loads import LOADS, PACKAGES, Sample, Task
from bench.outcomes import Failure, Outcome, Results, load
from bench.place import SERVERS, certificate, site
from bench.rivals import default_programs
from bench.ruler import BUILD, HERE, BenchError, build, find, servers
from bench.table import machine, measured, tables, targets

# An idle connection is there at once, and time changes nothing.
_IDLE_SECONDS = 0.3
_QUICK_SECONDS = 0.3
_FIRST_CONNECTIONS = 5


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        "make bench ARGS=...", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--only", action="append", metavar="PATTERN", help="cases, such as 'Layer 4: *'; may be repeated"
    )
    parser.add_argument("--gateways", default=",".join(GATEWAYS), help="by comma (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="default: %(default)s")
    parser.add_argument("--seconds", type=float, default=1.0, help="of each measurement (default: %(default)s)")
    parser.add_argument("--quick", action="store_true", help=f"one round of {_QUICK_SECONDS:g} s, and no page written")
    parser.add_argument("--results", type=Path, default=HERE / "results" / "latest.json", help="where runs are kept")
    parser.add_argument("--again", action="store_true", help="measure nothing: write the page from the kept runs")
    parser.add_argument("--list", action="store_true", help="print the cases and stop")
    parser.add_argument("--programs", type=Path, default=default_programs(), help=argparse.SUPPRESS)
    options = parser.parse_args(given)
    if options.quick:
        options.rounds, options.seconds = 1, _QUICK_SECONDS
    for name in options.gateways.split(","):
        if name not in GATEWAYS:
            parser.error(f"no gateway {name}; known: {', '.join(GATEWAYS)}")
    return options


def _said(command: Sequence[str]) -> str:
    """The version in what a program says of itself."""
    program = find(command[0])
    if program is None:
        return "not installed"
    done = subprocess.run([program, *command[1:]], capture_output=True, text=True)
    found = re.search(r"\d+\.\d[\w.~+-]*", done.stdout + done.stderr)
    return found[0] if found else "unknown"


def _installed(programs: Path, name: str) -> str:
    code = f"from importlib.metadata import version; print(version({name!r}))"
    try:
        done = subprocess.run([str(programs / "python"), "-c", code], capture_output=True, text=True)
    except OSError:
        return "not installed"
    return done.stdout.strip() or "not installed"


def surroundings(options: argparse.Namespace) -> Mapping[str, str]:
    """What the figures depend on."""
    model = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    others = {name: _installed(options.programs, name) for name in ("websockify", "proxy.py")}
    return {
        "taken": time.strftime("%Y-%m-%d"),
        "rounds": f"{options.rounds} of {options.seconds:g} s a case",
        "processor": f"{model[1] if model else platform.machine()}, {os.cpu_count()} cores",
        "load before": f"{os.getloadavg()[0]:.1f}",
        "kernel": platform.release(),
        "Python": platform.python_version(),
        "wsgate": f"{version('wsgate')} on Twisted {version('twisted')}, pyOpenSSL {version('pyopenssl')}",
        "nginx": _said(["nginx", "-v"]),
        "HAProxy": _said(["haproxy", "-v"]),
        **others,
        "wrk": _said(["wrk", "-v"]),
        "OpenSSL": _said(["openssl", "version"]),
    }


class Comparison:
    """The gateways that run, and what was measured on them so far."""

    def __init__(self, options: argparse.Namespace, cases: Sequence[Case], results: Results, where: Site) -> None:
        self._options = options
        self._cases = cases
        self._results = results
        self._site = where
        self._program = build()
        self._wanted = options.gateways.split(",")
        self._running: dict[str, Running] = {}
        self._absent = {name: hint for name in self._wanted if (hint := GATEWAYS[name].missing(where.programs))}
        self._tools = {load: hint for load, (name, hint) in PACKAGES.items() if find(name) is None}

    def notices(self) -> list[str]:
        """What is not here, and how to come by it."""
        needed = {subject.gateway for case in self._cases for subject in case.subjects}
        loads = {case.load for case in self._cases}
        lines = [f"{name} is not installed: {hint}" for name, hint in self._absent.items() if name in needed]
        return lines + [f"apt-get install {hint}" for load, hint in self._tools.items() if load in loads]

    def round(self, turn: int) -> None:
        """Every case on every gateway once; the order of the gateways changes from round to round."""
        for case in self._cases:
            began = time.monotonic()
            subjects = [subject for subject in case.subjects if subject.gateway in self._wanted]
            for subject in subjects if turn % 2 else reversed(subjects):
                self._results.add(case, subject, self._outcome(case, subject))
            print(f"round {turn}: {case.key} ({time.monotonic() - began:.1f} s)", file=sys.stderr, flush=True)

    def _outcome(self, case: Case, subject: Subject) -> Outcome:
        hint = self._absent.get(subject.gateway) or self._tools.get(case.load)
        if hint is not None:
            return Failure(f"not installed: {hint}", absent=True)
        try:
            if case.load is Load.SCANNER:
                return self._sample(case, subject, None)
            if case.fresh:
                return self._fresh(case, subject)
            return self._sample(case, subject, self._gateway(subject.gateway))
        except (BenchError, OSError) as error:
            print(f"{case.key}, {subject}: {error}", file=sys.stderr, flush=True)
            return Failure(str(error))

    def _gateway(self, name: str) -> Running:
        """The one that serves all cases; it is started anew where it has ended."""
        running = self._running.get(name)
        if running is None or not running.alive:
            running = self._running[name] = self._site.start(name)
        return running

    def _fresh(self, case: Case, subject: Subject) -> Sample:
        gateway = self._site.start(subject.gateway, case.workers)
        try:
            # What is loaded with the first connection is no cost of the others; if it fails, so will they.
            with suppress(BenchError):
                LOADS[case.load](Task(case, subject, gateway, self._program, 0.1, _FIRST_CONNECTIONS))
            return self._sample(case, subject, gateway)
        finally:
            gateway.stop()

    def _sample(self, case: Case, subject: Subject, gateway: Running | None) -> Sample:
        seconds = _IDLE_SECONDS if case.unit is Unit.IDLE else self._options.seconds
        return LOADS[case.load](Task(case, subject, gateway, self._program, seconds))

    def stop(self) -> None:
        for gateway in self._running.values():
            gateway.stop()


def compare(options: argparse.Namespace, cases: Sequence[Case]) -> Results:
    """Measure; what was measured before an interruption is kept."""
    results = Results(surroundings(options))
    BUILD.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=BUILD) as name, servers(build(), SERVERS) as ports:
        folder = Path(name)
        where = Site(folder, ports, certificate(folder), site(folder), options.programs)
        comparison = Comparison(options, cases, results, where)
        for line in comparison.notices():
            print(line, file=sys.stderr, flush=True)
        try:
            for turn in range(1, options.rounds + 1):
                comparison.round(turn)
        finally:
            comparison.stop()
            results.save(options.results)
    return results


def report(cases: Sequence[Case], results: Results) -> str:
    """Everything, as text."""
    blocks = [f"{group}\n\n{table}" for group, table in tables(cases, results)]
    return "\n\n".join([machine(results), *blocks, targets(results)])


def main(given: Sequence[str] | None = None) -> int:
    """The whole program; 1 where a measurement failed."""
    options = arguments(given)
    cases = chosen(options.only or ["*"])
    if not cases:
        print("no case is called so; --list prints them all", file=sys.stderr)
        return 2
    if options.list:
        print("\n".join(case.key for case in cases))
        return 0
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        results = load(options.results) if options.again else compare(options, cases)
        complete = options.only is None and not options.quick and set(options.gateways.split(",")) == set(GATEWAYS)
        if complete and measured(results):
            page.write(cases, results)
    except BenchError as error:
        print(error, file=sys.stderr)
        return 1
    print(report(cases, results))
    for line in (failures := results.failures()):
        print(f"FAILED {line}", file=sys.stderr)
    return 1 if failures else 0
