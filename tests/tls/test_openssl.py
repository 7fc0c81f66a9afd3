"""The private names of pyOpenSSL are where they are looked for."""

from __future__ import annotations

import cryptography
import OpenSSL
import pytest
from OpenSSL import SSL
from OpenSSL._util import lib

from tests.doubles.certificates import CertificateAuthority
from tests.tls.handshakes import OpenSslEnd, openssl_client, shake
from wsgate.tls.openssl import session_reused, set_groups


def server(authority: CertificateAuthority) -> SSL.Context:
    issued = authority.issue("localhost")
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.use_certificate_file(str(issued.cert_path))
    context.use_privatekey_file(str(issued.key_path))
    return context


@pytest.mark.parametrize(("group", "negotiated"), [("X25519", "x25519"), ("secp384r1", "secp384r1")])
def test_groups_are_the_only_ones_used(authority: CertificateAuthority, group: str, negotiated: str) -> None:
    context = server(authority)
    set_groups(context, [group])
    connection = SSL.Connection(context, None)
    connection.set_accept_state()
    client = openssl_client()
    assert shake(client, OpenSslEnd(connection)).done
    name = client.connection.get_group_name()
    assert name is not None
    assert name.lower() == negotiated


def test_an_unknown_group_is_an_error_and_leaves_no_error_behind() -> None:
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    with pytest.raises(SSL.Error, match="secp384r1, no-such-group"):
        set_groups(context, ["secp384r1", "no-such-group"])
    assert lib.ERR_peek_error() == 0


def test_a_first_handshake_resumes_nothing(authority: CertificateAuthority) -> None:
    connection = SSL.Connection(server(authority), None)
    connection.set_accept_state()
    client = openssl_client()
    assert shake(client, OpenSslEnd(connection)).done
    assert not session_reused(connection)
    assert not session_reused(client.connection)


def test_the_libraries_are_newer_than_their_known_holes() -> None:
    """OpenSSL CVE-2025-66199 (certificate compression), pyOpenSSL CVE-2026-27448 and -40475, cryptography -69247."""
    assert lib.OpenSSL_version_num() >= 0x30606000
    assert tuple(map(int, OpenSSL.__version__.split(".")[:2])) >= (26, 4)
    assert tuple(map(int, cryptography.__version__.split(".")[:3])) >= (50, 0, 2)
