"""Sessions with several workers: their contexts were made before the fork, so any of them resumes what another gave."""

from __future__ import annotations

from pathlib import Path

from tests.doubles.certificates import CertificateAuthority
from tests.doubles.gateway import running
from tests.doubles.http import read_answer, request
from tests.doubles.raw_tls import client_context, connect_tls

INI = """
[gateway]
workers = 3

[listener secure]
bind = 127.0.0.1:{https}
tls = site

[tls site]
certificate = {chain}
key = {key}

[route r]
respond = 204
"""


def test_any_worker_resumes_what_another_gave(tmp_path: Path) -> None:
    authority = CertificateAuthority(tmp_path / "ca")
    issued = authority.issue("localhost")
    context = client_context(str(authority.ca_path))
    with running(INI, tmp_path / "gateway", chain=issued.chain_path, key=issued.key_path) as gateway:
        wires = [connect_tls(gateway.where("https"), context)]
        wires[0].send(request("GET", "/"))
        assert read_answer(wires[0]).status == 204
        session = wires[0].tls.session
        # Connections are held, so that the next ones go to other workers too.
        for _ in range(12):
            wires.append(connect_tls(gateway.where("https"), context, session=session))
        assert all(wire.tls.session_reused for wire in wires[1:])
        for wire in wires:
            wire.close()
