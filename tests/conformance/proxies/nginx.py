#!/usr/bin/env python3
"""nginx as the proxy under test (NGINX_BIN; Debian: nginx libnginx-mod-stream)."""

import os
import subprocess

from _adapter import find, main, write

BIN = "/usr/sbin/nginx"


def upstream(name, peers, extra=""):
    return "    upstream %s {\n%s%s    }\n" % (
        name,
        "".join("        server %s:%d max_fails=0;\n" % p for p in peers),
        extra,
    )


def configure(a):
    w = os.path.abspath(a.workdir)
    for d in ("body", "proxy"):
        os.makedirs(os.path.join(w, d), exist_ok=True)
    stream_mod = "/usr/lib/nginx/modules/ngx_stream_module.so"
    c = []
    if a.tcp_port or a.tcps_port:
        if os.path.exists(stream_mod):
            c.append("load_module %s;\n" % stream_mod)
    c.append(
        "daemon off;\nworker_processes 1;\nuser root;\npid %s/nginx.pid;\nerror_log %s/error.log info;\n"
        "events { worker_connections 2048; }\n" % (w, w)
    )
    ups, locs = "", ""
    for name, path, peers in (("ws", "/wsapp", a.ws_backend), ("chat", "/chat", a.chat_backend)):
        if peers:
            ups += upstream(name, peers)
            locs += """        location %s {
            proxy_pass http://%s;
            proxy_http_version 1.1;
            proxy_set_header Host $host;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $connection_upgrade;
            proxy_set_header X-Forwarded-For $remote_addr;
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_read_timeout 120s;
            proxy_send_timeout 120s;
        }
""" % (path, name)
    if a.http_backend:
        ups += upstream("api", a.http_backend, "        keepalive 8;\n")
        locs += """        location /api {
            proxy_pass http://api;
            proxy_http_version 1.1;
            proxy_set_header Host $host;
            proxy_set_header Connection "";
            proxy_set_header X-Forwarded-For $remote_addr;
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_read_timeout 30s;
        }
"""
    listen = ""
    if a.http_port:
        listen += "        listen 127.0.0.1:%d;\n" % a.http_port
    if a.tls_port:
        listen += "        listen 127.0.0.1:%d ssl;\n        ssl_certificate %s;\n        ssl_certificate_key %s;\n" % (
            a.tls_port,
            a.cert,
            a.key,
        )
    if listen:
        c.append(
            """http {
    types { text/html html; text/javascript js; text/css css; application/json json; }
    default_type application/octet-stream;
    access_log %s/access.log;
    client_body_temp_path %s/body;
    proxy_temp_path %s/proxy;
    fastcgi_temp_path %s/proxy; uwsgi_temp_path %s/proxy; scgi_temp_path %s/proxy;
    client_max_body_size 64m;
    map $http_upgrade $connection_upgrade { default upgrade; '' close; }
%s    server {
%s        server_name _;
%s        location / { root %s; index index.html; }
    }
}
"""
            % (w, w, w, w, w, w, ups, listen, locs, os.path.abspath(a.static or w))
        )
    if a.tcp_port or a.tcps_port:
        s = "stream {\n" + upstream("tcp", a.tcp_backend)
        if a.tcp_port:
            s += "    server { listen 127.0.0.1:%d; proxy_pass tcp; }\n" % a.tcp_port
        if a.tcps_port:
            s += (
                "    server { listen 127.0.0.1:%d ssl; ssl_certificate %s; ssl_certificate_key %s;"
                " proxy_pass tcp; }\n" % (a.tcps_port, a.cert, a.key)
            )
        c.append(s + "}\n")
    conf = write(os.path.join(w, "nginx.conf"), "".join(c))
    return [find("NGINX_BIN", BIN), "-p", w, "-c", conf, "-e", os.path.join(w, "error.log")], None


def version():
    return subprocess.run([find("NGINX_BIN", BIN), "-v"], stderr=subprocess.PIPE, text=True).stderr.strip()


main("nginx", configure, version, {"http", "ws", "static", "tls", "l4", "l4-tls"})
