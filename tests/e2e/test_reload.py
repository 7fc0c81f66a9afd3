"""A reload changes what is in the INI and nothing else, all of it or none."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import StartGateway
from tests.doubles import frames
from tests.doubles.certificates import CertificateAuthority
from tests.doubles.gateway import Gateway, running
from tests.doubles.http import read_answer, request
from tests.doubles.ports import free_port
from tests.doubles.raw import Wire
from tests.doubles.raw_tls import client_context, connect_tls
from tests.doubles.steering import command, edit, obeyed, order, page, status, wait_ready, workers
from tests.doubles.waiting import until
from tests.doubles.websocket_peers import WebSocketServer

INI = """
[gateway]
workers = {workers}
close_spread = 100ms
[listener web]
bind = 127.0.0.1:{web}
[route home]
path = = /
respond = 200 first
[route echo]
path = /echo
upstream = echo
ping_interval = off
[route other]
path = /other
upstream = other
[upstream echo]
servers = {echo}
[upstream other]
servers = {echo}
"""
OTHER = """[route other]
path = /other
upstream = other
"""


@pytest.fixture(params=[1, 2], ids=["alone", "workers"])
def gateway(request: pytest.FixtureRequest, start_gateway: StartGateway) -> Iterator[Gateway]:
    with WebSocketServer() as server:
        started = start_gateway(INI, workers=request.param, echo=server.address)
        wait_ready(started)
        yield started


@pytest.fixture(scope="module", params=[1, 2], ids=["alone", "workers"])
def one(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway that no test changes."""
    with running(INI, tmp_path_factory.mktemp("one"), workers=request.param, echo="127.0.0.1:1") as gateway:
        wait_ready(gateway)
        yield gateway


def open_at(gateway: Gateway, path: str) -> Wire:
    """A WebSocket through the gateway, proved by an echo."""
    wire = gateway.connect("web")
    frames.open_websocket(wire, path)
    wire.send(frames.text("before"))
    assert frames.read_frame(wire).payload == b"before"
    return wire


def test_the_next_request_of_a_kept_connection_has_the_new_routes(gateway: Gateway) -> None:
    with gateway.connect("web") as wire:
        wire.send(request("GET", "/"))
        assert read_answer(wire).body == b"first"
        edit(gateway, "200 first", "200 second")
        assert obeyed(gateway, "reload")["changed"] == ["[route home] changed: target"]
        wire.send(request("GET", "/"))
        assert read_answer(wire).body == b"second"


def test_a_websocket_of_a_removed_route_is_drained_and_no_other(gateway: Gateway) -> None:
    with open_at(gateway, "/echo") as stays, open_at(gateway, "/other") as goes:
        edit(gateway, OTHER, "")
        assert obeyed(gateway, "reload")["changed"] == ["[route other] removed"]
        close = frames.read_frame(goes)
        assert (close.opcode, close.close_code) == (frames.CLOSE, 1012)
        goes.send(frames.close(1012))
        goes.expect_eof()
        stays.send(frames.text("after"))
        assert frames.read_frame(stays).payload == b"after"
        assert gateway.records(1)[-1]["cause"] == "drained"


def test_what_was_removed_and_is_back_keeps_who_comes(gateway: Gateway) -> None:
    """Even while those before it are still being closed: who takes a reload back gets no storm of Closes."""
    with open_at(gateway, "/other") as goes:
        edit(gateway, OTHER, "")
        obeyed(gateway, "reload")
        assert frames.read_frame(goes).close_code == 1012
        edit(gateway, "[upstream echo]", OTHER + "[upstream echo]")
        assert obeyed(gateway, "reload")["changed"] == ["[route other] added"]
        with open_at(gateway, "/other") as stays:
            for text in ("x", "y") * 200:  # longer than a Close of its own would take
                stays.send(frames.text(text))
                assert frames.read_frame(stays).payload == text.encode()
            goes.send(frames.close(1012))
            goes.expect_eof()


def test_what_is_removed_can_be_kept(gateway: Gateway) -> None:
    edit(gateway, "close_spread", "removed = keep\nclose_spread")
    obeyed(gateway, "reload")
    with open_at(gateway, "/other") as wire:
        edit(gateway, OTHER, "")
        obeyed(gateway, "reload")
        wire.send(frames.text("after"))
        assert frames.read_frame(wire).payload == b"after"
        assert status(gateway, "/other") == 404


