"""The built wheel holds the whole package, nothing else, and runs away from the checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from dataclasses import dataclass
from pathlib import Path

import house
import pytest
from house import ROOT


def run(*command: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a command that must succeed, away from this checkout and its environment variables."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    done = subprocess.run(
        [str(word) for word in command], cwd=cwd, env=kept, capture_output=True, text=True
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy of what the build names, so that nothing is left in the tree."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for folder in house.SHIPPED:
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / folder, source / folder, ignore=ignore)
    options = ("--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", out)
    run(sys.executable, "-m", "pip", "wheel", *options, source, cwd=out)
    (built,) = out.glob("*.whl")
    return built


@dataclass(frozen=True)
class Installed:
    """A clean environment that has the wheel, and the dependencies of the one that runs us."""

    folder: Path

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    @property
    def uihlake(self) -> Path:
        return self.folder / "bin" / "uihlake"


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    folder = tmp_path_factory.mktemp("clean")
    venv.create(folder, symlinks=True, with_pip=False)
    found = Installed(folder)
    options = ("--quiet", "--no-deps", "--no-index")
    pip = (sys.executable, "-m", "pip", "--python", found.python)
    run(*pip, "install", *options, wheel, cwd=folder)
    # A folder named in a .pth comes after the wheel's own, and the .pth files in it, the one of
    # an editable install of this checkout among them, are not read.
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    own = folder / "lib" / version / "site-packages"
    (own / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n", "utf-8")
    return found


def test_the_wheel_holds_the_whole_package_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if not name.endswith("/")}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    info = f"{house.PACKAGE}-{project['version']}.dist-info"
    assert {name.split("/")[0] for name in names} == {house.PACKAGE, info}
    expected = {
        f"{package.replace('.', '/')}/{path.relative_to(ROOT / folder).as_posix()}"
        for folder, package in house.SHIPPED.items()
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {name for name in names if name.startswith(f"{house.PACKAGE}/")} == expected
    assert {"uih_lake/py.typed", "uih_lake/cli/__init__.py", "uih_lake/sql/__init__.py"} <= names


def test_the_installed_package_is_the_wheel(installed: Installed) -> None:
    code = """
import importlib.util, uih_lake, uih_lake.cli, uih_lake.sql
print(uih_lake.__file__, uih_lake.cli.__file__, uih_lake.sql.__file__, sep="\\n")
print(*[name for name in ("cli", "sql") if importlib.util.find_spec(name)])
"""
    done = run(installed.python, "-c", code, cwd=installed.folder)
    *files, plain_modules = done.stdout.splitlines()
    assert plain_modules == ""
    assert len(files) == 3
    for file in files:
        assert Path(file).is_relative_to(installed.folder)


def test_every_statement_is_read_from_the_wheel(installed: Installed) -> None:
    code = """
import sys
from uih_lake.sqlfile import statement
print(*[name for name in sys.argv[1:] if not statement(name)])
"""
    names = list(house.statements(ROOT))
    assert names
    assert run(installed.python, "-c", code, *names, cwd=installed.folder).stdout.strip() == ""


def test_the_command_line_runs(installed: Installed) -> None:
    usage = run(installed.uihlake, "--help", cwd=installed.folder).stdout
    upkeep = ["create", "append", "seal", "compact", "verify", "info", "vacuum", "forget", "retain"]
    use = ["log", "materialize", "savings", "sql", "demo"]
    assert [verb for verb in upkeep + use if verb not in usage.split()] == []


def test_the_demo_runs_outside_the_checkout(installed: Installed, tmp_path: Path) -> None:
    run(installed.uihlake, "demo", tmp_path / "demo", "--users", "100", cwd=tmp_path)
    logs = list((tmp_path / "demo").rglob("_delta_log"))
    assert logs, "the demo leaves the tables of its lake behind"
