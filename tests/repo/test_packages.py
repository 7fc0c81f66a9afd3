"""setup.cfg lists the packages by name; this is what keeps the list true."""

from __future__ import annotations

from configparser import ConfigParser

from tests.repo.tree import ROOT, files, modules


def _setup() -> ConfigParser:
    parser = ConfigParser()
    parser.read(ROOT / "setup.cfg")
    return parser


def test_the_list_of_packages_is_the_tree() -> None:
    listed = _setup()["options"]["packages"].split()
    folders = {path.parent.relative_to(ROOT).parts for path in modules().values()}
    in_tree = {".".join(parts) for parts in folders} | {"twisted.plugins"}
    assert listed == sorted(in_tree)


def test_every_package_but_the_plugins_has_its_init_file() -> None:
    bare = [path.parent for path in modules().values() if not (path.parent / "__init__.py").is_file()]
    assert not bare, sorted({str(folder.relative_to(ROOT)) for folder in bare})
    assert not list((ROOT / "twisted").rglob("__init__.py")), "twisted/ is merged with Twisted's own only without one"


def test_samples_and_page_are_shipped() -> None:
    """Every file below etc/ and www/ is matched by a line of ``[options.data_files]``."""
    shipped = {
        path
        for patterns in _setup()["options.data_files"].values()
        for pattern in patterns.split()
        for path in ROOT.glob(pattern)
    }
    wanted = {path for path in files() if path.relative_to(ROOT).parts[0] in ("etc", "www")}
    assert wanted <= shipped, sorted(str(path.relative_to(ROOT)) for path in wanted - shipped)


def test_the_types_are_shipped() -> None:
    assert (ROOT / "wsgate" / "py.typed").is_file()
    assert "py.typed" in _setup()["options.package_data"]["wsgate"]
