"""``python -m wsgate``: the same as the command ``wsgate``."""

from __future__ import annotations

from wsgate.cli import main

if __name__ == "__main__":
    main(prog_name="wsgate")
