"""A log that two processes have open keeps the lines of both."""

from __future__ import annotations

from pathlib import Path

from wsgate.control.log_sharing import append_only


def test_neither_writes_over_what_the_other_wrote(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.touch()
    with path.open("rb+", 0) as one, path.open("rb+", 0) as two, (tmp_path / "other").open("wb", 0) as other:
        append_only(path)
        for word in (b"1", b"2", b"3"):
            one.write(word)
            two.write(word)
        other.write(b"other")
        other.seek(0)
        other.write(b"O")
    assert path.read_bytes() == b"112233"
    assert (tmp_path / "other").read_bytes() == b"Other"


def test_where_there_is_no_log_there_is_nothing_to_do(tmp_path: Path) -> None:
    append_only(None)
    append_only(tmp_path / "nothing")
    assert not (tmp_path / "nothing").exists()
