"""Nulls that are overwritten where they lie."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from uih_lake.loader.columns import Column
from uih_lake.loader.nulls import fill_in

TYPES = [pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.float32(), pa.float64()]


@pytest.mark.parametrize("kind", TYPES, ids=str)
@given(
    st.lists(st.one_of(st.none(), st.integers(-100, 100)), max_size=70),
    st.integers(0, 20),
    st.integers(-3, 3),
)
def test_it_is_what_fill_null_gives(
    kind: pa.DataType, rows: list[int | None], skip: int, fill: int
) -> None:
    """Also of a slice, whose first bit lies anywhere in a byte; what is beside it stays."""
    whole = pa.array([*rows, None], kind)  # so that there is a bitmap
    buffers = whole.buffers()
    memory = np.frombuffer(buffers[1], kind.to_pandas_dtype())[: len(whole)].copy()
    before = memory.copy()
    some = whole[skip:-1]
    mine = slice(skip, skip + len(some))
    fill_in(memory[mine], buffers[0], some.offset, fill)
    assert memory[mine].tolist() == pc.fill_null(some, pa.scalar(fill, kind)).to_pylist()
    memory[mine] = before[mine] = 0
    assert np.array_equal(memory, before)


@pytest.mark.parametrize("kind", TYPES, ids=str)
def test_a_column_that_a_file_does_not_have_is_filled_as_well(kind: pa.DataType) -> None:
    """Arrow's nulls have one buffer for the bitmap and the values, and slices share it."""
    nothing = pa.nulls(2000, kind)
    assert nothing.buffers()[0].address == nothing.buffers()[1].address
    column = Column("x", kind, 7, True, None)
    for some in (nothing[:600], nothing[600:601], nothing[601:], nothing):
        stored = column.loaded(pa.chunked_array([some]))
        assert set(stored.values.tolist()) == {7}
        assert not stored.mask.any()


@pytest.mark.parametrize("kind", TYPES, ids=str)
def test_only_memory_that_may_be_written_to_is(kind: pa.DataType) -> None:
    """Arrow says which: what it decoded, and not what somebody lent it."""
    decoded = pc.add(pa.array([1, None, 3], kind), pa.scalar(0, kind))
    lent = pa.Array.from_buffers(
        kind,
        3,
        [pa.py_buffer(b"\5"), pa.py_buffer(np.array([1, 2, 3], kind.to_pandas_dtype()).tobytes())],
    )
    column = Column("x", kind, 7, False, None)
    for values, in_place in ((decoded, True), (lent, False)):
        address = values.buffers()[1].address
        stored = column.loaded(pa.chunked_array([values]))
        assert stored.values.tolist() == [1, 7, 3]
        assert (stored.values.ctypes.data == address) == in_place
    assert np.frombuffer(lent.buffers()[1], kind.to_pandas_dtype()).tolist() == [1, 2, 3]
