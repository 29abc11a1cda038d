"""The pure decisions behind batches: windows, the order in them, and who is dealt what."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from uih_lake.loader.deal import Deal, steps
from uih_lake.loader.order import Window, shuffled, windows


class TestDecisions:
    COUNTS = {0: {bucket: 50 + bucket for bucket in range(10)}}  # noqa: RUF012

    def test_windows_hold_every_bucket_once(self) -> None:
        found = list(windows(self.COUNTS, 3, 0, 4))
        assert sorted(b for w in found for b in w.buckets) == list(range(10))
        assert [w.first for w in found] == [0, *np.cumsum([w.count for w in found])[:-1]]
        assert [w.buckets for w in windows(self.COUNTS, 3, 1, 4)] != [w.buckets for w in found]

    def test_an_order_is_what_it_was(self) -> None:
        window = Window(0, 0, (0,), 0, 6)
        assert shuffled(window, 0, 0, None).tolist() == ORDER_OF_SIX

    def test_examples_move_far(self) -> None:
        # In a random order an example is a third of the window away from where it was.
        window = Window(0, 0, (0,), 0, 10_000)
        order = shuffled(window, 1, 2, None)
        moved = np.abs(order - np.arange(10_000)).mean()
        assert abs(moved / 10_000 - 1 / 3) < 0.02

    def test_users_stay_together_but_not_too_many(self) -> None:
        users = np.repeat(np.arange(50), 40)
        order = users[shuffled(Window(0, 0, (0,), 0, 2000), 1, 0, users)]
        changes = np.flatnonzero(np.diff(order)) + 1
        runs = np.diff(np.concatenate([[0], changes, [2000]]))
        assert set(runs[runs <= 16].tolist()) <= {8, 16}
        assert len(runs) > 100

    @given(
        st.lists(st.integers(0, 50), max_size=60),
        st.integers(1, 4),
        st.integers(1, 6),
        st.sampled_from([None, 1, 40, 200]),
        st.sampled_from(["", "drop_last", "pad_last"]),
        st.booleans(),
    )
    def test_steps_share_examples_out(
        self, costs: list[int], ranks: int, size: int, tokens: Any, last: str, balanced: bool
    ) -> None:
        options: dict[str, Any] = {last: True} if last else {}
        dealt = [
            steps(
                np.array(costs, np.int64),
                Deal(rank, ranks, size, tokens, balanced, **options),
                True,
            )
            for rank in range(ranks)
        ]
        assert len({tuple(step.after for step in mine) for mine in dealt}) == 1
        seen = [
            place
            for mine in dealt
            for step in mine
            for place in step.examples[: len(step.examples) - step.padding].tolist()
        ]
        assert len(seen) == len(set(seen))
        if last != "drop_last":
            assert sorted(seen) == list(range(len(costs)))
        for mine in dealt:
            begin = 0
            for step in mine:
                assert all(begin <= place < step.after for place in step.examples.tolist())
                begin = step.after
                if tokens is not None and len(step.examples) > 1:
                    assert sum(costs[place] for place in step.examples.tolist()) <= tokens
        if last:
            sizes = {tuple(len(s.examples) > 0 for s in mine) for mine in dealt}
            assert len(sizes) <= 1

    def test_ranks_get_as_many_events(self) -> None:
        rng = np.random.default_rng(0)
        costs = np.minimum(rng.lognormal(6, 1.2, 8 * 64 * 10), 4096).astype(np.int64)
        sums = []
        for rank in range(8):
            dealt = steps(costs, Deal(rank, 8, 64), True)
            sums.append([int(costs[step.examples].sum()) for step in dealt])
        spread = np.array(sums)
        assert (spread.max(0) / spread.mean(0)).max() < 1.05

    def test_what_is_left_over_waits(self) -> None:
        share = Deal(0, 1, 4)
        assert [s.after for s in steps(np.ones(10, np.int64), share, False)] == [4, 8]
        packed = Deal(0, 1, 100, max_tokens=4)
        assert [s.after for s in steps(np.ones(10, np.int64), packed, False)] == [4, 8]


ORDER_OF_SIX = [2, 4, 5, 0, 1, 3]
