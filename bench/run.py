#!/usr/bin/env python3
"""Compare wsgate with nginx on one machine: the same cases in turn, in several interleaved rounds.

Each gateway has one worker on a core of its own; the load and the servers behind share the other.  The figures are
processor time of the gateway for each unit of work; only ratios within a run mean something, for machines differ.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from cases import PUSH_SIZE, RELAYS, Case, Unit, cases
from gateways import GATEWAYS, Running, certificate, start
from ruler import BUILD, HERE, BenchError, build, measure, servers
from table import Runs, table

SERVERS = {
    "tcp": (),
    "push": ("--push", str(PUSH_SIZE)),
    "ws": ("--ws",),
    "wspush": ("--ws", "--push", str(PUSH_SIZE)),
}

# Long enough for every connection to be there; the time itself changes nothing.
_IDLE_SECONDS = 2.0


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", default="*", help="patterns by comma, such as 'l4 *,ws echo*' (default: all)")
    parser.add_argument("--relay", default=",".join(RELAYS), help="the relays of the WebSocket cases, by comma")
    parser.add_argument("--gateways", default="nginx,wsgate", help="by comma; the first is the reference")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement")
    parser.add_argument("--verify", action="store_true", help="compare every byte that comes back")
    parser.add_argument("--json", type=Path, help="write every single run to this file")
    parser.add_argument("--list", action="store_true", help="print the cases and stop")
    return parser.parse_args()


def numbered(names: Sequence[str]) -> list[str]:
    """Names that differ: a second ``nginx`` becomes ``nginx#2``."""
    found: list[str] = []
    for name in names:
        if name not in GATEWAYS:
            raise BenchError(f"no gateway {name}; known: {', '.join(GATEWAYS)}")
        again = sum(other.partition("#")[0] == name for other in found)
        found.append(f"{name}#{again + 1}" if again else name)
    return found


def machine() -> dict[str, str]:
    """What the figures were taken on."""
    model = next((line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")), "")
    nginx = subprocess.run(["/usr/sbin/nginx", "-v"], capture_output=True, text=True, check=False).stderr.strip()
    return {
        "processor": model.partition(":")[2].strip(),
        "cores": str(os.cpu_count()),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "nginx": nginx.rpartition("/")[2],
    }


def relays_matter(name: str) -> bool:
    """Whether a gateway has more than one way to relay a WebSocket."""
    return name.partition("#")[0] == "wsgate"


class Comparison:
    """The gateways that run, and what was measured on them so far."""

    def __init__(self, options: argparse.Namespace, folder: Path, ports: dict[str, int]) -> None:
        self.names = numbered(options.gateways.split(","))
        self.cases = cases(options.cases.split(","), options.relay.split(","))
        self.runs: Runs = {}
        self._options = options
        self._program = build()
        pair = certificate(folder)
        self._start: Callable[[str], Running] = lambda name: start(name, folder / name, ports, pair)
        self._running = {name: self._start(name) for name in self.names} if self._long_lived() else {}

    def _long_lived(self) -> bool:
        return any(not case.fresh for case in self.cases)

    def _once(self, case: Case, gateway: Running, seconds: float) -> dict[str, Any]:
        verify = ["--verify"] if self._options.verify and case.unit is Unit.MESSAGE else []
        port = gateway.ports[case.port]
        return measure(self._program, port, gateway.pids, [*case.client(seconds), *verify])

    def _fresh(self, case: Case, name: str) -> dict[str, Any]:
        gateway = self._start(name)
        try:
            # What is loaded with the first connection is no cost of the others.
            measure(self._program, gateway.ports[case.port], [], [*case.client(0.2), "-c", "10"])
            return self._once(case, gateway, _IDLE_SECONDS)
        finally:
            gateway.stop()

    def round(self, number: int) -> None:
        """Every case on every gateway once; the order of the gateways changes from round to round."""
        done: dict[tuple[str, str], dict[str, Any]] = {}
        for case in self.cases:
            for name in self.names if number % 2 else reversed(self.names):
                same = (case.name, name)
                # A gateway that only tunnels is measured once and compared with each relay.
                if relays_matter(name) or same not in done:
                    done[same] = (
                        self._fresh(case, name)
                        if case.fresh
                        else self._once(case, self._running[name], self._options.seconds)
                    )
                self.runs.setdefault((case, name), []).append(done[same])
            print(f"round {number}: {case.name} {case.relay}".rstrip(), file=sys.stderr, flush=True)

    def stop(self) -> None:
        for gateway in self._running.values():
            gateway.stop()

    def as_json(self) -> str:
        """Every run, with the machine."""
        rows = [
            {"case": case.name, "relay": case.relay, "gateway": name, "runs": runs}
            for (case, name), runs in self.runs.items()
        ]
        return json.dumps({"machine": machine(), "time": time.strftime("%Y-%m-%d"), "rows": rows}, indent=1) + "\n"


def compare(options: argparse.Namespace) -> None:
    """Measure and print."""
    BUILD.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=BUILD) as folder, servers(build(), SERVERS) as ports:
        comparison = Comparison(options, Path(folder), ports)
        try:
            for number in range(1, options.rounds + 1):
                comparison.round(number)
        finally:
            comparison.stop()
    print(", ".join(f"{name} {value}" for name, value in machine().items()))
    print(f"{options.rounds} rounds of {options.seconds:g} s; medians, and the median ratio to {comparison.names[0]}\n")
    print(table(comparison.cases, comparison.names, comparison.runs))
    results = options.json or HERE / "results" / "latest.json"
    results.parent.mkdir(parents=True, exist_ok=True)
    results.write_text(comparison.as_json())


def main() -> None:
    options = arguments()
    if options.list:
        for case in cases(options.cases.split(","), options.relay.split(",")):
            print(f"{case.name} {case.relay}".rstrip())
        return
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        compare(options)
    except BenchError as error:
        raise SystemExit(str(error)) from None


if __name__ == "__main__":
    main()
