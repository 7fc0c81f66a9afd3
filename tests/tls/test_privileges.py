"""Keys are read while the process still has its rights: what binds reads them, what serves needs no file."""

from __future__ import annotations

from pathlib import Path

from tests.doubles.certificates import CertificateAuthority
from tests.transport.tls_ends import HandReactor
from wsgate.config.load import parse_config
from wsgate.control.alone import Alone
from wsgate.control.supervisor import Supervisor

INI = """
[gateway]
access_log = off
[listener secure]
bind = 127.0.0.1:0
tls = site
[tls site]
certificate = {chain}
key = {key}
client_auth = optional
client_ca = {ca}
[route r]
respond = 204
"""


def test_after_binding_no_key_is_read_any_more(tmp_path: Path) -> None:
    authority = CertificateAuthority(tmp_path / "ca")
    issued = authority.issue("site.example")
    text = INI.format(chain=issued.chain_path, key=issued.key_path, ca=authority.ca_path)
    reactor = HandReactor()
    supervisor = Supervisor(
        parse_config(text, "x", tmp_path), reactor, lambda: 1_800_000_000.0, Alone(reactor, lambda: 1_800_000_000.0)
    )
    supervisor.bind()
    for path in (issued.chain_path, issued.key_path, authority.ca_path):
        path.unlink()
    started: list[object] = []
    supervisor.start().addBoth(started.append)
    assert started == [None]
    assert supervisor.ready
    stopped: list[object] = []
    supervisor.stop(at_once=True).addBoth(stopped.append)
    reactor.pump([1] * 5)
    assert stopped == [None]
