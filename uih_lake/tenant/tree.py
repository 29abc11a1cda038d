"""DuckDB's syntax tree of a condition: what a node may look like and what hangs below it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from uih_lake.tenant import grammar

Node = dict[str, Any]

RULE: Final = "a condition is one boolean expression over columns"

_INSTEAD: Final = {
    "SUBQUERY": "write the values out, x IN (1, 2), and list_contains(list, x) for x = ANY(list)"
}

_CLAUSES: Final = {
    "cte_map": "WITH",
    "from_table": "FROM",
    "group_expressions": "GROUP BY",
    "group_sets": "GROUP BY",
    "having": "HAVING",
    "modifiers": "ORDER BY, LIMIT or DISTINCT",
    "qualify": "QUALIFY",
    "sample": "USING SAMPLE",
}


class Refusal(Exception):
    """Why a condition is refused, and what to do; the caller adds the condition itself.

    ``column`` as in :class:`SqlRefused`.
    """

    def __init__(self, why: str, hint: str = RULE, column: str | None = None) -> None:
        super().__init__(why)
        self.hint = hint
        self.column = column


def condition_of(tree: Node) -> Node:
    """The condition of ``SELECT true WHERE condition``."""
    if len(tree["statements"]) != 1:
        raise Refusal("it holds more than one statement")
    select = tree["statements"][0]["node"]
    if select["type"] != "SELECT_NODE":
        raise Refusal("UNION, INTERSECT or EXCEPT is more than an expression")
    condition: Node = select["where_clause"]
    return condition


def extra_clause(tree: Node, plain: Node) -> str | None:
    """What ``tree`` says besides a condition, judged by a ``plain`` tree of nothing else."""
    found: Node = bare(tree["statements"][0])
    expected: Node = bare(plain["statements"][0])
    for field, value in expected["node"].items():
        if field != "where_clause" and found["node"].pop(field, None) != value:
            return str(_CLAUSES.get(field, field))
    del found["node"]["where_clause"]
    return None if found == {**expected, "node": {}} else "something unknown"


def bare(tree: Any) -> Any:
    """A copy of the tree without what depends on spelling: places, and operator or function."""
    if isinstance(tree, dict):
        kept = ((name, value) for name, value in tree.items() if name not in _SPELLING)
        return {name: bare(value) for name, value in kept}
    return [bare(each) for each in tree] if isinstance(tree, list) else tree


_SPELLING: Final = frozenset({"query_location", "query_location_length", "is_operator"})


def check(node: Node) -> None:
    """Refuse a node that is not in the grammar or says more than the grammar knows."""
    shape = grammar.SHAPES.get(node["class"])
    if shape is None or node["type"] not in shape.types:
        raise Refusal(f"{_called(node)} is not allowed", _INSTEAD.get(node["class"], RULE))
    if node["alias"]:
        raise Refusal(f"it names a part of itself '{node['alias']}'")
    for field in node.keys() - grammar.EVERY_NODE - shape.fields:
        if field not in shape.empty or node[field] != shape.empty[field]:
            raise Refusal(f"{_called(node)} with {field.upper()} is not allowed")
    if node["class"] == "CONSTANT" and node["literal"]["kind"] not in grammar.LITERALS:
        raise Refusal(f"a {node['literal']['kind']} literal is not allowed")
    if node["class"] == "TYPE" and node["type_name"].upper() not in grammar.TYPES:
        raise Refusal(f"a cast to {node['type_name']} is not allowed")


def _called(node: Node) -> str:
    """A node in a user's words."""
    names = (node.get("function_name", ""), node["type"], node["class"])
    if node["class"] == "FUNCTION":
        return f"{names[0]}()"
    return grammar.CALLED.get(names[1]) or grammar.CALLED.get(names[2]) or str(names[1])


def children(node: Node) -> Iterator[Node]:
    """The expressions and types directly below a node that :func:`check` let through.

    The parameters of a lambda are not among them: they are names, not expressions.
    """
    match node["class"]:
        case "CONJUNCTION" | "OPERATOR" | "TYPE":
            yield from node["children"]
        case "COMPARISON":
            yield from (node["left"], node["right"])
        case "BETWEEN":
            yield from (node["input"], node["lower"], node["upper"])
        case "CASE":
            for branch in node["case_checks"]:
                yield from (branch["when_expr"], branch["then_expr"])
            yield node["else_expr"]
        case "CAST":
            yield from (node["child"], node["type_expr"])
        case "FUNCTION":
            yield from (argument["expression"] for argument in node["arguments"])
        case "LAMBDA":
            yield node["expr"]
