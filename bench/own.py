"""wsgate under test."""

from __future__ import annotations

import sys
from pathlib import Path

from bench.place import RELAYS, Place
from bench.ruler import HERE


def _routes() -> str:
    websocket = "".join(
        f"[route {relay}{suffix}]\npath = = /{relay}{suffix}\nupstream = {upstream}\nwebsocket = {relay}\n\n"
        for relay in RELAYS
        for suffix, upstream in (("", "ws"), ("-push", "wspush"))
    )
    return f"""{websocket}[route proxied]
path = = /proxied
upstream = ws

[route empty]
path = = /empty
respond = 204

"""


def wsgate(place: Place) -> list[str]:
    """The command of wsgate, from this tree."""
    ports = place.ports
    text = f"""
[gateway]
state_dir = {place.folder}/state
access_log = off
workers = {place.workers}

[tls site]
certificate = {place.certificate.chain}
key = {place.certificate.key}

[listener l4]
bind = 127.0.0.1:{ports["l4"]}
mode = tcp
upstream = tcp

[listener l4push]
bind = 127.0.0.1:{ports["l4push"]}
mode = tcp
upstream = push

[listener l4tls]
bind = 127.0.0.1:{ports["l4tls"]}
mode = tcp
tls = site
upstream = tcp

[listener l4tlspush]
bind = 127.0.0.1:{ports["l4tlspush"]}
mode = tcp
tls = site
upstream = push

[listener http]
bind = 127.0.0.1:{ports["http"]}
keepalive_requests = 100000

[listener httptls]
bind = 127.0.0.1:{ports["httptls"]}
keepalive_requests = 100000
tls = site

{_routes()}[route files]
path = /files/
static = {place.www}

"""
    text += "".join(f"[upstream {name}]\nservers = 127.0.0.1:{port}\n\n" for name, port in place.servers.items())
    path = place.folder / "wsgate.ini"
    path.write_text(text)
    twistd = Path(sys.executable).with_name("twistd")
    return [
        "env",
        f"PYTHONPATH={HERE.parent}",
        sys.executable,
        str(twistd),
        "-n",
        "--pidfile=",
        "wsgate",
        "-c",
        str(path),
    ]
