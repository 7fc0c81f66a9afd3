"""What all tests of TLS share."""

from __future__ import annotations

import pytest

from tests.doubles.certificates import CertificateAuthority


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> CertificateAuthority:
    """One authority for the run."""
    return CertificateAuthority(tmp_path_factory.mktemp("ca"))
