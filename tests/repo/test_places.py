"""Nothing in the tree depends on the machine where it was written."""

from __future__ import annotations

import re

from tests.repo.tree import ROOT, files

# Written apart, so that this file is no finding of its own.
_FOLDERS = re.compile(r"(?<![\w.~-])/(?:wor" r"k|tm" r"p|roo" r"t|home/\w+)/[\w.]")
_HOSTS = re.compile(r"pyp" r"i\.org|pythonhosted" r"\.org|deb\.debia" r"n\.org|registry\.npm" r"js\.org", re.IGNORECASE)


def _findings(pattern: re.Pattern[str]) -> list[str]:
    found = []
    for path in files():
        try:
            text = path.read_text()
        except UnicodeDecodeError:  # a picture, a key, a corpus of bytes
            continue
        found += [
            f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}"
            for number, line in enumerate(text.splitlines(), 1)
            if pattern.search(line)
        ]
    return found


def test_no_file_names_a_folder_of_one_machine() -> None:
    found = _findings(_FOLDERS)
    assert not found, "\n".join(found)


def test_no_file_names_a_package_registry() -> None:
    found = _findings(_HOSTS)
    assert not found, "\n".join(found)
