"""Every module of a pure room has a test module of its own, where its path leads one to look."""

from __future__ import annotations

from tests.repo.test_imports import IMPURE_MODULES, PURE
from tests.repo.tree import ROOT, modules

# Modules that hold no rule of their own.
WITHOUT = {
    "wsgate.config.model": "frozen values; the tests of config.build and config.check read them",
}


def test_every_pure_module_has_its_test_module() -> None:
    missing = []
    for name, path in modules().items():
        parts = name.split(".")
        if len(parts) < 3 or parts[1] not in PURE or path.name == "__init__.py" or name in WITHOUT:
            continue
        test = ROOT / "tests" / parts[1] / f"test_{'_'.join(parts[2:])}.py"
        if not test.is_file():
            missing.append(f"{name}: {test.relative_to(ROOT)}")
    assert not missing, "no test module for\n" + "\n".join(missing)


def test_the_exceptions_still_exist() -> None:
    gone = [name for name in WITHOUT if name not in modules()]
    assert not gone, gone
    assert set(IMPURE_MODULES) & set(modules()), "no module of these is left"