def test_a_removed_server_is_drained(gateway: Gateway) -> None:
    with WebSocketServer() as another, open_at(gateway, "/echo") as wire:
        text = (gateway.directory / "wsgate.ini").read_text()
        address = text.partition("[upstream echo]\nservers = ")[2].partition("\n")[0]
        edit(gateway, f"[upstream echo]\nservers = {address}", f"[upstream echo]\nservers = {another.address}")
        obeyed(gateway, "reload")
        assert frames.read_frame(wire).close_code == 1012
        with open_at(gateway, "/echo"):
            assert len(another.sessions) == 1


def test_a_wrong_ini_changes_nothing_and_is_told_with_file_and_line(gateway: Gateway) -> None:
    edit(gateway, "200 first", "200 second")
    edit(gateway, "upstream = other", "upstraem = other")
    before = obeyed(gateway, "status")["generation"]
    done = command(gateway, "reload")
    assert done.returncode == 1
    assert "wsgate.ini:" in done.stderr and "did you mean upstream" in done.stderr
    assert page(gateway) == "first"
    assert obeyed(gateway, "status")["generation"] == before
    assert obeyed(gateway, "status")["failed_reloads"] == 1


def test_a_port_in_use_changes_nothing_at_all(gateway: Gateway) -> None:
    port, free = free_port(), free_port()
    with socket.create_server(("127.0.0.1", port)):
        edit(gateway, "200 first", "200 second")
        edit(gateway, "[route home]", f"[listener more]\nbind = 127.0.0.1:{free}, 127.0.0.1:{port}\n[route home]")
        answer = order(gateway, "reload")
        assert not answer["ok"] and f"127.0.0.1:{port}" in answer["error"]
        assert page(gateway) == "first"
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", free))


@pytest.mark.parametrize(
    ("kind", "section", "line"),
    [
        ("an address that is not ours", "[listener more]", "bind = 192.0.2.1:80"),
        ("a name that is none", "[upstream more]", "servers = nowhere.invalid:80"),
        ("a factory that is not there", "[upstream more]", "servers = python:nowhere:factory"),
        ("more connections than descriptors", "[gateway]", "max_connections = 1000000000"),
        ("another state_dir", "[gateway]", "state_dir = {dir}/elsewhere"),
        ("a log that cannot be written", "[gateway]", "access_log = {dir}/nowhere/access.log"),
        ("a hook that is not there", "[route home]", "on_message = nowhere:function"),
    ],
)
def test_what_cannot_be_put_to_work_is_told_with_its_line(one: Gateway, kind: str, section: str, line: str) -> None:
    path = one.directory / "wsgate.ini"
    before = path.read_text()
    line = line.format(dir=one.directory)
    option = line.partition(" =")[0]
    kept = [text for text in before.splitlines() if section != "[gateway]" or not text.startswith(f"{option} =")]
    if section not in kept:
        kept.insert(0, section)
    kept.insert(kept.index(section) + 1, line)
    path.write_text("\n".join(kept) + "\n")
    try:
        error = str(order(one, "reload")["error"])
        assert f"{path}:{kept.index(line) + 1}: {section} {option}" in error, (kind, error)
        assert page(one) == "first"
    finally:
        path.write_text(before)


def test_addresses_come_and_go(gateway: Gateway) -> None:
    port = free_port()
    gateway.ports["more"] = port
    edit(gateway, "[route home]", f"[listener more]\nbind = 127.0.0.1:{port}\n[route home]")
    obeyed(gateway, "reload")
    assert page(gateway, "more") == "first"
    edit(gateway, f"[listener more]\nbind = 127.0.0.1:{port}\n", "")
    obeyed(gateway, "reload")
    with pytest.raises(ConnectionRefusedError):
        gateway.connect("more")


def test_an_address_keeps_its_socket_when_its_listener_is_renamed(gateway: Gateway) -> None:
    edit(gateway, "[listener web]", "[listener renamed]")
    obeyed(gateway, "reload")
    assert page(gateway) == "first"


