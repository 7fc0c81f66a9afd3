"""One certificate from an authority: account, order, answers, certificate.  Everything here blocks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

from acme import challenges, errors, messages
from acme.client import ClientNetwork, ClientV2
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from josepy.errors import Error as JoseError
from josepy.jwa import ES256
from josepy.jwk import JWK, JWKEC
from josepy.util import ComparableECKey

from wsgate.acme.places import AcmePlaces
from wsgate.config.model import TlsOptions
from wsgate.errors import WsgateError

#: Seconds for one request, and for an order from its answers to its certificate.
REQUEST = 30
ORDER = 120

# id-pe-acmeIdentifier, with the digest of the key authorization (RFC 8737 section 3).
_ACME_IDENTIFIER = x509.ObjectIdentifier("1.3.6.1.5.5.7.1.31")


class AcmeError(WsgateError):
    """The authority gave no certificate; the text says why."""


@challenges.ChallengeResponse.register
class TlsAlpnResponse(challenges.KeyAuthorizationChallengeResponse):
    """Tells the authority that the answer to a tls-alpn-01 challenge is in place."""

    typ = "tls-alpn-01"


@challenges.Challenge.register
class TlsAlpn(challenges.KeyAuthorizationChallenge):
    """A tls-alpn-01 challenge (RFC 8737), which the acme package no longer has."""

    typ = "tls-alpn-01"
    response_cls = TlsAlpnResponse

    def validation(self, account_key: JWK, **_kwargs: Any) -> bytes:
        """The digest that goes into the certificate of the answer."""
        return sha256(self.key_authorization(account_key).encode()).digest()


class AcmeClient:
    """The account at the directory of one section."""

    def __init__(self, options: TlsOptions, places: AcmePlaces, now: Callable[[], datetime]) -> None:
        """Find or make the account; ``now`` is aware of its time zone.  Raises ``AcmeError``."""
        self._options = options
        self._now = now
        self._places = places
        places.make()
        known = places.read_json(places.account).get(options.acme_directory, {})
        self._key = JWK.from_json(known["key"]) if known else _new_account_key()
        net = ClientNetwork(self._key, alg=ES256, user_agent="wsgate", timeout=REQUEST)
        if options.acme_ca is not None:
            net.session.verify = str(options.acme_ca)
            net.verify_ssl = str(options.acme_ca)  # type: ignore[assignment]
        with _told():
            directory = ClientV2.get_directory(options.acme_directory, net)
            self._client = ClientV2(directory, net)
            uri = known.get("uri", "") or self._register()
            net.account = messages.RegistrationResource(uri=uri, body=messages.Registration())
        self._remember(uri)

    def _register(self) -> str:
        wanted = messages.NewRegistration.from_data(
            email=self._options.acme_email or None, terms_of_service_agreed=True
        )
        try:
            return str(self._client.new_account(wanted).uri)
        except errors.ConflictError as known:
            return str(known.location)

    def _remember(self, uri: str) -> None:
        accounts = self._places.read_json(self._places.account)
        accounts[self._options.acme_directory] = {"uri": uri, "key": self._key.to_json()}
        self._places.write_json(self._places.account, accounts)

    def obtain(self) -> bytes:
        """Key and chain in PEM, one behind the other.  Raises ``AcmeError``."""
        key = ec.generate_private_key(ec.SECP256R1())
        answers: list[Path] = []
        with _told():
            order = self._client.new_order(_request(key, self._options.names))
            try:
                for authorization in order.authorizations:
                    if authorization.body.status is not messages.STATUS_VALID:
                        answers.append(self._answer(authorization))
                # Local and without a zone: acme compares it so.
                deadline = (self._now() + timedelta(seconds=ORDER)).astimezone().replace(tzinfo=None)
                order = self._client.poll_and_finalize(order, deadline)
            finally:
                for path in answers:
                    with suppress(OSError):
                        path.unlink()
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return private + order.fullchain_pem.encode()

    def suggested(self, chain: bytes) -> datetime | None:
        """When the authority would like the certificate to be renewed; None where it does not say."""
        with suppress(errors.Error, OSError, ValueError):
            moment, _ = self._client.renewal_time(chain)
            return moment.astimezone(UTC) if moment is not None else None
        return None

    def _answer(self, authorization: messages.AuthorizationResource) -> Path:
        """Put the answer in place, where all workers see it; then tell the authority."""
        wanted = self._options.acme_challenge
        for body in authorization.body.challenges:
            if body.chall.typ == wanted:
                response, validation = body.chall.response_and_validation(self._key)
                name = authorization.body.identifier.value
                if wanted == "http-01":
                    path = self._places.token(body.chall.encode("token"))
                    self._places.write(path, validation.encode())
                else:
                    path = self._places.name(name)
                    self._places.write(path, alpn_certificate(name, validation, self._now()))
                self._client.answer_challenge(body, response)
                return path
        offered = ", ".join(body.chall.typ for body in authorization.body.challenges)
        raise AcmeError(f"the authority does not offer {wanted}, but {offered}: set acme_challenge")


def alpn_certificate(name: str, digest: bytes, now: datetime) -> bytes:
    """Key and self-signed certificate that answer tls-alpn-01 for ``name`` (RFC 8737 section 3)."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "acme-tls/1")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.UnrecognizedExtension(_ACME_IDENTIFIER, b"\x04\x20" + digest), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return private + certificate.public_bytes(Encoding.PEM)


def _new_account_key() -> JWK:
    return JWKEC(key=ComparableECKey(ec.generate_private_key(ec.SECP256R1())))


def _request(key: ec.EllipticCurvePrivateKey, names: tuple[str, ...]) -> bytes:
    """A certificate signing request for host names."""
    listed = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).add_extension(listed, critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)


@contextmanager
def _told() -> Iterator[None]:
    """Errors of the protocol, of the network and of broken answers as one sentence."""
    try:
        yield
    except errors.ValidationError as error:
        failed = [
            f"{authorization.body.identifier.value}: {body.error.detail if body.error else 'no reason given'}"
            for authorization in error.failed_authzrs
            for body in authorization.body.challenges
            if body.status is messages.STATUS_INVALID
        ]
        raise AcmeError(f"the authority could not verify {'; '.join(failed)}") from error
    except (errors.Error, messages.Error, JoseError, OSError, ValueError) as error:
        raise AcmeError(f"{type(error).__name__}: {error}") from error
