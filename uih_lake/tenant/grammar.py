"""What a condition may be made of.

Both lists are allow-lists, so what a later DuckDB adds stays outside until someone puts it in.
A function is in only if its value follows from its arguments alone, today and in a year: nothing
random, no clock, no setting, variable, file or network, nothing that is not promised to stay the
same between DuckDB versions (``hash``), nothing that takes the name of another function as a text
(``list_aggregate``), nothing that can make a short condition ask for much memory (``repeat``,
``range``). DuckDB's own label would not do: it calls ``current_localtime`` consistent.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final


@dataclass(frozen=True)
class Shape:
    """One class of syntax node: its types, the fields walked or read, and those that stay empty."""

    types: frozenset[str]
    fields: frozenset[str]
    empty: dict[str, Any] = field(default_factory=dict)


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


def _shape(types: str, fields: str, empty: dict[str, Any] | None = None) -> Shape:
    return Shape(_words(types), _words(fields), empty or {})


EVERY_NODE: Final = _words("class type alias query_location query_location_length")
"""Fields of all nodes."""

SHAPES: Final = {
    "COLUMN_REF": _shape("COLUMN_REF", "column_names"),
    "CONSTANT": _shape("VALUE_CONSTANT", "literal"),
    "CONJUNCTION": _shape("CONJUNCTION_AND CONJUNCTION_OR", "children"),
    "COMPARISON": _shape(
        "COMPARE_EQUAL COMPARE_NOTEQUAL COMPARE_LESSTHAN COMPARE_GREATERTHAN"
        " COMPARE_LESSTHANOREQUALTO COMPARE_GREATERTHANOREQUALTO"
        " COMPARE_DISTINCT_FROM COMPARE_NOT_DISTINCT_FROM",
        "left right",
    ),
    "BETWEEN": _shape("COMPARE_BETWEEN", "input lower upper"),
    "OPERATOR": _shape(
        "OPERATOR_NOT OPERATOR_IS_NULL OPERATOR_IS_NOT_NULL OPERATOR_COALESCE OPERATOR_TRY"
        " COMPARE_IN COMPARE_NOT_IN ARRAY_EXTRACT ARRAY_SLICE",
        "children",
    ),
    "CASE": _shape("CASE_EXPR", "case_checks else_expr"),
    "CAST": _shape("OPERATOR_CAST", "child type_expr try_cast"),
    "TYPE": _shape("TYPE", "type_name children qualified_name", {"schema": "", "catalog": ""}),
    "LAMBDA": _shape("LAMBDA", "lhs expr", {"syntax_type": "LAMBDA_KEYWORD"}),
    "FUNCTION": _shape(
        "FUNCTION",
        "function_name schema catalog qualified_name arguments order_bys is_operator",
        {"filter": None, "distinct": False, "export_state": False},
    ),
}

CALLED: Final = {
    "SUBQUERY": "a subquery",
    "WINDOW": "a window function",
    "STAR": "'*' or COLUMNS()",
    "PARAMETER": "a parameter ($1, $name or ?)",
    "POSITIONAL_REFERENCE": "a position (#1)",
    "COLLATE": "COLLATE",
    "DEFAULT": "DEFAULT",
    "OPERATOR_UNPACK": "'*' or COLUMNS()",
    "STRUCT_EXTRACT": "a field of a struct",
    "LAMBDA": "'->' (a lambda is written: lambda x: x > 0)",
}
"""What a refused node is called in an error; others go by DuckDB's name."""

FUNCTIONS_BY_KIND: Final = {
    "arithmetic": "+ - * / // % ^ ** & | ~ << >> @ abs ceil ceiling floor round round_even trunc"
    " sign sqrt cbrt exp ln log log10 log2 pow power mod greatest least isnan isinf isfinite",
    "text": "|| ~~ !~~ ~~* !~~* ~~~ ^@ like_escape not_like_escape ilike_escape not_ilike_escape"
    " lower upper lcase ucase length len strlen char_length character_length left right substr"
    " substring trim ltrim rtrim contains starts_with prefix ends_with suffix position strpos"
    " instr replace reverse concat concat_ws split_part string_split str_split regexp_matches"
    " regexp_full_match regexp_extract regexp_replace strip_accents nfc_normalize ascii unicode"
    " chr md5 md5_number_lower md5_number_upper sha256",
    "time": "date_part datepart date_trunc datetrunc date_diff datediff date_sub datesub date_add"
    " epoch epoch_ms epoch_us epoch_ns year quarter month week day hour minute second millisecond"
    " microsecond dayofweek weekday isodow dayofmonth dayofyear dayname monthname weekofyear"
    " yearweek isoyear last_day time_bucket timezone strftime strptime try_strptime make_date"
    " make_timestamp make_timestamptz to_timestamp to_years to_quarters to_months to_weeks to_days"
    " to_hours to_minutes to_seconds to_milliseconds to_microseconds",
    "choice": "if nullif",
    "list": "list_value list_contains list_has array_contains array_has list_has_any array_has_any"
    " list_has_all array_has_all && @> <@ list_position list_indexof array_position array_indexof"
    " array_length list_extract list_element array_extract list_slice array_slice list_min list_max"
    " list_sum list_avg list_count list_unique list_first list_last list_bool_and list_bool_or"
    " list_filter list_transform",
}

FUNCTIONS: Final = _words(" ".join(FUNCTIONS_BY_KIND.values()))

LITERALS: Final = _words("INTEGER NUMERIC STRING BOOLEAN NULL_LITERAL")

TYPES: Final = _words(
    "BOOLEAN BOOL LOGICAL TINYINT SMALLINT INTEGER INT BIGINT HUGEINT INT1 INT2 INT4 INT8 SHORT"
    " LONG SIGNED UTINYINT USMALLINT UINTEGER UBIGINT FLOAT REAL FLOAT4 DOUBLE FLOAT8 DECIMAL"
    " NUMERIC VARCHAR TEXT STRING CHAR BPCHAR DATE TIME TIMESTAMP DATETIME TIMESTAMPTZ TIMESTAMP_S"
    " TIMESTAMP_MS TIMESTAMP_US TIMESTAMP_NS INTERVAL LIST"
) | {"TIMESTAMP WITH TIME ZONE"}
"""Types a condition may cast to, by DuckDB's names and their usual synonyms."""
