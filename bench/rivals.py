"""Gateways in Python: websockify, proxy.py (both from an environment of their own) and Twisted as it is."""

from __future__ import annotations

import sys
from pathlib import Path

from bench.place import Place
from bench.ruler import HERE, BenchError


def _program(place: Place, name: str) -> str:
    path = place.programs / name
    if not path.exists():
        raise BenchError(f"{name} is not installed (make bench makes its environment)")
    return str(path)


def websockify(place: Place) -> list[str]:
    """websockify ends the WebSocket and speaks TCP behind it; one port for plain and TLS, a process a connection."""
    pair = place.certificate
    listen, server = place.ports["http"], place.servers["tcp"]
    options = ["--cert", str(pair.chain), "--key", str(pair.key)]
    return [_program(place, "websockify"), *options, f"127.0.0.1:{listen}", f"127.0.0.1:{server}"]


def proxy_py(place: Place) -> list[str]:
    """proxy.py as a reverse proxy: one acceptor, which works on its connections itself."""
    options = [
        "--hostname",
        "127.0.0.1",
        "--port",
        str(place.ports["http"]),
        "--num-workers",
        "1",
        "--num-acceptors",
        "1",
    ]
    options += ["--backlog", "4096", "--log-level", "e", "--disable-http-proxy", "--enable-reverse-proxy"]
    server = f"BENCH_SERVER=127.0.0.1:{place.servers['ws']}"
    program = [_program(place, "proxy"), *options, "--plugins", "bench.proxy_py_routes.Routes"]
    return ["env", f"PYTHONPATH={HERE.parent}", server, *program]


def twisted(place: Place) -> list[str]:
    """portforward on Twisted's own transports, TLS by listenSSL."""
    servers = place.servers
    relayed = {"l4": "tcp", "l4push": "push", "l4tls": "tcp:tls", "l4tlspush": "push:tls"}
    listeners = []
    for listener, behind in relayed.items():
        name, colon, tls = behind.partition(":")
        listeners.append(f"{place.ports[listener]}:{servers[name]}{colon}{tls}")
    pair = place.certificate
    return [sys.executable, str(HERE / "stock_twisted.py"), str(pair.chain), str(pair.key), *listeners]


def default_programs() -> Path:
    """Where make installs them."""
    return HERE.parent / ".venv-bench" / "bin"
