"""The gateway that the raw suites share, started when the first of them asks for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.doubles.certificates import CertificateAuthority
from tests.doubles.gateway import running
from tests.doubles.ports import free_port
from tests.doubles.raw_tls import server_context
from tests.doubles.websocket_peers import WebSocketServer
from tests.e2e.shared_site import CALM, HASTY, INI, POOL, POOLS, Backend, Site, talks

Shared = tuple[Site, dict[str, Backend], WebSocketServer]


def write_files(root: Path) -> None:
    """The static site, with a secret beside it."""
    root.mkdir()
    (root / "index.html").write_text("<p>home</p>")
    (root / "page.html").write_text("<p>page</p>")
    (root / "digits.txt").write_text("0123456789")
    (root / ".hidden").write_text("hidden")
    (root / "big.bin").write_bytes(bytes(range(256)) * 16_384)
    (root / "folder").mkdir()
    (root / "folder" / "inner.txt").write_text("inner")
    (root.parent / "secret.txt").write_text("secret")
    (root / "link.txt").symlink_to(root.parent / "secret.txt")


@pytest.fixture(scope="session")
def shared_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shared]:
    """The gateway and its servers, once for all suites."""
    directory = tmp_path_factory.mktemp("site")
    write_files(directory / "files")
    authority = CertificateAuthority(directory / "ca")
    certificate, other = authority.issue("localhost"), authority.issue("other.example")
    paths = str(certificate.chain_path), str(certificate.key_path)
    with ExitStack() as stack:
        backends = {
            "app": stack.enter_context(Backend()),
            "mute": stack.enter_context(Backend()),
            "verified": stack.enter_context(Backend(tls=server_context(*paths))),
        }
        library = stack.enter_context(WebSocketServer(talks))
        pools = "".join(POOL.format(n=n, address=backends["app"].address) for n in range(POOLS))
        gateway = stack.enter_context(
            running(
                INI + pools,
                directory / "gateway",
                hasty_timeout=f"{1000 * HASTY:.0f}ms",
                calm_timeout=f"{1000 * CALM:.0f}ms",
                long="long " * 4000,
                files=directory / "files",
                chain=paths[0],
                key=paths[1],
                other_chain=other.chain_path,
                other_key=other.key_path,
                ca=authority.ca_path,
                closed=free_port(),
                app=backends["app"].address,
                library=library.address,
                mute=backends["mute"].address,
                verified=backends["verified"].address,
            )
        )
        site = Site(gateway, authority.ca_path, directory / "files")
        yield site, backends, library
        site.check_claims()


@pytest.fixture
def site(shared_site: Shared) -> Iterator[Site]:
    """The shared gateway; what a test has connected is closed at its end."""
    site = shared_site[0]
    yield site
    site.end_test()


def _lent(backend: Backend) -> Iterator[Backend]:
    backend.begin()
    yield backend
    backend.finish()


@pytest.fixture
def app(shared_site: Shared) -> Iterator[Backend]:
    """The server behind most routes."""
    yield from _lent(shared_site[1]["app"])


@pytest.fixture
def verified(shared_site: Shared) -> Iterator[Backend]:
    """The server that is spoken to through TLS."""
    yield from _lent(shared_site[1]["verified"])


@pytest.fixture
def mute(shared_site: Shared) -> Iterator[Backend]:
    """A server without TLS behind a route that speaks TLS to it."""
    yield from _lent(shared_site[1]["mute"])


@pytest.fixture
def library(shared_site: Shared) -> WebSocketServer:
    """A WebSocket server that nobody here wrote."""
    return shared_site[2]
