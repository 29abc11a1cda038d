"""Fragments are copied to the byte, wherever they begin and however long they are."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from uih_lake.gather import moves as kernels
from uih_lake.gather.moves import Moves, address, copy

UNTOUCHED = 0xA5
AROUND = 256
"""Bytes on either side of what is copied, which must stay as they are."""


def held(
    source: np.ndarray, width: int, fragments: list[tuple[int, int]], shift: int, cut: int = 0
) -> None:
    """Copy rows of ``source`` to an address that lies ``shift`` bytes behind a cache line.

    In two parts, the one from fragment ``cut`` on first, whose first line is also the last of the
    other.
    """
    rows = np.array(fragments, np.int64).reshape(-1, 2)
    moves = Moves.of(np.zeros(len(rows), np.int64), rows[:, 0], rows[:, 1])
    wanted = b"".join(source[a * width : b * width].tobytes() for a, b in fragments)
    out = np.full(len(wanted) + 2 * AROUND + 64, UNTOUCHED, np.uint8)
    begin = AROUND - address(out) % 64 + shift
    for first, last in ((cut, len(moves)), (0, cut)):
        place = np.array([address(out) + begin + int(moves.places[first]) * width])
        copy(np.array([[address(source)]]), np.array([width]), moves, first, last, place)
    assert out[begin : begin + len(wanted)].tobytes() == wanted
    assert (out[:begin] == UNTOUCHED).all() and (out[begin + len(wanted) :] == UNTOUCHED).all()


@given(
    st.sampled_from([1, 2, 4, 8]),
    st.lists(
        st.tuples(st.integers(0, 3000), st.one_of(st.integers(0, 70), st.integers(0, 1100))),
        max_size=20,
    ),
    st.integers(0, 63),
    st.integers(0, 20),
)
def test_any_fragments_at_any_place(
    width: int, parts: list[tuple[int, int]], shift: int, cut: int
) -> None:
    source = np.random.default_rng(0).integers(0, 256, 4100 * width + 8, np.uint8)
    fragments = [(start, start + count) for start, count in parts]
    held(source, width, fragments, shift, min(cut, len(parts)))


@pytest.mark.parametrize("shift", [0, 1, 8, 63])
@pytest.mark.parametrize("count", [0, 1, 2, 31, 32, 33, 63, 64, 65, 127, 128, 129, 4096])
def test_every_way_to_begin_and_end_a_line(count: int, shift: int) -> None:
    """Lengths around one line and two, twice one after the other."""
    source = np.random.default_rng(count).integers(0, 256, 2 * 4200, np.uint8)
    held(source, 1, [(3, 3 + count), (4100, 4100 + count)], shift)


def test_several_columns_and_runs_in_parts() -> None:
    """Two runs of two columns; the parts of a batch are copied one by one to where they belong."""
    chance = np.random.default_rng(1)
    runs = [[chance.integers(0, 2**30, 900, kind) for kind in ("i8", "i4")] for _ in range(2)]
    moves = Moves.of(np.array([0, 1, 0]), np.array([5, 700, 100]), np.array([405, 900, 101]))
    outs = [np.zeros(moves.places[-1], kind) for kind in ("i8", "i4")]
    addresses = np.array([[address(run[c]) for run in runs] for c in range(2)])
    widths = np.array([8, 4])
    for first, last in ((0, 1), (1, 3)):
        places = np.array([address(o) for o in outs]) + moves.places[first] * widths
        copy(addresses, widths, moves, first, last, places)
    for column, out in enumerate(outs):
        parts = [runs[0][column][5:405], runs[1][column][700:900], runs[0][column][100:101]]
        assert out.tolist() == np.concatenate(parts).tolist()


def test_the_kernel_has_no_memory_of_its_own() -> None:
    """It goes by addresses, and the compiler frees an array behind its last use as an array."""
    none, places, line = np.zeros((1, 0), np.int64), np.zeros(1, np.int64), np.zeros(128, np.uint8)
    fragments = (places[:0], places[:0], places[:0], 0, 0)
    assert not allocates(kernels._copy, none, places, *fragments, places, address(line))
    assert allocates(numba.njit(lambda count: np.empty(count)), 3)


def allocates(kernel: Any, *arguments: Any) -> bool:
    fresh = numba.njit(kernel.py_func)
    fresh(*arguments)
    (compiled,) = fresh.inspect_llvm().values()
    return "NRT_MemInfo_alloc" in compiled
