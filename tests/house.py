"""The rules of the house as pure functions: source text in, a list of offences out.

`test_house.py` runs each on this repository, and on a small bad sample to see that it can fail.
A *module* is named as it is imported (``uih_lake.lake.append``); sources are ``{module: text}``.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = "uih_lake"
SHIPPED = {"uih_lake": PACKAGE, "cli": f"{PACKAGE}.cli", "sql": f"{PACKAGE}.sql"}
"""Top-level folder -> the package it is imported as."""

ORDER = (
    *("errors", "names", "wording", "facts", "progress", "arrays", "bytesize", "damage"),
    *("sql", "sqlfile", "session", "hashing", "schema", "given"),
    *("tenant", "ingest", "lake", "pointers", "resolve", "gather"),
    *(
        "logged",
        "log",
        "compact",
        "selection",
        "materialize",
        "output",
        "adhoc",
        "info",
        "append",
        "verify",
    ),
    *("workload", "serving", "api", "loader", "savings"),
)
"""Parts of the package, each free to import those to its left; the root and cli/ import any."""

HEADER = ("grain", "inputs", "parameters", "output", "order")
"""What the comment at the top of every statement tells, in this order, below what it is for."""

Sources = Mapping[str, str]


def shipped_sources(root: Path) -> dict[str, str]:
    """Every Python module that ends up in the wheel."""
    found = {}
    for folder, package in SHIPPED.items():
        for path in sorted((root / folder).rglob("*.py")):
            parts = path.relative_to(root / folder).with_suffix("").parts
            found[".".join((package, *parts)).removesuffix(".__init__")] = path.read_text("utf-8")
    return found


def shipped_packages(root: Path) -> set[str]:
    """Every package the wheel must have: folders with Python files."""
    return {
        ".".join((package, *path.parent.relative_to(root / folder).parts))
        for folder, package in SHIPPED.items()
        for path in (root / folder).rglob("*.py")
    }


def statements(root: Path) -> dict[str, str]:
    """Every statement by the name that ``sqlfile.statement`` takes."""
    folder = root / "sql"
    return {
        path.relative_to(folder).with_suffix("").as_posix(): path.read_text("utf-8")
        for path in sorted(folder.rglob("*.sql"))
    }


# Imports


def imports(module: str, source: str, modules: Iterable[str]) -> Iterator[tuple[int, str]]:
    """Line and full dotted name of everything ``module`` imports, at its top or inside a function.

    ``modules`` are the known ones: a package is one that has others below it, which decides where
    a relative import starts.
    """
    is_package = any(other.startswith(f"{module}.") for other in modules)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                up = node.level - (1 if is_package else 0)
                start = module.rsplit(".", up)[0] if up else module
                base = f"{start}.{base}".rstrip(".")
            yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)


def wrong_way_imports(sources: Sources, order: tuple[str, ...] = ORDER) -> list[str]:
    """Imports against the order; the command line imports any part and no part imports it."""
    offences = []
    for module, source in sources.items():
        part = _part(module)
        if part not in ("", "cli", *order):
            offences.append(f"{module}: {part!r} has no place in the order of the parts")
            continue
        offences += [
            f"{module}:{line}: imports {name}"
            for line, name in imports(module, source, sources)
            if name.split(".")[0] == PACKAGE and not _may_import(part, _part(name), order)
        ]
    return offences


def _may_import(part: str, other: str, order: tuple[str, ...]) -> bool:
    if part in ("", "cli"):
        return part == "cli" or other != "cli"
    return other in order[: order.index(part) + 1]


def _part(module: str) -> str:
    return [*module.split("."), ""][1]


def foreign_imports(sources: Sources, library: str, owner: str) -> list[str]:
    """Imports of ``library`` outside the part ``owner``."""
    return [
        f"{module}:{line}: imports {name}"
        for module, source in sources.items()
        if _part(module) != owner
        for line, name in imports(module, source, sources)
        if name.split(".")[0] == library
    ]


def connects(sources: Sources, owner: str) -> list[str]:
    """Places outside the part ``owner`` that open a DuckDB session or use the global one."""
    offences = []
    shared = {"connect", "sql", "execute", "query", "default_connection"}
    for module, source in sources.items():
        if _part(module) == owner:
            continue
        for node in ast.walk(ast.parse(source)):
            match node:
                case ast.Attribute(value=ast.Name(id="duckdb"), attr=name) if name in shared:
                    offences.append(f"{module}:{node.lineno}: duckdb.{name}")
                case ast.ImportFrom(module="duckdb", names=names):
                    offences += [
                        f"{module}:{node.lineno}: duckdb.{alias.name}"
                        for alias in names
                        if alias.name in shared
                    ]
    return offences


# Statements


def bad_headers(found: Mapping[str, str]) -> list[str]:
    """Statements whose leading comment does not begin with what it is for, or misses a part.

    So does one that does not name every ``{slot}`` and ``$parameter`` of its statement.
    """
    offences = []
    for name, text in found.items():
        lines = text.splitlines()
        end = next((i for i, line in enumerate(lines) if not line.startswith("--")), len(lines))
        header, body = "\n".join(lines[:end]), "\n".join(lines[end:])
        told = re.findall(r"^-- (\w+):[ \t]*\S", header, re.MULTILINE)
        parts = tuple(part for part in told if part in HEADER)
        if parts != HEADER:
            offences.append(f"sql/{name}.sql: header tells {parts}, must tell {HEADER}")
        elif re.match(r"-- \w+:", text):
            offences.append(f"sql/{name}.sql: header does not begin with what it is for")
        elif unnamed := {*_INPUT.findall(body)} - {*_INPUT.findall(header)}:
            offences.append(f"sql/{name}.sql: header does not name {', '.join(sorted(unnamed))}")
    return offences


_INPUT = re.compile(r"(?<!\{)\{[a-z]\w*\}|\$[a-z]\w*")


def dead_statements(found: Mapping[str, str], sources: Sources) -> list[str]:
    """Statements no Python code names: whole, or as ``f"folder/{name}"`` and a name of its part."""
    texts: dict[str, set[str]] = {}
    for module, source in sources.items():
        texts.setdefault(_part(module), set()).update(text for _, text in strings(source))
    named = set().union(*texts.values())
    for near in texts.values():
        folders = {text.removesuffix("{}") for text in near if text.endswith("/{}")}
        named |= {folder + text for folder in folders for text in near}
    return [f"sql/{name}.sql: nobody reads it" for name in found if name not in named]


def missing_statements(found: Mapping[str, str], sources: Sources) -> list[str]:
    """Calls of ``statement`` and ``fill`` that name no file."""
    offences = []
    for module, source in sources.items():
        for node in ast.walk(ast.parse(source)):
            match node:
                case ast.Call(func=func, args=[ast.Constant(value=str(name)), *_]):
                    called = ast.unparse(func).rsplit(".", 1)[-1]
                    if called in ("statement", "fill") and name not in found:
                        offences.append(f"{module}:{node.lineno}: no sql/{name}.sql")
    return offences


_STATEMENT = re.compile(
    r"\bSELECT\b.*\bFROM\b"
    r"|^\s*select\b.*\bfrom\b"
    r"|^\s*(INSERT|UPDATE|DELETE|CREATE|COPY|MERGE|DROP|ATTACH)\b",
    re.DOTALL,
)


def embedded_sql(sources: Sources) -> list[str]:
    """Strings in Python code, docstrings aside, that are statements: those belong in ``sql/``."""
    return [
        f"{module}:{line}: {' '.join(text.split())[:60]}"
        for module, source in sources.items()
        for line, text in strings(source)
        if _STATEMENT.search(text)
    ]


def strings(source: str) -> Iterator[tuple[int, str]]:
    """Line and text of every string but docstrings; the gaps of an f-string become ``{}``."""
    tree = ast.parse(source)
    inner: set[int] = set()
    for node in ast.walk(tree):
        match node:
            case ast.Expr(value=ast.Constant()):
                inner.add(id(node.value))
            case ast.JoinedStr(values=values):
                inner.update(id(value) for value in values)
                pieces = [v.value if isinstance(v, ast.Constant) else "{}" for v in values]
                yield node.lineno, "".join(map(str, pieces))
            case ast.Constant(value=str(text)) if id(node) not in inner:
                yield node.lineno, text


# Size and words


def guessing_reads(found: Mapping[str, str]) -> list[str]:
    """Reads of files that make columns of folders called ``key=value``, as DuckDB does by itself.

    Their values would stand for what is in the files.
    """
    reads = re.compile(r"\b(read_(?:parquet|json|csv|ndjson)\w*)\(((?:[^()]|\([^()]*\))*)\)")
    return [
        f"sql/{name}.sql: {function} without hive_partitioning => false"
        for name, text in found.items()
        for function, arguments in reads.findall(re.sub(r"--.*", "", text))
        if not re.search(r"hive_partitioning (=>|=) false", arguments)
    ]


def long_modules(sources: Sources, limit: int = 400) -> list[str]:
    """Modules of more than ``limit`` lines."""
    lengths = {module: len(source.splitlines()) for module, source in sources.items()}
    return [f"{module}: {length} lines" for module, length in lengths.items() if length > limit]


def undocumented(exported: Mapping[str, object]) -> list[str]:
    """Exported names, and public methods of exported classes, that have no docstring."""
    offences = []
    for name, value in exported.items():
        if isinstance(value, str | int | tuple):
            continue
        # a dataclass without a docstring gets its signature as one
        if not (value.__doc__ or "").strip() or value.__doc__.startswith(f"{name}("):
            offences.append(name)
        if isinstance(value, type):
            offences += [
                f"{name}.{key}"
                for key, member in vars(value).items()
                if not key.startswith("_")
                and (callable(member) or isinstance(member, property | classmethod | staticmethod))
                and not (member.__doc__ or "").strip()
            ]
    return offences
