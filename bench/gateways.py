"""The programs that are compared, each with the same configuration in its own language."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cases import RELAYS
from ruler import GATEWAY_CORE, end, free_ports, pinned, wait_listening

ROOT = Path(__file__).resolve().parents[1]
LISTENERS = ("l4", "l4tls", "l4push", "http", "httptls")


@dataclass(frozen=True, slots=True)
class Place:
    """What a configuration is made of: a folder, the listeners' ports, the servers' ports, a certificate."""

    folder: Path
    ports: dict[str, int]
    servers: dict[str, int]
    chain: Path
    key: Path


@dataclass(slots=True)
class Running:
    """A gateway that runs; ``pids`` are all its processes."""

    name: str
    ports: dict[str, int]
    process: subprocess.Popen[bytes]
    pids: list[int] = field(default_factory=list)

    def stop(self) -> None:
        end(self.process)


def _children(pid: int) -> list[int]:
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in listed] + [own for child in listed for own in _children(int(child))]


def certificate(folder: Path) -> tuple[Path, Path]:
    """A self-signed P-256 certificate and its key."""
    chain, key = folder / "chain.pem", folder / "key.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=localhost"
    command += " -addext subjectAltName=DNS:localhost"
    subprocess.run([*command.split(), "-keyout", str(key), "-out", str(chain)], check=True, capture_output=True)
    return chain, key


def _nginx(place: Place) -> list[str]:
    ports, servers = place.ports, place.servers
    routes = "".join(
        f"""
        location = /{relay}{suffix} {{
            proxy_pass http://{upstream};
            proxy_http_version 1.1;
            proxy_set_header Host $host;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection upgrade;
            proxy_set_header X-Forwarded-For $remote_addr;
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_read_timeout 1h;
        }}"""
        for relay in RELAYS
        for suffix, upstream in (("", "echo"), ("-push", "push"))
    )
    text = f"""
load_module /usr/lib/nginx/modules/ngx_stream_module.so;
daemon off; master_process on; worker_processes 1; user root; worker_rlimit_nofile 16384;
pid {place.folder}/nginx.pid; error_log {place.folder}/error.log warn;
events {{ worker_connections 8192; }}
stream {{
    upstream echo {{ server 127.0.0.1:{servers["tcp"]}; }}
    upstream push {{ server 127.0.0.1:{servers["push"]}; }}
    server {{ listen 127.0.0.1:{ports["l4"]} backlog=4096; proxy_pass echo; }}
    server {{ listen 127.0.0.1:{ports["l4push"]} backlog=4096; proxy_pass push; }}
    server {{ listen 127.0.0.1:{ports["l4tls"]} ssl backlog=4096; proxy_pass echo;
              ssl_certificate {place.chain}; ssl_certificate_key {place.key}; ssl_protocols TLSv1.2 TLSv1.3; }}
}}
http {{
    access_log off;
    upstream echo {{ server 127.0.0.1:{servers["ws"]}; }}
    upstream push {{ server 127.0.0.1:{servers["wspush"]}; }}
    server {{
        listen 127.0.0.1:{ports["http"]} backlog=4096;
        listen 127.0.0.1:{ports["httptls"]} ssl backlog=4096;
        ssl_certificate {place.chain}; ssl_certificate_key {place.key}; ssl_protocols TLSv1.2 TLSv1.3;{routes}
    }}
}}
"""
    path = place.folder / "nginx.conf"
    path.write_text(text)
    return ["/usr/sbin/nginx", "-p", str(place.folder), "-c", str(path), "-e", str(place.folder / "error.log")]


def _wsgate(place: Place) -> list[str]:
    ports, servers = place.ports, place.servers
    routes = "".join(
        f"[route {relay}{suffix}]\npath = = /{relay}{suffix}\nupstream = {upstream}\nwebsocket = {relay}\n\n"
        for relay in RELAYS
        for suffix, upstream in (("", "ws"), ("-push", "wspush"))
    )
    text = f"""
[gateway]
state_dir = {place.folder}/state
access_log = off

[tls site]
certificate = {place.chain}
key = {place.key}

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

[listener http]
bind = 127.0.0.1:{ports["http"]}

[listener httptls]
bind = 127.0.0.1:{ports["httptls"]}
tls = site

{routes}""" + "".join(f"[upstream {name}]\nservers = 127.0.0.1:{port}\n\n" for name, port in servers.items())
    path = place.folder / "wsgate.ini"
    path.write_text(text)
    twistd = Path(sys.executable).with_name("twistd")
    return ["env", f"PYTHONPATH={ROOT}", sys.executable, str(twistd), "-n", "--pidfile=", "wsgate", "-c", str(path)]


Configure = Callable[[Place], list[str]]

GATEWAYS: dict[str, Configure] = {"nginx": _nginx, "wsgate": _wsgate}


def start(name: str, folder: Path, servers: dict[str, int], pair: Sequence[Path]) -> Running:
    """Start the gateway ``name`` on its core and wait until every listener accepts.

    ``name`` may have a number behind it (``nginx#2``), so that a program can be compared with itself.
    """
    folder.mkdir(parents=True, exist_ok=True)
    ports = dict(zip(LISTENERS, free_ports(len(LISTENERS)), strict=True))
    command = GATEWAYS[name.partition("#")[0]](Place(folder, ports, servers, *pair))
    log = folder / "output.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            pinned(GATEWAY_CORE, command), cwd=folder, stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
    try:
        wait_listening(process, list(ports.values()), log)
    except BaseException:
        end(process)
        raise
    return Running(name, ports, process, [process.pid, *_children(process.pid)])
