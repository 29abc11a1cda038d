"""Bytes are told in one way."""

from __future__ import annotations

import ast

import pytest
from house import ROOT, shipped_sources

from uih_lake.bytesize import size


@pytest.mark.parametrize(
    ("count", "told"),
    [
        (0, "0 B"),
        (1, "1 B"),
        (999, "999 B"),
        (999.4, "999 B"),
        (999.5, "1.0 kB"),
        (1000, "1.0 kB"),
        (1536, "1.5 kB"),
        (999_949, "999.9 kB"),
        (999_950, "1.0 MB"),
        (2 * 10**9, "2.0 GB"),
        (7.25 * 10**12, "7.2 TB"),
        (10**15, "1.0 PB"),
        (1.024e18, "1,024.0 PB"),
        (9.99999e19, "99,999.9 PB"),
        (1e20, "1e+05 PB"),
        (1.234e33, "1.23e+18 PB"),
    ],
)
def test_bytes_are_told_in_decimal_units_and_never_as_a_thousand_of_one(
    count: float, told: str
) -> None:
    assert size(count) == told


def test_it_is_written_once() -> None:
    found = [
        module
        for module, source in shipped_sources(ROOT).items()
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef)
        and node.name == "size"
        and any(arg.arg == "count" for arg in node.args.args)
    ]
    assert found == ["uih_lake.bytesize"]
