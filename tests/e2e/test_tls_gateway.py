"""TLS of a running gateway: names, client certificates, passing through, renewal, and what breaks nothing."""

from __future__ import annotations

import shutil
import signal
import ssl
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.doubles.certificates import CertificateAuthority, IssuedCertificate
from tests.doubles.gateway import Gateway, running
from tests.doubles.http import Message, answer, read_answer, read_request, request
from tests.doubles.peers import ScriptedServer
from tests.doubles.raw import Wire
from tests.doubles.raw_tls import TlsWire, client_context, connect_tls, server_context
from tests.doubles.waiting import until

INI = """
[listener web]
bind = 127.0.0.1:{web}
tls = site, other, guarded, open, rsa
tls_timeout = 2s

[listener strict]
bind = 127.0.0.1:{strict}
tls = site
unknown_names = refuse
max_handshakes = 2
tls_timeout = 3s

[listener raw]
bind = 127.0.0.1:{raw}
mode = tcp
tls = site
tls_timeout = 1s

[listener outwards]
bind = 127.0.0.1:{outwards}
mode = tcp
upstream = mutual

[listener plain]
bind = 127.0.0.1:{plain}

[tls site]
certificate = {dir}/site.pem
key = {dir}/site.key
names = localhost, *.site.example
hsts = 180d
hsts_subdomains = on

[tls other]
certificate = {other_chain}
key = {other_key}
names = other.example

[tls rsa]
certificate = {rsa_chain}
key = {rsa_key}

[tls guarded]
certificate = {other_chain}
key = {other_key}
names = guarded.example
client_auth = require
client_ca = {ca}

[tls open]
certificate = {other_chain}
key = {other_key}
names = open.example
client_auth = optional
client_ca = {ca}

[route own]
path = /own
respond = 200 own

[route alice]
path = /alice
respond = 200 hello Alice
client_certs = dns:alice.example.org

[route app]
path = /
upstream = app

[route passed]
listener = raw, web
sni = passed.example, *.passed.example
upstream = secure

[route mail]
listener = raw
sni = any
alpn = smtp
upstream = secure

[route ended]
listener = raw
sni = localhost
tls = terminate
upstream = app

[route plain]
listener = raw
sni = none
upstream = app

[upstream app]
servers = {app}

[upstream secure]
servers = {secure}

[upstream mutual]
servers = {mutual}
tls = on
tls_ca = {ca}
tls_server_name = passed.example
tls_certificate = {alice_chain}
tls_key = {alice_key}
tls_alpn = smtp
"""


@dataclass
class World:
    gateway: Gateway
    authority: CertificateAuthority
    alice: IssuedCertificate
    mutual: ScriptedServer

    def context(self, issued: IssuedCertificate | None = None, **options: object) -> ssl.SSLContext:
        pair = (str(issued.chain_path), str(issued.key_path)) if issued else None
        return client_context(str(self.authority.ca_path), certificate=pair, **options)  # type: ignore[arg-type]

    def tls(self, listener: str = "web", name: str | None = "localhost", **options: object) -> TlsWire:
        context = options.pop("context", None) or self.context()
        return connect_tls(self.gateway.where(listener), context, server_name=name, **options)  # type: ignore[arg-type]


def tells_fields(wire: Wire) -> None:
    """Answers each request with the fields that it came with."""
    while True:
        asked = read_request(wire)
        wire.send(answer(200, "".join(f"{name}: {value}\n" for name, value in asked.fields).encode()))


