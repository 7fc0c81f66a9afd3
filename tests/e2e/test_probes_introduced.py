"""Probes go the way that traffic goes: through TLS, with a PROXY header, to every kind of server."""

from __future__ import annotations

from pathlib import Path

import pytest
from websockets.sync.server import ServerConnection

from tests.conftest import Serve, StartGateway
from tests.doubles.certificates import CertificateAuthority
from tests.doubles.http import answer, read_request
from tests.doubles.raw import Wire
from tests.doubles.raw_tls import server_context
from tests.doubles.steering import wait_ready, workers
from tests.doubles.waiting import until
from tests.doubles.websocket_peers import WebSocketServer
from wsgate.wire.proxy_protocol import ProxyHeader, ProxyReader

INI = """
[gateway]
workers = 2

[listener web]
bind = 127.0.0.1:{web}

[route all]
path = /
upstream = servers

[upstream servers]
servers = {servers}
probe = {probe} interval=100ms timeout=5s rise=1 fall=1
{more}
"""


def welcomes(connection: ServerConnection) -> None:
    for message in connection:
        connection.send(f"welcome {message!r}")


@pytest.mark.parametrize(("name", "well"), [("app.internal", True), ("other.internal", False)])
def test_probes_speak_tls_and_believe_whom_traffic_believes(
    start_gateway: StartGateway, tmp_path: Path, name: str, well: bool
) -> None:
    authority = CertificateAuthority(tmp_path / "ca")
    issued = authority.issue(name)
    tls = server_context(str(issued.chain_path), str(issued.key_path))
    more = f"tls = on\ntls_ca = {authority.ca_path}\ntls_server_name = app.internal"
    with WebSocketServer(welcomes, tls=tls) as server:
        gateway = start_gateway(INI, servers=server.address, probe="websocket / send=joe expect=welcome", more=more)
        wait_ready(gateway)
        if well:
            server.wait_sessions(4)
            assert [session.wait_over().close_code for session in server.sessions[:3]] == [1000] * 3
            assert "is down" not in gateway.log
        else:
            until(lambda: "is down: " in gateway.log, "a server with a wrong certificate")
            assert "app.internal" in gateway.log
            until(
                lambda: {worker["upstreams"]["servers"][0]["state"] for worker in workers(gateway)} == {"down"},
                "all workers knowing",
            )


def test_probes_have_no_client_to_tell_of(start_gateway: StartGateway, serve: Serve) -> None:
    headers: list[ProxyHeader] = []

    def script(wire: Wire) -> None:
        reader = ProxyReader()
        while (header := reader.feed(wire.exactly(1))) is None:
            pass
        headers.append(header)
        read_request(wire)
        wire.send(answer(200))

    gateway = start_gateway(INI, servers=serve(script).address, probe="http /health", more="proxy_protocol = v2")
    until(lambda: len(headers) >= 4, "probes")
    assert {header.source for header in headers} == {None}
    assert "is down" not in gateway.log
