"""Files that others read while they are written."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from wsgate.tls.files import put_in_place


@pytest.mark.parametrize("mode", [0o600, 0o644])
def test_a_file_is_replaced_with_its_permissions_and_no_draft_stays(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "key.pem"
    path.write_bytes(b"old, and longer than the new one")
    path.chmod(0o666)
    put_in_place(path, b"new", mode)
    assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (b"new", mode)
    assert list(tmp_path.iterdir()) == [path]


def test_what_fails_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "gone" / "key.pem"
    with pytest.raises(OSError, match="No such file"):
        put_in_place(path, b"new", 0o600)
    assert not path.exists()


def test_a_link_in_the_place_is_replaced_not_followed(tmp_path: Path) -> None:
    victim, path = tmp_path / "victim", tmp_path / "key.pem"
    victim.write_bytes(b"untouched")
    path.symlink_to(victim)
    put_in_place(path, b"new", 0o600)
    assert (victim.read_bytes(), path.read_bytes(), path.is_symlink()) == (b"untouched", b"new", False)
