"""Who the client is, told by PROXY headers: by stock proxies to the gateway, and by the gateway to stock servers."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conftest import Serve, StartGateway
from tests.doubles import processes
from tests.doubles.certificates import CertificateAuthority
from tests.doubles.http import answer, read_answer, read_request, request
from tests.doubles.ports import free_port
from tests.doubles.raw import Wire
from tests.doubles.raw_tls import client_context, connect_tls
from tests.doubles.steering import wait_ready
from tests.doubles.waiting import until
from tests.doubles.websocket_peers import WebSocketServer, open_client
from wsgate.wire.proxy_protocol import ProxyHeader, ProxyReader, encode_v1, encode_v2
from wsgate.wire.proxy_tlvs import ProxyTls, Tlv

HTTP = """
[listener web]
bind = 127.0.0.1:{web}
proxy_protocol = on
proxy_trusted = 127.0.0.0/8

[route all]
path = /
upstream = servers

[upstream servers]
servers = {servers}
"""

SOURCE, DESTINATION = ("192.0.2.7", 4711), ("198.51.100.1", 443)
HEADERS = {"v1": encode_v1(SOURCE, DESTINATION), "v2": encode_v2(SOURCE, DESTINATION, checksum=True)}


def telling(wire: Wire) -> None:
    """A server that answers with the fields of the request."""
    got = read_request(wire)
    wire.send(answer(200, json.dumps(dict(got.fields)).encode(), "Connection: close"))


def asked(wire: Wire) -> dict[str, str]:
    told: dict[str, str] = json.loads(read_answer(wire).body)
    return told


# In


@pytest.mark.parametrize("version", HEADERS)
@pytest.mark.parametrize("slice_size", [1, 1000])
def test_the_client_is_the_one_that_the_header_names(
    start_gateway: StartGateway, serve: Serve, version: str, slice_size: int
) -> None:
    gateway = start_gateway(HTTP, servers=serve(telling).address)
    with gateway.connect("web") as wire:
        wire.send_sliced(HEADERS[version] + request("GET", "/"), slice_size)
        fields = asked(wire)
    assert (fields["X-Forwarded-For"], fields["X-Forwarded-Port"]) == ("192.0.2.7", "443")
    record = gateway.records(1)[0]
    assert (record["client"], record["client_port"]) == SOURCE


def test_the_proxys_own_connections_keep_their_address(start_gateway: StartGateway, serve: Serve) -> None:
    gateway = start_gateway(HTTP, servers=serve(telling).address)
    for header in (b"PROXY UNKNOWN\r\n", encode_v2(None, None)):
        with gateway.connect("web") as wire:
            wire.send(header + request("GET", "/"))
            assert asked(wire)["X-Forwarded-For"] == "127.0.0.1"


def test_tls_that_the_proxy_ended_makes_the_scheme_https(start_gateway: StartGateway, serve: Serve) -> None:
    gateway = start_gateway(HTTP, servers=serve(telling).address)
    tlvs = [(Tlv.AUTHORITY, b"chat.example.org"), (Tlv.SSL, ProxyTls(version="TLSv1.3").encode())]
    with gateway.connect("web") as wire:
        wire.send(encode_v2(SOURCE, DESTINATION, tlvs) + request("GET", "/"))
        assert asked(wire)["X-Forwarded-Proto"] == "https"
    assert gateway.records(1)[0]["tls_name"] == "chat.example.org"


@pytest.mark.parametrize("sent", [b"", b"PROXY TC", request("GET", "/"), b"\r\n\r\n\0\r\nQUIT\n\x31"])
def test_without_a_right_header_in_time_nothing_is_served(
    start_gateway: StartGateway, serve: Serve, sent: bytes
) -> None:
    text = HTTP.replace("proxy_trusted", "proxy_timeout = 300ms\nproxy_trusted")
    gateway = start_gateway(text, servers=serve(telling).address)
    with gateway.connect("web") as wire:
        wire.send(sent)
        assert wire.rest() == b""
    assert gateway.records(1)[0]["cause"] == "proxy_header"


def test_nobody_else_may_say_who_the_client_is(start_gateway: StartGateway, serve: Serve) -> None:
    gateway = start_gateway(HTTP.replace("127.0.0.0/8", "10.0.0.0/8"), servers=serve(telling).address)
    with gateway.connect("web") as wire:
        try:
            wire.send(HEADERS["v2"] + request("GET", "/"))
            assert wire.rest() == b""
        except ConnectionError:
            pass
    assert "no trusted proxy" in gateway.records(1)[0]["detail"]


def test_a_tunnel_passes_on_what_came_behind_the_header(start_gateway: StartGateway, serve: Serve) -> None:
    server = serve(lambda wire: wire.send(wire.exactly(5)))
    gateway = start_gateway(
        """
