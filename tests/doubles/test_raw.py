"""The raw connection tells the ends of a stream apart, plain and under TLS."""

from __future__ import annotations

import ssl
import subprocess
from pathlib import Path

import pytest

from tests.doubles.peers import ScriptedServer
from tests.doubles.raw import EndOfStream, connect
from tests.doubles.raw_tls import CutOff, TlsWire, client_context, connect_tls, server_context
from tests.doubles.scripts import answers, echoes, floods, half_closes, in_turn, resets, sends, sends_sliced, waits_for


def test_reads_up_to_a_marker_and_keeps_the_rest() -> None:
    with ScriptedServer(sends_sliced(b"head\r\n\r\nbody")) as server, connect(server.where) as wire:
        assert wire.until(b"\r\n\r\n") == b"head\r\n\r\n"
        assert wire.exactly(2) == b"bo"
        assert wire.rest() == b"dy"
        assert wire.total == 12


def test_an_early_end_is_told_with_what_came() -> None:
    with (
        ScriptedServer(sends(b"abc")) as server,
        connect(server.where) as wire,
        pytest.raises(EndOfStream, match="abc"),
    ):
        wire.exactly(4)


def test_a_reset_is_no_end() -> None:
    script = in_turn(waits_for(b"!"), resets)
    with ScriptedServer(script) as server, connect(server.where) as wire:
        wire.send(b"!")
        wire.expect_reset()
    with ScriptedServer(sends(b"")) as server, connect(server.where) as wire:
        wire.expect_eof()


def test_a_reset_reaches_the_peer_while_another_thread_reads() -> None:
    with ScriptedServer(echoes) as server, connect(server.where) as wire:
        wire.send(b"x")
        assert wire.exactly(1) == b"x"
        server.visits[0].wire.reset()
        wire.expect_reset()


def test_half_close_leaves_the_other_direction() -> None:
    with ScriptedServer(answers(b"late", marker=b"ask")) as server, connect(server.where) as wire:
        wire.send(b"ask")
        wire.half_close()
        assert wire.rest() == b"late"


def test_silence_is_a_fact_too() -> None:
    with ScriptedServer(echoes) as server, connect(server.where) as wire:
        wire.expect_silence(0.05)
        wire.send(b"x")
        with pytest.raises(AssertionError, match="expected silence"):
            wire.expect_silence(5)


def test_a_small_window_stops_the_sender() -> None:
    with ScriptedServer(floods(64 * 2**20), timeout=0.3) as server:
        with connect(server.where, receive_buffer=4096):
            visit = server.wait_visits()[0].wait_over()
        assert isinstance(visit.failure, TimeoutError)


@pytest.fixture(name="pair")
def _pair(tmp_path: Path) -> tuple[str, str]:
    chain, key = str(tmp_path / "chain.pem"), str(tmp_path / "key.pem")
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost"
    names = ["-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", chain]
    subprocess.run([*command.split(), *names], check=True, capture_output=True)
    return chain, key


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_tls_carries_bytes_and_ends_with_close_notify(pair: tuple[str, str], version: ssl.TLSVersion) -> None:
    context = client_context(pair[0], version=version, alpn=("http/1.1",))
    with ScriptedServer(echoes, tls=server_context(*pair, alpn=("http/1.1",))) as server:
        with connect_tls(server.where, context) as wire:
            assert wire.tls.selected_alpn_protocol() == "http/1.1"
            wire.send(b"hello")
            assert wire.exactly(5) == b"hello"
            wire.half_close()
            wire.expect_eof()


def test_a_tls_stream_goes_on_behind_a_half_close(pair: tuple[str, str]) -> None:
    with ScriptedServer(in_turn(sends(b"first"), half_closes), tls=server_context(*pair)) as server:
        with connect_tls(server.where, client_context(pair[0])) as wire:
            assert wire.rest() == b"first"
            wire.send(b"still heard")
            wire.half_close()
            visit = server.visits[0].wait_over()
        assert visit.failure is None
        assert visit.wire.total == len(b"still heard")


def test_a_cut_tls_stream_is_a_loss(pair: tuple[str, str]) -> None:
    with ScriptedServer(echoes, tls=server_context(*pair)) as server:
        with connect_tls(server.where) as wire:
            wire.cut()
            visit = server.wait_visits()[0].wait_over()
        assert isinstance(visit.failure, CutOff)
        assert isinstance(visit.wire, TlsWire)


def test_an_unknown_authority_is_refused(pair: tuple[str, str]) -> None:
    with ScriptedServer(echoes, tls=server_context(*pair)) as server, pytest.raises(ssl.SSLCertVerificationError):
        context = client_context()
        context.verify_mode = ssl.CERT_REQUIRED
        connect_tls(server.where, context)
