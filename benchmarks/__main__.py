"""The command line of the benchmarks: ``python -m benchmarks``, or ``make bench ARGS=...``."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterable, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks import compare, measure, suite, tables, targets
from benchmarks.field import Limits
from benchmarks.stages import number
from benchmarks.workload import Scale

DEFAULT_LENGTHS = (100, 256, 4_096, 10_000, 65_536)
ALL_LENGTHS = (100, 256, 1_024, 4_096, 10_000, 16_384, 65_536)
OTHERS = ("stages", "versioning", "loader")
"""Modules with a command line of their own."""


def main(given: Sequence[str] | None = None) -> None:
    """Do what the arguments say."""
    words = list(sys.argv[1:] if given is None else given)
    if words and words[0] in OTHERS:
        _other(words[0], words[1:])
        return
    arguments = _parser().parse_args(_with_command(words))
    if arguments.command == "alone":
        measure.in_child(arguments.file)
    elif arguments.command == "compare":
        _show(compare.view(_load(arguments.before), _load(arguments.after)))
    elif arguments.command == "show":
        found = _load(arguments.file)
        _show(targets.view(found) if arguments.targets else tables.all_of(found))
    else:
        _run(arguments)


def _with_command(words: list[str]) -> list[str]:
    """``run`` is what is done where nothing else is said."""
    known = ("run", "compare", "show", "alone", "-h", "--help")
    return words if words and words[0] in known else ["run", *words]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "benchmarks", epilog=f"also: {', '.join(OTHERS)}, with options of their own"
    )
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="measure (the default)")
    run.add_argument("--events", type=number, default=2_514_000, help="2.5M (default), 25M, 250M")
    run.add_argument("--lengths", type=_lengths, default=DEFAULT_LENGTHS, help="256,4096 or all")
    run.add_argument("--rounds", type=number, default=5)
    run.add_argument("--seed", type=int, default=0)
    run.add_argument("--dir", type=Path, default=Path(tempfile.gettempdir(), "uih-bench-cache"))
    run.add_argument("--json", type=Path, help="where to write the results")
    run.add_argument("--targets", action="store_true", help="show the targets only")
    run.add_argument("--no-check", action="store_true", help="do not compare what is delivered")
    run.add_argument("--no-alone", action="store_true", help="no processes of their own")
    run.add_argument("--no-extras", action="store_true", help="no Lance, HF, MosaicML, Ray, Feast")
    run.add_argument("--fat-events", type=number, default=Limits.fat, help="opponents' epoch")
    show = commands.add_parser("show", help="print a run again")
    show.add_argument("file", type=Path)
    show.add_argument("--targets", action="store_true")
    pair = commands.add_parser("compare", help="two runs side by side")
    pair.add_argument("before", type=Path)
    pair.add_argument("after", type=Path)
    child = commands.add_parser("alone")
    child.add_argument("file")
    return parser


def _run(arguments: argparse.Namespace) -> None:
    bounds = Limits(fat=arguments.fat_events, screened=min(Limits.screened, arguments.fat_events))
    found = suite.run(
        arguments.dir,
        Scale(arguments.events, arguments.seed),
        arguments.lengths,
        arguments.rounds,
        bounds,
        lambda text: print(text, file=sys.stderr, flush=True),
        check=not arguments.no_check,
        with_alone=not arguments.no_alone,
        with_extras=not arguments.no_extras,
        save=lambda found: _save(arguments.json, found),
    )
    if not arguments.targets:
        _show([*tables.all_of(found), ""])
    _show(targets.view(found))


def _save(path: Path | None, found: dict[str, Any]) -> None:
    if path is not None:
        path.write_text(json.dumps(found, indent=1))


def _other(name: str, words: list[str]) -> None:
    module = f"benchmarks.{name}"
    if find_spec(module) is None:
        raise SystemExit(f"there is no {module}")
    sys.argv = [module, *words]
    import_module(module).main()


def _show(lines: Iterable[str]) -> None:
    for line in lines:
        print(line)


def _load(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text()))
    except (OSError, ValueError) as error:
        raise SystemExit(f"{path} is no result of a run: {error}") from error


def _lengths(text: str) -> tuple[int, ...]:
    if text == "all":
        return ALL_LENGTHS
    try:
        lengths = tuple(int(part) for part in text.split(","))
    except ValueError:
        lengths = (0,)
    if min(lengths) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: give lengths from 1 on, as 256,4096, or all")
    return lengths


if __name__ == "__main__":
    main()