def test_a_burst_of_signals_is_few_reloads_and_the_last_one_wins(gateway: Gateway) -> None:
    before = obeyed(gateway, "status")["generation"]
    for number in range(50):
        edit(gateway, "200 first" if number == 0 else f"200 n{number - 1}.", f"200 n{number}.")
        gateway.signal(signal.SIGHUP)
    until(lambda: page(gateway) == "n49.", "the last configuration")
    assert obeyed(gateway, "status")["generation"] - before < 50


def test_places_at_servers_are_kept(gateway: Gateway) -> None:
    text = (gateway.directory / "wsgate.ini").read_text()
    address = text.partition("[upstream echo]\nservers = ")[2].partition("\n")[0]
    edit(gateway, f"[upstream echo]\nservers = {address}", f"[upstream echo]\nservers = {address} max_conns=1")
    obeyed(gateway, "reload")
    with open_at(gateway, "/echo") as wire:
        edit(gateway, "200 first", "200 second")
        obeyed(gateway, "reload")
        with gateway.connect("web") as second:
            second.send(frames.upgrade_request("/echo"))
            assert read_answer(second).status == 503
        wire.close()
    until(lambda: not sum(worker["relayed"] for worker in workers(gateway)), "the place to be free")
    with open_at(gateway, "/echo"):
        assert sum(worker["relayed"] for worker in workers(gateway)) == 1


def test_files_are_watched_where_that_is_wanted(gateway: Gateway) -> None:
    edit(gateway, "close_spread", "watch = 100ms\nclose_spread")
    obeyed(gateway, "reload")
    until(lambda: obeyed(gateway, "status")["generation"] == 2)
    # The first look only remembers what it saw, so that edits go on until one is seen after it.
    before = page(gateway)

    def seen() -> bool:
        nonlocal before
        edit(gateway, f"200 {before}", f"200 {before}+")
        before += "+"
        try:
            until(lambda: page(gateway) == before, timeout=2.0)
        except AssertionError:
            return False
        return True

    until(seen, "a reload by itself", timeout=60.0)


def test_what_a_reload_cannot_do_is_refused_with_the_reason(gateway: Gateway) -> None:
    text = (gateway.directory / "wsgate.ini").read_text()
    now = text.partition("workers = ")[2].partition("\n")[0]
    edit(gateway, f"workers = {now}", f"workers = {3 - int(now)}")
    answer = order(gateway, "reload")
    assert not answer["ok"] and "wsgate upgrade" in answer["error"]


TLS = """
[gateway]
workers = {workers}
[listener secure]
bind = 127.0.0.1:{secure}
tls = site
[tls site]
certificate = {dir}/site.pem
key = {dir}/site.key
[route home]
path = /
respond = 200 home
"""


def put_certificate(authority: CertificateAuthority, directory: Path, *names: str) -> None:
    issued = authority.issue(names)
    for source, target in ((issued.chain_path, "site.pem"), (issued.key_path, "site.key")):
        (directory / target).write_bytes(source.read_bytes())
        os.chmod(directory / target, 0o600)


@pytest.mark.parametrize("count", [1, 2])
def test_a_bad_certificate_is_refused_and_the_old_one_goes_on(
    start_gateway: StartGateway, tmp_path: Path, count: int
) -> None:
    directory = tmp_path / "gateway0"
    directory.mkdir()
    authority = CertificateAuthority(tmp_path)
    put_certificate(authority, directory, "localhost")
    gateway = start_gateway(TLS, workers=count)
    wait_ready(gateway)
    trust = client_context(str(authority.ca_path))
    with connect_tls(gateway.where("secure"), trust, server_name="localhost") as kept:
        kept.send(request("GET", "/"))
        assert read_answer(kept).status == 200
        (directory / "site.pem").write_text("garbage")
        done = command(gateway, "reload")
        assert done.returncode == 1 and "site.pem" in done.stderr
        with connect_tls(gateway.where("secure"), trust, server_name="localhost") as wire:
            wire.send(request("GET", "/"))
            assert read_answer(wire).status == 200
        put_certificate(authority, directory, "localhost", "other.example")
        assert any("new bytes" in line for line in obeyed(gateway, "reload")["changed"])
        with connect_tls(gateway.where("secure"), trust, server_name="other.example") as wire:
            wire.send(request("GET", "/", host="other.example"))
            assert read_answer(wire).status == 200
        kept.send(request("GET", "/"))
        assert read_answer(kept).status == 200, "a kept connection goes on under its old certificate"