def greets(wire: Wire) -> None:
    """Speaks first, as a mail server does, then says what it heard."""
    wire.send(b"ready\n")
    while data := wire.some():
        wire.send(b"heard " + data)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    directory = tmp_path_factory.mktemp("tls")
    authority = CertificateAuthority(directory / "ca")
    site = authority.issue(("localhost", "*.site.example"))
    other = authority.issue(("other.example", "guarded.example", "open.example"))
    passed = authority.issue(("passed.example", "deep.passed.example", "x.example"))
    home = directory / "gateway"
    home.mkdir()
    shutil.copy(site.chain_path, home / "site.pem")
    shutil.copy(site.key_path, home / "site.key")
    secure = server_context(str(passed.chain_path), str(passed.key_path), alpn=("smtp", "http/1.1"))
    mutual = server_context(str(passed.chain_path), str(passed.key_path), alpn=("smtp", "http/1.1"))
    mutual.load_verify_locations(authority.ca_path)
    mutual.verify_mode = ssl.CERT_REQUIRED
    rsa = authority.issue("other.example", key="rsa")
    alice = authority.issue("alice.example.org", client=True)
    with (
        ScriptedServer(greets, tls=mutual) as asking,
        ScriptedServer(tells_fields) as app,
        ScriptedServer(greets, tls=secure) as behind,
        running(
            INI,
            home,
            other_chain=other.chain_path,
            other_key=other.key_path,
            rsa_chain=rsa.chain_path,
            rsa_key=rsa.key_path,
            ca=authority.ca_path,
            app=app.address,
            secure=behind.address,
            mutual=asking.address,
            alice_chain=alice.chain_path,
            alice_key=alice.key_path,
        ) as gateway,
    ):
        yield World(gateway, authority, alice, asking)


def ask(wire: Wire, target: str = "/", *fields: str, host: str = "localhost") -> Message:
    wire.send(request("GET", target, *fields, host=host))
    return read_answer(wire)


def port(wire: Wire) -> int:
    """The client's port, by which a connection's records are found."""
    return int(wire.sock.getsockname()[1])


def record_of(world: World, client_port: int) -> dict[str, Any]:
    """The record of the one request or connection from a client's port."""

    def found() -> list[dict[str, Any]]:
        return [record for record in world.gateway.records() if record["client_port"] == client_port]

    until(found, f"a record of port {client_port}")
    (record,) = found()
    return record


# Names


def test_each_name_gets_its_certificate_and_421_guards_the_others(world: World) -> None:
    """A request belongs to the section of its handshake; a port and another case are no other name."""
    for name, host, status in [
        ("localhost", "localhost", 200),
        ("localhost", "LOCALHOST:8443", 200),
        ("a.site.example", "b.site.example", 200),
        ("localhost", "other.example", 421),
        ("other.example", "localhost", 421),
        ("other.example", "other.example", 200),
        (None, "localhost", 200),
        (None, "127.0.0.1", 200),
        (None, "stranger.example", 200),
        (None, "other.example", 421),
        ("localhost", "guarded.example", 421),
    ]:
        context = world.context() if name else client_context()
        with world.tls(name=name, context=context) as wire:
            found = ask(wire, "/own", host=host)
            assert found.status == status, (name, host)
            if status == 421:
                wire.expect_eof()


@pytest.mark.parametrize("kind", ["ECDSA", "RSA"])
def test_a_client_of_tls_1_2_gets_the_key_that_its_ciphers_are_for(world: World, kind: str) -> None:
    """Two sections have the name; the client could verify the certificates of both."""
    context = world.context(version=ssl.TLSVersion.TLSv1_2)
    context.set_ciphers(f"ECDHE-{kind}-AES128-GCM-SHA256")
    with world.tls(name="other.example", context=context) as wire:
        assert ask(wire, "/own", host="other.example").status == 200


def test_an_unknown_name_gets_the_default_or_an_alert(world: World) -> None:
    with world.tls(name="stranger.example", context=client_context()) as wire:
        assert ask(wire, "/own", host="stranger.example").status == 200
    with pytest.raises(ssl.SSLError, match="(?i)unrecognized.name"):
        world.tls("strict", name="stranger.example", context=client_context())
    with world.tls("strict", name="x.site.example") as wire:
        assert ask(wire, "/own", host="x.site.example").status == 200


