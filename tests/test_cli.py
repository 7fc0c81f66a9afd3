"""The command ``wsgate``: problems and exit codes, in this process and as a program."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import wsgate
from tests.doubles.certificates import CertificateAuthority
from wsgate.cli import main
from wsgate.config.options import OPTIONS
from wsgate.config.reference import reference, sample

ROOT = Path(__file__).parents[1]


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    path = tmp_path / "bad.ini"
    path.write_text("[listener web]\nbind = 8080\nmode = htp\n")
    return path


def test_check_tells_what_a_good_file_means() -> None:
    result = CliRunner().invoke(main, ["check", "--config", str(ROOT / "etc" / "layer4.ini")])
    assert (result.exit_code, result.stderr) == (0, "")
    assert "everything: tcp on 127.0.0.1:8080 (Layer 4)\n  everything -> upstream wsapp\n" in result.stdout


def test_check_tells_all_problems_of_a_bad_file_on_standard_error(bad: Path) -> None:
    result = CliRunner().invoke(main, ["check", "-c", str(bad)])
    assert (result.exit_code, result.stdout) == (1, "")
    first, second, count = result.stderr.splitlines()
    assert first.startswith(f"{bad}:2: [listener web] bind = 8080: a port needs an address before it")
    assert second == f"{bad}:3: [listener web] mode = htp: expected http or tcp; did you mean http?"
    assert count == "2 problems"


def test_check_counts_one_problem_as_one(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["check", "-c", str(tmp_path / "gone.ini")])
    assert result.exit_code == 1
    assert result.stderr.splitlines() == [
        f"{tmp_path / 'gone.ini'}: cannot be read: No such file or directory",
        "1 problem",
    ]


def test_check_reads_certificates_as_a_start_would(tmp_path: Path) -> None:
    issued = CertificateAuthority(tmp_path / "ca").issue("site.example", days=7)
    ini = tmp_path / "tls.ini"
    text = "[listener a]\nbind = 127.0.0.1:1\ntls = s\n[tls s]\ncertificate = {}\nkey = {}\n[route r]\nrespond = 204\n"
    ini.write_text(text.format(issued.chain_path, issued.key_path))
    good = CliRunner().invoke(main, ["check", "-c", str(ini)])
    assert good.exit_code == 0
    assert "certificate s: for site.example, until " in good.stdout
    assert "warning: [tls s] the certificate has 7 days left: renew it" in good.stdout
    issued.chain_path.write_text("garbage")
    bad = CliRunner().invoke(main, ["check", "-c", str(ini)])
    assert (bad.exit_code, bad.stdout) == (1, "")
    place = f"{ini}:4: [tls s]: {issued.chain_path}: "
    assert bad.stderr.startswith(f"{place}expected certificates in PEM format")
    assert bad.stderr.endswith("\n1 problem\n")


def test_check_makes_no_certificate(tmp_path: Path) -> None:
    ini = tmp_path / "tls.ini"
    ini.write_text("[listener a]\nbind = 127.0.0.1:1\ntls = s\n[tls s]\ncertificate = self-signed\n")
    assert CliRunner().invoke(main, ["check", "-c", str(ini)]).exit_code == 0
    assert not (tmp_path / "state").exists()


def test_check_without_a_file_is_a_mistake_in_usage() -> None:
    assert CliRunner().invoke(main, ["check"]).exit_code == 2


def test_options_prints_the_sample_or_the_page() -> None:
    assert CliRunner().invoke(main, ["options"]).stdout == sample(OPTIONS)
    assert CliRunner().invoke(main, ["options", "--page"]).stdout == reference(OPTIONS)


def test_the_version_is_told() -> None:
    assert CliRunner().invoke(main, ["--version"]).stdout == f"wsgate, version {wsgate.__version__}\n"


def test_every_command_is_listed_and_has_help() -> None:
    listed = CliRunner().invoke(main, ["--help"])
    assert listed.exit_code == 0
    names = main.list_commands(click.Context(main))
    steering = {"status", "ready", "reload", "drain", "undrain", "kick", "upgrade"}
    assert set(names) == {"acme", "app", "check", "options"} | steering
    for name in names:
        assert f"\n  {name} " in listed.stdout
        assert CliRunner().invoke(main, [name, "-h"]).exit_code == 0


def test_an_unknown_command_is_refused() -> None:
    assert CliRunner().invoke(main, ["chekc"]).exit_code == 2


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )


def test_the_program_checks_a_file(bad: Path) -> None:
    good = run("-m", "wsgate", "check", "--config", "etc/wsgate.ini")
    assert (good.returncode, good.stderr) == (0, "")
    assert good.stdout.startswith(f"{ROOT / 'etc' / 'wsgate.ini'}: 3 listeners, ")
    refused = run("-m", "wsgate", "check", "--config", str(bad))
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr.endswith("\n2 problems\n")


def test_checking_needs_no_twisted() -> None:
    script = "import sys, wsgate.cli; sys.exit('twisted' in sys.modules)"
    assert run("-c", script).returncode == 0


def test_the_package_has_no_other_lazy_names() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        wsgate.nothing  # noqa: B018
