"""Certificates from a real authority: Debian's pebble, which asks back on the gateway's own ports."""

from __future__ import annotations

import json
import os
import ssl
import stat
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.doubles.certificates import CertificateAuthority
from tests.doubles.gateway import Gateway, running
from tests.doubles.http import read_answer, request
from tests.doubles.ports import free_port
from tests.doubles.raw_tls import client_context, connect_tls
from tests.doubles.waiting import until

INI = """
[gateway]
workers = {workers}

[listener web]
bind = 127.0.0.1:{http}

[listener secure]
bind = 127.0.0.1:{https}
tls = site

[tls site]
certificate = acme
names = site.example, www.site.example
acme_directory = https://localhost:{acme}/dir
acme_ca = {ca}
acme_email = webmaster@site.example
acme_challenge = {challenge}

[route r]
respond = 200 served
"""


@contextmanager
def process(command: list[str], directory: Path, **environment: str) -> Iterator[None]:
    with (directory / f"{Path(command[0]).name}.log").open("wb") as log:
        running_one = subprocess.Popen(
            command, cwd=directory, stdout=log, stderr=subprocess.STDOUT, env=os.environ | environment
        )
        try:
            yield
        finally:
            running_one.terminate()
            running_one.wait(30)


class Authority:
    """Pebble: ``directory`` is its port, ``root`` fetches what its certificates are verified with."""

    def __init__(self, ca: Path, http: int, https: int) -> None:
        self.ca = ca
        self.http, self.https = http, https
        self.directory, self.management = free_port(), free_port()

    def root(self) -> str:
        context = client_context(str(self.ca))
        url = f"https://localhost:{self.management}/roots/0"
        with urllib.request.urlopen(url, context=context) as answer:
            return str(answer.read().decode())


@contextmanager
def pebble(directory: Path) -> Iterator[Authority]:
    own = CertificateAuthority(directory / "ca")
    issued = own.issue("localhost")
    authority = Authority(own.ca_path, free_port(), free_port())
    names, asking = free_port(), free_port()
    config = {
        "pebble": {
            "listenAddress": f"127.0.0.1:{authority.directory}",
            "managementListenAddress": f"127.0.0.1:{authority.management}",
            "certificate": str(issued.chain_path),
            "privateKey": str(issued.key_path),
            "httpPort": authority.http,
            "tlsPort": authority.https,
            "ocspResponderURL": "",
            "externalAccountBindingRequired": False,
        }
    }
    (directory / "pebble.json").write_text(json.dumps(config))
    nobody = ["-http01", "", "-https01", "", "-tlsalpn01", "", "-doh", ""]
    dns = ["-dns01", f"127.0.0.1:{names}", "-management", f"127.0.0.1:{asking}", "-defaultIPv6", ""]
    with ExitStack() as stack:
        stack.enter_context(process(["pebble-challtestsrv", *nobody[:6], *dns], directory))
        command = ["pebble", "-config", str(directory / "pebble.json"), "-dnsserver", f"127.0.0.1:{names}"]
        stack.enter_context(process(command, directory, PEBBLE_VA_NOSLEEP="1", PEBBLE_WFE_NONCEREJECT="0"))

        def answers() -> bool:
            try:
                return bool(authority.root())
            except OSError:
                return False

        until(answers, "pebble", timeout=60)
        yield authority


def issuer(gateway: Gateway, root: str) -> str:
    """Who signed what the gateway serves, verified against the authority's root; empty for anything else."""
    context = ssl.create_default_context(cadata=root)
    try:
        with connect_tls(gateway.where("https"), context, server_name="www.site.example") as wire:
            wire.send(request("GET", "/", host="www.site.example"))
            assert read_answer(wire).body.strip() == b"served"
            found = wire.tls.getpeercert()
    except ssl.SSLCertVerificationError:
        return ""
    return str(found["issuer"]) if found else ""


@pytest.mark.parametrize(("challenge", "workers"), [("http-01", 1), ("http-01", 2), ("tls-alpn-01", 1)])
def test_a_gateway_gets_its_certificate_and_serves_it(tmp_path: Path, challenge: str, workers: int) -> None:
    """It starts with one of its own, asks, answers on its own ports, and swaps the certificate without a restart."""
    with pebble(tmp_path) as authority:
        ports = {"http": authority.http, "https": authority.https, "acme": authority.directory}
        text = INI
        for name, number in ports.items():
            text = text.replace("{" + name + "}", str(number))
        with running(text, tmp_path / "gateway", ca=authority.ca, challenge=challenge, workers=workers) as gateway:
            gateway.ports.update(ports)
            root = authority.root()
            until(lambda: "acme: renewed site" in gateway.log, "a certificate", timeout=120)
            until(lambda: "Pebble" in issuer(gateway, root), "the new certificate to be served", timeout=60)
            folder = gateway.directory / "state" / "acme"
            assert stat.S_IMODE((folder / "site.pem").stat().st_mode) == 0o600
            assert stat.S_IMODE((folder / "account.json").stat().st_mode) == 0o600
            assert list((folder / "answers").iterdir()) == [], "no answer is left behind"
            state = json.loads((folder / "site.json").read_text())
            assert state["renew_at"]
            assert state["failures"] == 0