[listener raw]
bind = 127.0.0.1:{raw}
mode = tcp
upstream = servers
proxy_protocol = on
proxy_trusted = 127.0.0.1

[upstream servers]
servers = {servers}
""",
        servers=server.address,
    )
    with gateway.connect("raw") as wire:
        wire.send(HEADERS["v1"] + b"hello")
        assert wire.exactly(5) == b"hello"
    assert gateway.records(1)[0]["client"] == "192.0.2.7"


# Out


def with_header(headers: list[ProxyHeader], then: Callable[[Wire], None]) -> Callable[[Wire], None]:
    """A server that reads a PROXY header first."""

    def script(wire: Wire) -> None:
        reader = ProxyReader()
        while (header := reader.feed(wire.exactly(1))) is None:
            pass
        headers.append(header)
        then(wire)

    return script


OUT = """
[listener web]
bind = 127.0.0.1:{web}
tls = site

[tls site]
certificate = self-signed
names = localhost

[listener raw]
bind = 127.0.0.1:{raw}
mode = tcp
upstream = servers

[route all]
path = /
upstream = servers

[upstream servers]
proxy_protocol = {version}
servers = {servers}
"""


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_servers_are_told_of_each_client_on_a_connection_of_its_own(
    start_gateway: StartGateway, serve: Serve, version: str
) -> None:
    headers: list[ProxyHeader] = []

    def polite(wire: Wire) -> None:
        read_request(wire)
        wire.send(answer(200, b"kept alive"))
        assert wire.rest() == b"", "a second request on the connection of another client"

    server = serve(with_header(headers, polite))
    gateway = start_gateway(OUT, servers=server.address, version=version)
    ports = []
    for _ in range(2):
        with connect_tls(gateway.where("web")) as wire:
            ports.append(wire.sock.getsockname()[1])
            wire.send(request("GET", "/", "Connection: close"))
            assert read_answer(wire).body == b"kept alive"
    assert [header.source for header in headers] == [("127.0.0.1", port) for port in ports]
    assert {header.destination for header in headers} == {gateway.where("web")}
    assert {header.version for header in headers} == {int(version[1])}
    if version == "v2":
        tls = headers[0].tls
        assert tls is not None
        assert tls.version.startswith("TLSv1")
        assert headers[0].authority == "localhost"


def test_a_tunnel_tells_the_server_too(start_gateway: StartGateway, serve: Serve) -> None:
    headers: list[ProxyHeader] = []
    server = serve(with_header(headers, lambda wire: wire.send(wire.exactly(5))))
    gateway = start_gateway(OUT, servers=server.address, version="v2")
    with gateway.connect("raw") as wire:
        wire.send(b"hello")
        assert wire.exactly(5) == b"hello"
        assert headers[0].source == wire.sock.getsockname()


# Stock peers


@contextmanager
def program(command: list[str], directory: Path, *ports: int) -> Iterator[None]:
    """A stock program, until it listens on the ports."""
    with (directory / "peer.log").open("ab") as output:
        process = subprocess.Popen(command, cwd=directory, stdout=output, stderr=subprocess.STDOUT)
    try:
        until(lambda: process.poll() is not None or set(ports) <= processes.listening(process.pid), "a stock peer")
        assert process.poll() is None, (directory / "peer.log").read_text()
        yield
    finally:
        process.terminate()
        process.wait(30)


ANSWER = "http-request return status 200 content-type text/plain lf-string %[src]:%[src_port]"


def haproxy(directory: Path, port: int, target: str, *, take: str = "", send: str = "", mode: str = "") -> list[str]:
    (directory / "haproxy.cfg").write_text(
        f"""
defaults
    mode {mode or ("http" if take else "tcp")}
    timeout connect 30s
    timeout client 30s
    timeout server 30s
frontend front
    bind 127.0.0.1:{port} {take}
    {"default_backend back" if send else ANSWER}
backend back
    server one {target} {send}
"""
    )
    return ["haproxy", "-db", "-f", str(directory / "haproxy.cfg")]


def nginx(directory: Path, port: int, server: str) -> list[str]:
    (directory / "nginx.conf").write_text(
        f"""
