"""The help of every command: it teaches, leaves no option out, fits the screen and is immediate."""

from __future__ import annotations

import re
import subprocess
import sys
from itertools import pairwise

import pytest
import typer.main
from commands import environment, process, run

from uih_lake.cli.app import VERBS, app

ALL = [verb for verbs in VERBS.values() for verb in verbs]
COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]
HEAVY = {"duckdb", "numba", "numpy", "pyarrow", "torch", "polars", "deltalake"}


def help_of(*words: str) -> str:
    result = run(*words, "--help")
    assert (result.exit_code, result.stderr) == (0, "")
    return result.stdout


def test_every_verb_is_a_command_and_the_overview_names_it() -> None:
    assert sorted(COMMANDS) == sorted(ALL)
    overview = help_of()
    for verb in ALL:
        (line,) = re.findall(rf"^│ {verb} +(.+?) +│$", overview, re.MULTILINE)
        assert len(line.split()) > 3
        assert line.endswith("."), "the first sentence of its help is told whole, on one line"


@pytest.mark.parametrize("verb", ["", *ALL])
def test_help_fits_a_screen_of_80_columns(verb: str) -> None:
    text = help_of(*verb.split())
    assert max(len(line) for line in text.splitlines()) <= 80
    assert "…" not in text, "nothing is cut off"


@pytest.mark.parametrize("verb", ALL)
def test_help_teaches(verb: str) -> None:
    text = " ".join(help_of(verb).split())
    purpose = text.partition("uihlake " + verb + " ")[2]
    assert len(purpose.split("Exit codes")[0].split()) > 25, "a paragraph on what it is for"
    assert re.search(rf"\. uihlake {verb}( \w|\b)", text), "an example after it"
    codes = text.split("Exit codes: ")[1]
    assert re.match(r"0 .+1 .+2 wrong usage\.", codes)


@pytest.mark.parametrize("verb", ["", *ALL])
def test_examples_can_be_pasted(verb: str) -> None:
    lines = [line.rstrip() for line in help_of(*verb.split()).splitlines()]
    for line, after in pairwise(lines):
        if re.match(r" {3}uihlake ", line) or line.startswith("       "):
            goes_on = after.strip() and not re.match(r" {3}uihlake ", after)
            assert line.endswith("\\") == bool(goes_on), line


def test_the_mode_of_savings_is_told_as_it_is() -> None:
    text = " ".join(help_of("savings").split())
    assert "A sample of the same training data" in text and "with --exact all fat rows" in text


@pytest.mark.parametrize("verb", ALL)
def test_help_documents_every_parameter(verb: str) -> None:
    text = help_of(verb)
    told = " ".join(line.strip("│ ") for line in text.splitlines())
    told = re.sub(r"\s+", " ", told)
    parameters = COMMANDS[verb].params
    assert {"--quiet", "--no-progress"} <= {name for p in parameters for name in p.opts}
    for parameter in parameters:
        names = parameter.opts if parameter.param_type_name == "option" else [parameter.metavar]
        for name in names:
            assert f" {name} " in told
        assert len(parameter.help.split()) > 2, f"{names} has a help"
        assert parameter.help.split(".")[0].split()[-1] in told


@pytest.mark.parametrize("verb", [verb for verb in ALL if verb not in ("demo", "sql")])
def test_every_command_that_reports_can_do_so_in_json(verb: str) -> None:
    assert "--json" in {name for p in COMMANDS[verb].params for name in p.opts}


def test_help_and_wrong_usage_do_not_load_the_engine() -> None:
    for words in (["--help"], ["append", "--help"], ["append"], ["--version"]):
        code = (
            "import sys\nfrom uih_lake.cli import main\n"
            "try:\n    main()\nfinally:\n    print(*sys.modules, file=sys.stderr)"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, *words], capture_output=True, text=True, env=environment()
        )
        loaded = set(done.stderr.split())
        assert "typer" in loaded
        assert HEAVY & loaded == set()


def test_the_version_is_that_of_the_package() -> None:
    import uih_lake

    result = run("--version")
    assert (result.exit_code, result.stdout) == (0, f"uihlake {uih_lake.__version__}\n")


def test_no_verb_is_a_request_for_help() -> None:
    assert "Usage: uihlake" in run().output


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_complete_verbs_and_options(shell: str) -> None:
    def completed(line: str) -> str:
        words = {"COMP_WORDS": line, "COMP_CWORD": str(len(line.split()) - 1)}
        asked = {
            "_UIHLAKE_COMPLETE": f"complete_{shell}",
            "_TYPER_COMPLETE_ARGS": line,
            "_TYPER_COMPLETE_FISH_ACTION": "get-args",
        }
        child = process(env=environment(**words, **asked))
        said, _ = child.communicate()
        return said

    assert "materialize" in completed("uihlake mat")
    assert "--tenant" in completed("uihlake materialize --te")