def test_ten_thousand_names_open_no_file(world: World) -> None:
    """Look-ups are in memory: names that an attacker chooses cost no directory and no descriptor."""
    before = world.gateway.fds()
    for number in range(50):
        with pytest.raises(ssl.SSLError):
            world.tls("strict", name=f"n{number}.example", context=client_context())
    until(lambda: world.gateway.fds() <= before, "the descriptors of refused clients")


def test_hsts_is_told_on_every_answer_of_its_section(world: World) -> None:
    with world.tls() as wire:
        for target in ("/own", "/proxied"):
            assert ask(wire, target).get("Strict-Transport-Security") == "max-age=15552000; includeSubDomains"
    with world.tls(name="other.example") as wire:
        assert ask(wire, "/own", host="other.example").get("Strict-Transport-Security") is None


# Client certificates


CLAIM = ("X-Client-Cert-Subject: CN=admin", "X_Client_Cert_SAN: dns:admin", "X-Client-Cert-Fingerprint: 00")


def test_servers_are_told_who_showed_a_certificate_and_never_what_is_claimed(world: World) -> None:
    with world.tls(name="guarded.example", context=world.context(world.alice)) as wire:
        told = ask(wire, "/", *CLAIM, host="guarded.example").body.decode()
    assert "X-Client-Cert-Subject: CN=not-a-name.invalid\n" in told
    assert "X-Client-Cert-SAN: dns:alice.example.org\n" in told
    assert "admin" not in told
    with world.tls() as wire:
        assert "client" not in ask(wire, "/", *CLAIM).body.decode().lower()


def test_without_a_certificate_nobody_comes_in_where_one_is_required(world: World) -> None:
    with pytest.raises(ssl.SSLError, match="(?i)certificate.required"), world.tls(name="guarded.example") as wire:
        wire.send(request("GET", "/own", host="guarded.example"))
        read_answer(wire)


def test_a_route_asks_for_a_certificate(world: World) -> None:
    bob = world.authority.issue("bob.example.org", client=True)
    for issued, status in [(world.alice, 200), (bob, 403), (None, 403)]:
        with world.tls(name="open.example", context=world.context(issued)) as wire:
            assert ask(wire, "/alice", host="open.example").status == status
            assert ask(wire, "/own", host="open.example").status == 200


def test_a_session_of_an_open_name_does_not_open_a_guarded_one(world: World) -> None:
    context = world.context()
    with world.tls(name="other.example", context=context) as wire:
        ask(wire, "/own", host="other.example")
        session = wire.tls.session
    with world.tls(name="other.example", context=context, session=session) as wire:
        assert wire.tls.session_reused
        assert ask(wire, "/own", host="guarded.example").status == 421
    with pytest.raises(ssl.SSLError), world.tls(name="guarded.example", context=context, session=session) as wire:
        ask(wire, "/own", host="guarded.example")


def test_resumption_is_told_in_the_record(world: World) -> None:
    context = world.context()
    with world.tls(context=context) as wire:
        ask(wire, "/own")
        session, first = wire.tls.session, port(wire)
    with world.tls(context=context, session=session) as wire:
        ask(wire, "/own")
        second = port(wire)
    records = [record_of(world, first), record_of(world, second)]
    assert [record["tls_resumed"] for record in records] == [False, True]
    assert {(record["tls_version"], record["tls_name"]) for record in records} == {("TLSv1.3", "localhost")}


# Layer 4: by the hello


@pytest.mark.parametrize("listener", ["raw", "web"])
@pytest.mark.parametrize("name", ["passed.example", "deep.passed.example"])
def test_a_name_passes_through_to_the_servers_own_certificate(world: World, listener: str, name: str) -> None:
    with world.tls(listener, name) as wire:
        assert wire.until(b"\n") == b"ready\n"
        wire.send(b"hello")
        assert wire.exactly(11) == b"heard hello"


