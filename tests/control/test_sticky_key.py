"""The key of sticky cookies is made once and kept."""

from __future__ import annotations

import stat
import threading
from pathlib import Path

import pytest

from wsgate.control.sticky_key import SIZE, StickyKeyError, sticky_key


def test_it_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    state = tmp_path / "state"
    key = sticky_key(state)
    assert len(key) == SIZE
    assert sticky_key(state) == key
    assert [path.name for path in state.iterdir()] == ["sticky.key"]
    assert stat.S_IMODE((state / "sticky.key").stat().st_mode) == 0o600


def test_processes_that_make_it_together_get_the_same(tmp_path: Path) -> None:
    keys: list[bytes] = []
    threads = [threading.Thread(target=lambda: keys.append(sticky_key(tmp_path))) for _ in range(4)]
    for thread in threads:
        thread.start()
        thread.join()
    assert len(set(keys)) == 1


def test_a_cut_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "sticky.key").write_bytes(b"short")
    with pytest.raises(StickyKeyError, match="has 5 bytes"):
        sticky_key(tmp_path)


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StickyKeyError, match="cannot be kept"):
        sticky_key(tmp_path / "file" / "state")
