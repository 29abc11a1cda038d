"""Two runs side by side: what became faster and what slower."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.tables import Result, grid

_EVEN = 0.05


def view(before: Result, after: Result) -> Iterator[str]:
    """Per length and contestant: ratio to the best fat rows then and now, and examples/s.

    The ratio is what travels between machines and loads; one within 5% counts as even.
    """
    rows = []
    for length, found in after["lengths"].items():
        earlier = before["lengths"].get(length, {"contestants": {}})["contestants"]
        for name, row in found["contestants"].items():
            if name not in earlier:
                continue
            old, new = earlier[name]["ratio"][0], row["ratio"][0]
            rows.append(
                (
                    f"{length} {name}",
                    f"{old:.2f}",
                    f"{new:.2f}",
                    _word(old, new),
                    f"{row['examples_per_s'] / earlier[name]['examples_per_s']:.2f} x",
                )
            )
    yield from grid(("L, contestant", "before", "after", "x best fat", "examples/s"), rows)
    yield ""
    yield from _stages(before["figures"], after["figures"])
    per_example = _per_example(before, after)
    if per_example:
        yield ""
        yield from grid(("time per example of the loader", "after / before"), per_example)


def _stages(before: Result, after: Result) -> Iterator[str]:
    rows = [
        (name, f"{before[name]:,.0f}", f"{value:,.0f}", f"{value / before[name]:.2f} x")
        for name, value in after.items()
        if isinstance(value, int | float) and before.get(name)
    ]
    yield from grid(("stage", "before", "after", "after / before"), rows)


def _per_example(before: Result, after: Result) -> list[tuple[str, str]]:
    """Where the runs are of different sizes: how the cost of an example grew."""
    if before["scale"]["events"] == after["scale"]["events"]:
        return []
    rows = []
    for length, found in after["lengths"].items():
        if length in before["lengths"]:
            old = before["lengths"][length]["contestants"]["uih loader"]["examples_per_s"]
            new = found["contestants"]["uih loader"]["examples_per_s"]
            rows.append((f"L = {length}", f"{old / new:.2f} x"))
    return rows


def _word(old: float, new: float) -> str:
    if abs(new / old - 1) <= _EVEN:
        return "even"
    return "faster" if new > old else "slower"