def test_a_hello_in_single_bytes_finds_its_route(world: World) -> None:
    into, out = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = world.context().wrap_bio(into, out, server_hostname="passed.example")
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    with world.gateway.connect("raw") as wire:
        wire.send_sliced(out.read())
        while True:
            into.write(wire.some())
            try:
                tls.do_handshake()
            except ssl.SSLWantReadError:
                continue
            break
    assert tls.version() == "TLSv1.3"


def test_a_protocol_finds_its_route(world: World) -> None:
    with world.tls("raw", "x.example", context=world.context(alpn=("smtp",))) as wire:
        assert wire.tls.selected_alpn_protocol() == "smtp"
        assert wire.until(b"\n") == b"ready\n"
    with pytest.raises(ssl.SSLError, match="(?i)unrecognized.name"):
        world.tls("raw", "x.example", context=world.context(alpn=("other",)))


def test_tls_ends_here_for_one_name_of_the_same_port(world: World) -> None:
    with world.tls("raw") as wire:
        assert ask(wire).status == 200


def test_who_speaks_no_tls_or_nothing_has_a_route(world: World) -> None:
    with world.gateway.connect("raw") as wire:
        assert ask(wire).status == 200
    with world.gateway.connect("raw") as wire:
        until(lambda: world.gateway.log is not None and _silent_for(wire, 1.2), "the deadline of the hello")
        assert ask(wire).status == 200, "it was tunnelled before it said anything"


def _silent_for(wire: Wire, seconds: float) -> bool:
    wire.expect_silence(seconds)
    return True


def test_records_of_layer_4_name_the_route(world: World) -> None:
    with world.tls("raw", "passed.example") as wire:
        wire.until(b"\n")
        number = port(wire)
    record = record_of(world, number)
    assert (record["route"], record["upstream"], record["tls_name"]) == ("passed", "secure", "passed.example")
    assert record["bytes_in"] > 200, "the hello that was read ahead is counted"
    assert "tls_version" not in record


# Towards servers


def test_a_server_sees_our_certificate_name_and_protocol_and_its_session_again(world: World) -> None:
    for _ in range(2):
        with world.gateway.connect("outwards") as wire:
            assert wire.until(b"\n") == b"ready\n"
            wire.send(b"x")
            assert wire.exactly(7) == b"heard x"
    sides = [visit.wire.tls for visit in world.mutual.wait_visits(2) if isinstance(visit.wire, TlsWire)]
    assert [side.session_reused for side in sides] == [False, True]
    for side in sides:
        assert ("DNS", "alice.example.org") in side.getpeercert()["subjectAltName"]  # type: ignore[index]
        assert side.selected_alpn_protocol() == "smtp"


# What breaks nothing


