"""Checks a condition and writes it anew, so that no text of a user reaches a statement.

The path of a condition: DuckDB's parser turns it into a syntax tree, every node of which must be
in the allow-list of :mod:`uih_lake.tenant.grammar`; DuckDB writes the tree back as text, which
must parse to the same tree again; the text is bound to the event columns and must be BOOLEAN.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Final

import duckdb
import pyarrow as pa

from uih_lake.errors import SqlRefused
from uih_lake.session import connect
from uih_lake.sqlfile import fill, identifier, statement
from uih_lake.tenant import grammar
from uih_lake.tenant.tree import RULE, Node, Refusal, bare, children, condition_of, extra_clause
from uih_lake.tenant.tree import check as check_node
from uih_lake.wording import engine_says, fold, guess, listed, on_one_line

Scope = frozenset[str]

LONGEST: Final = 65_536
"""Characters of a condition: room for an IN list of thousands, none for a flood."""
DEEPEST: Final = 100
"""Levels of nesting, and operators in a row: beyond it parsers slow down or overflow."""

_OF_VALUES: Final = (duckdb.DataError, duckdb.InvalidInputException, duckdb.NotImplementedException)
"""What an expression that fits its columns may still raise on what they hold."""
_FRAME: Final = "SELECT true WHERE "
# Characters that make a text read differently from what it says: controls, bidirectional marks.
_DECEPTIVE: Final = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff"
    "\ud800-\udfff]"
)
_QUOTED: Final = re.compile('"([^"]+)"')


@lru_cache(maxsize=64)  # a session of its own takes 20 ms, and every use of a tenant checks anew
def check_condition(sql: str, columns: pa.Schema) -> str:
    """The condition written anew by DuckDB, safe to stand wherever an expression may.

    ``columns`` gives the event columns. An event for which the result is NULL is not kept: put it
    into a WHERE, or read NULL as false. Checking a result again gives the same text. Raises
    :class:`SqlRefused`, in one line that names the offender, for anything that is not one boolean
    expression over these columns made of the deterministic scalar functions in
    :mod:`uih_lake.tenant.grammar`.
    """
    try:
        _check_text(sql)
        with connect(threads=1) as session:
            session.execute(f"SET max_expression_depth = {DEEPEST}")
            return _Checker(session, columns).written(sql)
    except Refusal as refusal:
        refused = _refused(sql, str(refusal), refusal.hint)
        refused.column = refusal.column
        raise refused from None


@contextmanager
def evaluating(condition: str | None) -> Iterator[None]:
    """Run a statement that a checked condition, if any, stands in.

    Raises :class:`SqlRefused` where it meets a value that it cannot be evaluated on.
    """
    try:
        yield
    except _OF_VALUES as error:
        if condition is None:
            raise
        hint = "use TRY(...) or TRY_CAST, which give NULL where it fails, or narrow it"
        raise _refused(condition, engine_says(error), hint) from error


def spoken_of(condition: str | None, columns: Iterable[str]) -> list[str]:
    """Those of ``columns`` that a checked condition may speak of: all that it does, and more."""
    said = fold(condition or "")
    return [name for name in columns if fold(name.replace('"', '""')) in said]


def _refused(condition: str, why: str, hint: str) -> SqlRefused:
    return SqlRefused(f"condition [{on_one_line(condition, limit=80)}]: {why}", hint=hint)


def _check_text(sql: str) -> None:
    """Refuse what need not be parsed to be refused, or would take a parser too long."""
    if not sql.strip():
        raise Refusal("it is empty", "leave `where` out to keep everything")
    if len(sql) > LONGEST:
        raise Refusal(f"it has {len(sql)} characters, more than {LONGEST}")
    if deceptive := _DECEPTIVE.search(sql):
        raise Refusal(f"it holds the invisible character U+{ord(deceptive[0]):04X}")
    raw = sql.encode()
    in_a_row = 0
    for start, kind in duckdb.tokenize(sql):
        if kind == duckdb.token_type.comment:
            raise Refusal("it holds a comment (-- or /* */)")
        if kind == duckdb.token_type.operator and raw[start : start + 1] == b";":
            raise Refusal("it holds ';', the end of a statement")
        in_a_row = in_a_row + 1 if kind == duckdb.token_type.operator else 0
        if in_a_row > DEEPEST:
            raise Refusal(f"it has more than {DEEPEST} operators or brackets in a row")


class _Checker:
    """One check in one session that is thrown away afterwards."""

    def __init__(self, session: duckdb.DuckDBPyConnection, columns: pa.Schema) -> None:
        self._session = session
        self._types = _duckdb_types(session, columns)
        self._names = {fold(name): name for name in self._types}
        self._quoted: frozenset[str] = frozenset()

    def written(self, sql: str) -> str:
        self._quoted = frozenset(_QUOTED.findall(sql))
        tree = self._parse(_FRAME + sql)
        condition = condition_of(tree)
        self._walk(condition)
        if clause := extra_clause(tree, self._parse(_FRAME + "true")):
            raise Refusal(f"{clause} is more than an expression")
        text = self._ask("tenant/write", tree=json.dumps(tree))
        if not text.startswith(_FRAME) or bare(self._parse(text)) != bare(tree):
            raise Refusal("DuckDB cannot write it back without changing it", "put it simpler")
        self._bind(text.removeprefix(_FRAME))
        return text.removeprefix(_FRAME)

    def _ask(self, name: str, **parameters: str) -> str:
        rows = self._session.sql(statement(name), params=parameters).fetchall()
        return str(rows[0][0])

    def _parse(self, sql: str) -> Node:
        try:
            tree: Node = json.loads(self._ask("tenant/parse", sql=sql))
        except RecursionError:
            raise Refusal("it is nested too deeply") from None
        except duckdb.Error as error:
            raise Refusal(engine_says(error)) from None
        if tree["error"]:
            raise Refusal(on_one_line(tree["error_message"].split(". Use ")[0]))
        return tree

    def _walk(self, root: Node) -> None:
        """Look at every node below ``root``; column names get the case of the event column."""
        todo: list[tuple[Node, Scope]] = [(root, frozenset())]
        while todo:
            node, scope = todo.pop()
            check_node(node)
            if node["class"] == "COLUMN_REF":
                self._check_column(node, scope)
            elif node["class"] == "FUNCTION":
                self._check_function(node)
            elif node["class"] == "LAMBDA":
                scope |= self._lambda_names(node["lhs"])
            todo.extend((child, scope) for child in children(node))

    def _check_column(self, node: Node, scope: Scope) -> None:
        name = ".".join(node["column_names"])
        if name in scope:
            return
        if len(node["column_names"]) > 1:
            raise Refusal(f"'{name}' is a qualified name", "name the column alone")
        if fold(name) not in self._names:
            known = self._names.values()
            hint = f"{guess(name, known)}columns are {listed(known)}"
            if name in self._quoted:
                hint = f"a text takes single quotes: '{name}'; {hint}"
            raise Refusal(f"column '{name}' does not exist", hint, name)
        node["column_names"] = [self._names[fold(name)]]

    def _check_function(self, node: Node) -> None:
        name, path = node["function_name"], node["qualified_name"]["path"]
        if path != [name] or node["schema"] or node["catalog"]:
            called = ".".join(path)
            raise Refusal(f"'{called}()' is a qualified function", "write name(argument, ...)")
        if fold(name) not in grammar.FUNCTIONS:
            raise self._unlisted(name)
        if any(argument["name"] for argument in node["arguments"]):
            raise Refusal(f"{name}() has a named argument")
        if node["order_bys"]["orders"]:
            raise Refusal(f"{name}() has ORDER BY inside")

    def _unlisted(self, name: str) -> Refusal:
        """Why a function is not in the grammar, as far as DuckDB knows it."""
        query = statement("tenant/function_kinds")
        kinds = {kind for (kind,) in self._session.sql(query, params={"name": name}).fetchall()}
        called = f"{name.removesuffix('_star')}()"
        if not kinds:
            return Refusal(f"{called} does not exist", guess(name, grammar.FUNCTIONS) + RULE)
        if "aggregate" in kinds:
            return Refusal(f"{called} is an aggregate")
        return Refusal(f"{called} is not among the pure scalar functions it may use")

    def _lambda_names(self, lhs: Node) -> Scope:
        """Parameters of a lambda: one column reference, or several packed into a row."""
        nodes = [each["expression"] for each in lhs.get("arguments", [])] or [lhs]
        if any(len(node.get("column_names", [])) != 1 for node in nodes):
            raise Refusal("a lambda has a parameter that is no name")
        names = frozenset(str(node["column_names"][0]) for node in nodes)
        if hiding := [name for name in sorted(names) if fold(name) in self._names]:
            raise Refusal(f"lambda parameter '{hiding[0]}' hides a column", "rename the parameter")
        return names

    def _bind(self, condition: str) -> None:
        """Try it on a made-up event: what never fits fails now and not in a long scan."""
        event = ", ".join(
            f"{_sample(kind)} AS {identifier(name)}" for name, kind in self._types.items()
        )
        try:
            bound = self._session.sql(fill("tenant/bind", condition=condition, event=event))
        except duckdb.Error as error:
            raise Refusal(engine_says(error)) from None
        if (found := str(bound.types[0])) != "BOOLEAN":
            raise Refusal(f"it is {found}, not BOOLEAN", "compare it with something")
        try:
            bound.fetchall()
        except duckdb.ConversionException as error:
            hint = "compare like with like, or use TRY_CAST, which gives NULL where a cast fails"
            raise Refusal(engine_says(error), hint) from None
        except duckdb.Error:
            # Anything else, such as a division by zero, may come from the made-up values.
            return


def _sample(kind: str) -> str:
    """Some value of a DuckDB type; a text that is no number, so that casting it is noticed."""
    if kind.endswith("[]"):
        return f"[{_sample(kind[:-2])}]"
    text = "2001-02-03" if kind.startswith(("TIMESTAMP", "DATE")) else "1"
    return f"TRY_CAST('{'x' if kind == 'VARCHAR' else text}' AS {kind})"


def _duckdb_types(session: duckdb.DuckDBPyConnection, columns: pa.Schema) -> dict[str, str]:
    relation = session.from_arrow(columns.empty_table())
    return dict(zip(relation.columns, map(str, relation.types), strict=True))
