#!/usr/bin/env python3
"""wsgate as the proxy under test (WSGATE_RELAY: frames, messages or tunnel; WSGATE_PYTHON: where it is installed)."""

import os
import subprocess
import sys
from pathlib import Path

from _adapter import EX_SKIP, main, write

ROOT = Path(__file__).resolve().parents[3]
RELAY = os.environ.get("WSGATE_RELAY", "frames")

# The suite asks what a peer makes of 16 MiB messages and 65,000 fragments, and counts every frame it gets.  The budget
# for pings, pongs and empty fragments stays as it is by default: none of its cases comes near.
UNLIMITED = """\
max_frame = 0
max_message = 0
max_fragments = 0
messages_per_second = 0
bytes_per_second = 0
ping_interval = off
origins = any
"""


# Relayed whole, messages are compressed by the gateway, so that the suite's compression cases are its own.
if RELAY == "messages":
    UNLIMITED += "compression = client\n"


def python():
    path = os.environ.get("WSGATE_PYTHON", str(ROOT / ".venv" / "bin" / "python"))
    if not os.access(path, os.X_OK):
        print("not installed: %s (make venv)" % path, file=sys.stderr)
        sys.exit(EX_SKIP)
    return path


def section(kind, name, **options):
    return "[%s %s]\n%s\n" % (kind, name, "".join("%s = %s\n" % option for option in options.items()))


def upstream(name, peers):
    return section("upstream", name, servers=", ".join("%s:%d max_fails=0" % peer for peer in peers))


def http(a):
    """The listeners of Layer 7 and their routes."""
    parts = []
    if a.http_port:
        parts.append(section("listener", "http", bind="127.0.0.1:%d" % a.http_port))
    if a.tls_port:
        parts.append(section("listener", "https", bind="127.0.0.1:%d" % a.tls_port, tls="site"))
    if not parts:
        return []
    for name, path, peers in (("ws", "/wsapp", a.ws_backend), ("chat", "/chat", a.chat_backend)):
        if peers:
            parts.append(
                section("route", name, path=path, upstream=name, websocket=RELAY).rstrip("\n") + "\n" + UNLIMITED
            )
            parts.append(upstream(name, peers))
    if a.http_backend:
        parts.append(section("route", "api", path="/api", upstream="api", max_body="64m"))
        parts.append(upstream("api", a.http_backend))
    if a.static:
        parts.append(section("route", "static", path="/", static=os.path.abspath(a.static)))
    return parts


def tcp(a):
    """The listeners of Layer 4."""
    parts = []
    if a.tcp_port:
        parts.append(section("listener", "tcp", bind="127.0.0.1:%d" % a.tcp_port, mode="tcp", upstream="tcp"))
    if a.tcps_port:
        parts.append(
            section("listener", "tcps", bind="127.0.0.1:%d" % a.tcps_port, mode="tcp", upstream="tcp", tls="site")
        )
    return [*parts, upstream("tcp", a.tcp_backend)] if parts else []


def configure(a):
    w = os.path.abspath(a.workdir)
    parts = ["[gateway]\nstate_dir = %s/state\naccess_log = %s/access.log\n" % (w, w)]
    if a.tls_port or a.tcps_port:
        parts.append(section("tls", "site", certificate=os.path.abspath(a.cert), key=os.path.abspath(a.key)))
    config = write(os.path.join(w, "wsgate.ini"), "\n".join([*parts, *http(a), *tcp(a)]))
    twistd = os.path.join(os.path.dirname(python()), "twistd")
    env = dict(os.environ, PYTHONPATH=str(ROOT))
    return [python(), twistd, "--nodaemon", "--pidfile=", "wsgate", "--config", config], env


def version():
    command = [python(), "-m", "wsgate", "--version"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return "%s, relay %s" % (done.stdout.strip(), RELAY)


main("wsgate", configure, version, {"http", "ws", "static", "tls", "l4", "l4-tls"})