def test_tls_on_a_plain_port_is_a_bad_request(world: World) -> None:
    with world.gateway.connect("plain") as wire:
        wire.send(b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00")
        assert read_answer(wire).status == 400
        wire.expect_eof()


@pytest.mark.parametrize(
    "garbage", [b"\x16\x03\x01\xff\xff", b"\x16\x03\x01\x00\x05\x02\x00\x00\x01\x00", b"\x80\x2e\x01\x00"]
)
def test_garbage_on_a_tls_port_is_closed_and_recorded_once(world: World, garbage: bytes) -> None:
    with world.gateway.connect("web") as wire:
        wire.send(garbage)
        number = port(wire)
        wire.expect_gone()
    record = record_of(world, number)
    assert (record["cause"], record["closed_by"]) == ("tls_failed", "client")


def test_http_on_a_tls_port_is_told_so(world: World) -> None:
    with world.gateway.connect("web") as wire:
        found = ask(wire)
        assert (found.status, found.body) == (400, b"bad request: this port speaks TLS\n")


def test_garbage_behind_the_hello_ends_that_connection_alone(world: World) -> None:
    with world.tls() as good, world.gateway.connect("web") as bad:
        into, out = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = world.context().wrap_bio(into, out, server_hostname="localhost")
        with pytest.raises(ssl.SSLWantReadError):
            tls.do_handshake()
        bad.send(out.read())
        assert bad.some()
        bad.send(b"\x17\x03\x03\x00\x20" + b"x" * 32)
        bad.rest()
        assert ask(good, "/own").status == 200


def test_handshakes_under_way_have_a_cap_that_comes_free_again(world: World) -> None:
    into, out = ssl.MemoryBIO(), ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        client_context().wrap_bio(into, out, server_hostname="localhost").do_handshake()
    hello = out.read()
    with world.gateway.connect("strict") as first, world.gateway.connect("strict") as second:
        for wire in (first, second):
            wire.send(hello)
            assert wire.some()
        with world.gateway.connect("strict") as third:
            third.send(hello)
            third.expect_gone()
        first.expect_gone()
        second.expect_gone()
    with world.tls("strict") as wire:
        assert ask(wire, "/own").status == 200


# Renewal


def reload(gateway: Gateway, expected: str) -> None:
    seen = len(gateway.log)
    gateway.signal(signal.SIGHUP)
    until(lambda: expected in gateway.log[seen:], expected)


def serial(world: World) -> str:
    with world.tls() as wire:
        return str(wire.tls.getpeercert()["serialNumber"])  # type: ignore[index]


def test_a_renewed_certificate_is_served_and_nothing_open_is_touched(world: World) -> None:
    """And garbage, a wrong key or an expired certificate change nothing at all."""
    home = world.gateway.directory
    context = world.context()
    with world.tls(context=context) as kept:
        assert ask(kept, "/own").status == 200
        first, session = serial(world), kept.tls.session
        renewed = world.authority.issue(("localhost", "*.site.example"), days=20)
        shutil.copy(renewed.chain_path, home / "site.pem")
        shutil.copy(renewed.key_path, home / "site.key")
        reload(world.gateway, "reloaded: ")
        second = serial(world)
        assert second != first
        assert ask(kept, "/own").status == 200, "an open connection is no misdirected one"
        with world.tls(context=context, session=session) as wire:
            assert not wire.tls.session_reused, "the section has changed"
        expired = world.authority.issue(("localhost", "*.site.example"), expired=True)
        for certificate, key, why in [
            (b"garbage", renewed.key_path.read_bytes(), "expected certificates in PEM format"),
            (renewed.chain_path.read_bytes(), world.alice.key_path.read_bytes(), "belongs to no certificate"),
            (expired.chain_path.read_bytes(), expired.key_path.read_bytes(), "this certificate has expired"),
        ]:
            (home / "site.pem").write_bytes(certificate)
            (home / "site.key").write_bytes(key)
            reload(world.gateway, why)
            assert serial(world) == second
            assert ask(kept, "/own").status == 200
        shutil.copy(renewed.chain_path, home / "site.pem")
        shutil.copy(renewed.key_path, home / "site.key")


def test_days_left_are_told_at_the_start(world: World) -> None:
    assert "certificate site: for localhost, *.site.example, until " in world.gateway.log
    assert "certificate guarded: for guarded.example, until " in world.gateway.log


# Clients that nobody here wrote


def test_openssl_cannot_renegotiate(world: World) -> None:
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{world.gateway.ports['web']}", "-tls1_2"]
    found = subprocess.run(
        [*command, "-servername", "localhost"], input=b"R\n", capture_output=True, timeout=60, check=False
    )
    assert b"RENEGOTIATING" in found.stdout + found.stderr
    assert b"no renegotiation" in found.stdout + found.stderr


def test_curl_verifies_the_certificate(world: World) -> None:
    url = world.gateway.url("web", "/own", "https")
    found = subprocess.run(
        ["curl", "-sS", "--cacert", str(world.authority.ca_path), url], capture_output=True, timeout=60, check=True
    )
    assert found.stdout.strip() == b"own"
