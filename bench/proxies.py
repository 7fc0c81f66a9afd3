"""nginx and HAProxy, as Debian packages them, configured like wsgate in ``bench/own.py``."""

from __future__ import annotations

from bench.place import DESCRIPTORS, RELAYS, Place
from bench.ruler import BenchError, find

STREAM_MODULE = "/usr/lib/nginx/modules/ngx_stream_module.so"


def _program(name: str) -> str:
    path = find(name)
    if path is None:
        raise BenchError(f"{name} is not installed")
    return path


def _nginx_routes() -> str:
    websocket = "".join(
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
    proxied = """
        location = /proxied {
            proxy_pass http://echo;
            proxy_http_version 1.1;
            proxy_set_header Host $host;
            proxy_set_header Connection "";
            proxy_set_header X-Forwarded-For $remote_addr;
            proxy_set_header X-Forwarded-Proto $scheme;
        }
        location = /empty { return 204; }
        location /files/ { }"""
    return websocket + proxied


def nginx(place: Place) -> list[str]:
    """The command of nginx; one worker process for each worker asked for."""
    ports, servers, pair = place.ports, place.servers, place.certificate
    tls = f"ssl_certificate {pair.chain}; ssl_certificate_key {pair.key}; ssl_protocols TLSv1.2 TLSv1.3;"
    text = f"""
load_module {STREAM_MODULE};
daemon off; master_process on; worker_processes {place.workers}; user root;
worker_rlimit_nofile {DESCRIPTORS};
pid {place.folder}/nginx.pid; error_log {place.folder}/error.log warn;
events {{ worker_connections {DESCRIPTORS - 100}; }}
stream {{
    upstream echo {{ server 127.0.0.1:{servers["tcp"]}; }}
    upstream push {{ server 127.0.0.1:{servers["push"]}; }}
    server {{ listen 127.0.0.1:{ports["l4"]} backlog=4096; proxy_pass echo; }}
    server {{ listen 127.0.0.1:{ports["l4push"]} backlog=4096; proxy_pass push; }}
    server {{ listen 127.0.0.1:{ports["l4tls"]} ssl backlog=4096; proxy_pass echo; {tls} }}
    server {{ listen 127.0.0.1:{ports["l4tlspush"]} ssl backlog=4096; proxy_pass push; {tls} }}
}}
http {{
    access_log off; sendfile on; tcp_nopush on; root {place.www}; keepalive_requests 100000;
    upstream echo {{ server 127.0.0.1:{servers["ws"]}; keepalive 32; keepalive_requests 100000; }}
    upstream push {{ server 127.0.0.1:{servers["wspush"]}; }}
    server {{
        listen 127.0.0.1:{ports["http"]} backlog=4096;
        listen 127.0.0.1:{ports["httptls"]} ssl backlog=4096; {tls}{_nginx_routes()}
    }}
}}
"""
    path = place.folder / "nginx.conf"
    path.write_text(text)
    return [_program("nginx"), "-p", str(place.folder), "-c", str(path), "-e", str(place.folder / "error.log")]


def haproxy(place: Place) -> list[str]:
    """The command of HAProxy; one thread for each worker asked for."""
    ports, servers = place.ports, place.servers
    tls = f"ssl crt {place.certificate.both} ssl-min-ver TLSv1.2 alpn http/1.1"
    text = f"""
global
    nbthread {place.workers}
    maxconn {DESCRIPTORS // 2 - 600}
    tune.ssl.default-dh-param 2048

defaults
    timeout connect 5s
    timeout client 1h
    timeout server 1h
    timeout tunnel 1h
    timeout http-request 10s
    timeout http-keep-alive 75s

listen l4
    bind 127.0.0.1:{ports["l4"]} backlog 4096
    mode tcp
    server one 127.0.0.1:{servers["tcp"]}

listen l4push
    bind 127.0.0.1:{ports["l4push"]} backlog 4096
    mode tcp
    server one 127.0.0.1:{servers["push"]}

listen l4tls
    bind 127.0.0.1:{ports["l4tls"]} backlog 4096 {tls}
    mode tcp
    server one 127.0.0.1:{servers["tcp"]}

listen l4tlspush
    bind 127.0.0.1:{ports["l4tlspush"]} backlog 4096 {tls}
    mode tcp
    server one 127.0.0.1:{servers["push"]}

frontend web
    bind 127.0.0.1:{ports["http"]} backlog 4096
    bind 127.0.0.1:{ports["httptls"]} backlog 4096 {tls}
    mode http
    option forwardfor
    http-request set-header X-Forwarded-Proto https if {{ ssl_fc }}
    http-request set-header X-Forwarded-Proto http unless {{ ssl_fc }}
    http-request return status 204 if {{ path /empty }}
    use_backend push if {{ path_end -- -push }}
    default_backend echo

backend echo
    mode http
    server one 127.0.0.1:{servers["ws"]}

backend push
    mode http
    server one 127.0.0.1:{servers["wspush"]}
"""
    path = place.folder / "haproxy.cfg"
    path.write_text(text)
    return [_program("haproxy"), "-db", "-f", str(path)]
