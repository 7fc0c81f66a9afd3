"""However wsgate is installed, twistd shows the plugin and the samples are where the wheel says."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.repo.tree import ROOT, files

TWISTD = "import sys; from twisted.scripts.twistd import run; sys.argv[0] = 'twistd'; run()"
BACKEND = "import sys; from setuptools import build_meta as b; print(getattr(b, sys.argv[1])(sys.argv[2]))"


def _run(command: list[str], directory: Path) -> str:
    """What a command prints; its whole output where it fails.  Nothing of this environment's paths reaches it."""
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(command, cwd=directory, env=kept, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(name="source", scope="module")
def _source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project as a checkout has it: builds leave files beside their source."""
    copy = tmp_path_factory.mktemp("source")
    for path in files():
        target = copy / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, target)
    return copy


@pytest.fixture(name="sdist", scope="module")
def _sdist(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    built = tmp_path_factory.mktemp("sdist")
    return built / _run([sys.executable, "-c", BACKEND, "build_sdist", str(built)], source).split()[-1]


@pytest.fixture(name="wheel", scope="module")
def _wheel(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel that is built from the sdist, as an index would have it done."""
    built = tmp_path_factory.mktemp("wheel")
    with tarfile.open(sdist) as archive:
        archive.extractall(built, filter="data")
    source = next(path for path in built.iterdir() if path.is_dir())
    return built / _run([sys.executable, "-c", BACKEND, "build_wheel", str(built)], source).split()[-1]


class Environment:
    """A virtual environment that sees what is installed beside the tests, without wsgate itself."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        _run([sys.executable, "-m", "venv", "--without-pip", str(directory)], directory.parent)
        self.python = str(directory / "bin" / "python")
        packages = directory / "lib" / f"python{sysconfig.get_python_version()}" / "site-packages"
        # A path entry, for which the .pth files in it count for nothing: an editable wsgate there stays out of sight.
        (packages / "beside.pth").write_text(sysconfig.get_path("purelib") + "\n")

    def install(self, *what: str) -> None:
        options = ["--no-index", "--no-deps", "--no-build-isolation", "--ignore-installed", "--no-compile", "--quiet"]
        pip = [sys.executable, "-m", "pip", "--python", self.python, "--disable-pip-version-check"]
        _run([*pip, "install", *options, *what], self.directory)

    def shows_the_plugin(self) -> None:
        """``twistd --help`` lists wsgate, ``twistd wsgate --help`` and ``wsgate --version`` answer."""
        assert "\n    wsgate " in _run([self.python, "-c", TWISTD, "--help"], self.directory)
        assert "--config" in _run([self.python, "-c", TWISTD, "wsgate", "--help"], self.directory)
        assert "wsgate" in _run([str(self.directory / "bin" / "wsgate"), "--version"], self.directory)

    def package(self) -> Path:
        """Where ``import wsgate`` finds the package."""
        return Path(_run([self.python, "-c", "import wsgate; print(wsgate.__file__)"], self.directory).strip()).parent


@pytest.fixture(name="environment")
def _environment(tmp_path: Path) -> Environment:
    return Environment(tmp_path / "venv")


def test_an_install_from_the_source(environment: Environment, source: Path) -> None:
    environment.install(str(source))
    environment.shows_the_plugin()
    assert environment.directory in environment.package().parents


def test_an_editable_install(environment: Environment, source: Path) -> None:
    environment.install("--editable", str(source))
    environment.shows_the_plugin()
    assert environment.package() == source / "wsgate"


def test_a_wheel(environment: Environment, wheel: Path) -> None:
    environment.install(str(wheel))
    environment.shows_the_plugin()
    package = environment.package()
    assert environment.directory in package.parents
    assert (package / "py.typed").is_file()
    shared = environment.directory / "share" / "wsgate"
    assert (shared / "etc" / "wsgate.ini").is_file()
    assert (shared / "www" / "index.html").is_file()


def test_the_wheel_holds_the_packages_and_nothing_of_the_tests(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    tops = {name.split("/")[0] for name in names}
    assert {"wsgate", "twisted"} == {top for top in tops if not top.startswith("wsgate-")}
    assert [name for name in names if name.startswith("twisted/")] == ["twisted/plugins/wsgate_plugin.py"]


def test_the_sdist_holds_what_the_tests_need(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    wanted = {str(path.relative_to(ROOT)) for path in files() if path.relative_to(ROOT).parts[0] in ("etc", "www")}
    wanted |= {"Makefile", "README.rst", "CHANGES.rst", "LICENSE", "requirements/lock.txt", "tests/conftest.py"}
    assert wanted <= names, sorted(wanted - names)