load_module /usr/lib/nginx/modules/ngx_stream_module.so;
daemon off;
master_process off;
pid {directory}/nginx.pid;
error_log {directory}/error.log;
events {{ }}
{server.replace("PORT", str(port))}
"""
    )
    return ["nginx", "-p", str(directory), "-e", str(directory / "error.log"), "-c", str(directory / "nginx.conf")]


NGINX_TAKES = """
http {
    access_log off;
    server {
        listen 127.0.0.1:PORT proxy_protocol;
        location / { return 200 $proxy_protocol_addr:$proxy_protocol_port; }
    }
}
"""


@pytest.mark.parametrize("word", ["send-proxy", "send-proxy-v2"])
def test_haproxy_in_front_tells_the_client(start_gateway: StartGateway, tmp_path: Path, word: str) -> None:
    port = free_port()
    with WebSocketServer() as server:
        gateway = start_gateway(HTTP, servers=server.address)
        command = haproxy(tmp_path, port, f"127.0.0.1:{gateway.ports['web']}", send=word)
        with program(command, tmp_path, port), open_client(f"ws://127.0.0.1:{port}/") as client:
            client.send("through two proxies")
            assert client.recv() == "through two proxies"
            own = client.socket.getsockname()[1]
        assert gateway.records(1)[0]["client_port"] == own


TLS = HTTP.replace("proxy_protocol = on", "proxy_protocol = on\ntls = site").replace(
    "[route all]", "[tls site]\ncertificate = self-signed\nnames = localhost\n\n[route all]"
)


def test_a_header_stands_before_tls_for_every_worker(start_gateway: StartGateway, tmp_path: Path) -> None:
    port = free_port()
    with WebSocketServer() as server:
        gateway = start_gateway("[gateway]\nworkers = 2\n" + TLS, servers=server.address)
        wait_ready(gateway)
        command = haproxy(tmp_path, port, f"127.0.0.1:{gateway.ports['web']}", send="send-proxy-v2")
        ports = set()
        with program(command, tmp_path, port):
            for _ in range(6):
                with open_client(f"wss://localhost:{port}/", ssl=client_context()) as client:
                    client.send("through two proxies")
                    assert client.recv() == "through two proxies"
                    ports.add(client.socket.getsockname()[1])
    records = gateway.records(6)
    assert {record["client_port"] for record in records} == ports
    assert {record["cause"] for record in records} == {"client_closed"}


def test_haproxy_that_ends_tls_tells_of_it(start_gateway: StartGateway, serve: Serve, tmp_path: Path) -> None:
    port = free_port()
    issued = CertificateAuthority(tmp_path / "ca").issue("localhost")
    (tmp_path / "both.pem").write_bytes(issued.chain_path.read_bytes() + issued.key_path.read_bytes())
    gateway = start_gateway(HTTP, servers=serve(telling).address)
    command = haproxy(
        tmp_path,
        port,
        f"127.0.0.1:{gateway.ports['web']}",
        take=f"ssl crt {tmp_path / 'both.pem'} alpn http/1.1",
        send="send-proxy-v2 proxy-v2-options ssl,cert-cn,ssl-cipher,authority,crc32c,unique-id",
        mode="tcp",
    )
    with program(command, tmp_path, port), connect_tls(("127.0.0.1", port), server_name="localhost") as wire:
        wire.send(request("GET", "/", "Connection: close"))
        fields = asked(wire)
        own = wire.sock.getsockname()[1]
    assert fields["X-Forwarded-Proto"] == "https"
    record = gateway.records(1)[0]
    assert (record["client_port"], record["tls_name"]) == (own, "localhost")


def test_nginx_in_front_tells_the_client(start_gateway: StartGateway, tmp_path: Path) -> None:
    port = free_port()
    with WebSocketServer() as server:
        gateway = start_gateway(HTTP, servers=server.address)
        stream = "stream { server { listen 127.0.0.1:PORT; proxy_protocol on; proxy_pass 127.0.0.1:%d; } }"
        command = nginx(tmp_path, port, stream % gateway.ports["web"])
        with program(command, tmp_path, port), open_client(f"ws://127.0.0.1:{port}/") as client:
            client.send("hello")
            assert client.recv() == "hello"
            own = client.socket.getsockname()[1]
        assert gateway.records(1)[0]["client_port"] == own


@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize("peer", ["haproxy", "nginx"])
def test_stock_servers_understand_who_the_client_is(
    start_gateway: StartGateway, tmp_path: Path, peer: str, version: str
) -> None:
    port = free_port()
    if peer == "haproxy":
        command = haproxy(tmp_path, port, "127.0.0.1:1", take="accept-proxy")
    else:
        command = nginx(tmp_path, port, NGINX_TAKES)
    with program(command, tmp_path, port):
        text = "[gateway]\nworkers = 2\n" + OUT
        gateway = start_gateway(text, servers=f"127.0.0.1:{port}", version=version)
        wait_ready(gateway)
        for wire in (gateway.connect("raw"), connect_tls(gateway.where("web")), connect_tls(gateway.where("web"))):
            with wire:
                host, own = wire.sock.getsockname()
                wire.send(request("GET", "/", "Connection: close"))
                assert read_answer(wire).body == f"{host}:{own}".encode()
