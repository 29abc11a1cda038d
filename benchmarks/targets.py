"""What the lake has to reach, and whether it did."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from benchmarks import tables
from benchmarks.suite import DISK
from benchmarks.tables import Result

Measured = Callable[[Result], float | None]
AtBest = Callable[[Result], tuple[float, str] | None]


@dataclass(frozen=True)
class Target:
    """A measure, the bound it has to keep and how it is shown; ``most``: bounded from above.

    ``at_best`` is what the same run says nobody could pass with these bytes on these cores, and
    why.
    """

    name: str
    bound: float
    measured: Measured
    most: bool = False
    form: str = "{:.2f} x"
    at_best: AtBest = lambda _: None

    def line(self, result: Result) -> tuple[str, str, str, str]:
        """Name, measured, bound, verdict."""
        value = self.measured(result)
        sign = "<=" if self.most else ">="
        bound = f"{sign} {self.form.format(self.bound)}"
        if value is None:
            return self.name, "not measured", bound, ""
        met = value <= self.bound if self.most else value >= self.bound
        return self.name, self.form.format(value), bound, "met" if met else "NOT MET"

    def missed(self, result: Result) -> tuple[str, str, str, str] | None:
        """Name, measured, at best, why; None where it is met, or nothing forbids more."""
        _, measured, _, verdict = self.line(result)
        least = self.at_best(result) if verdict == "NOT MET" else None
        return (
            None if least is None else (self.name, measured, self.form.format(least[0]), least[1])
        )


def view(result: Result) -> Iterator[str]:
    """The table of all targets."""
    yield f"targets at {result['scale']['events']:,} events (they are set for 25 M and up)"
    lines = [target.line(result) for target in TARGETS]
    yield from tables.grid(("measure", "measured", "target", ""), lines)
    missed = [line for target in TARGETS if (line := target.missed(result)) is not None]
    if missed:
        yield ""
        yield from tables.grid(("missed, and what forbids more", "is", "at best", "with"), missed)
    yield ""
    yield "bytes read against fat rows clustered by user, for which no target is set:"
    yield "  " + ", ".join(_clustered(result))
    yield "fat rows: the fastest Parquet loader of its length; mapped Arrow files in the"
    yield "tables are as large as what they deliver and are lent, not decoded"


def _clustered(result: Result) -> Iterator[str]:
    """The comparison that no target asks for: with the layout that compresses best."""
    for length, found in result["lengths"].items():
        read = tables.read_bytes(found["contestants"]["uih loader"])
        yield f"{length}: {read / tables.smallest(found, 'user'):.0%}"


def _against_fat(length: int, name: str = "uih loader") -> Measured:
    return _at(length, lambda found: found["contestants"][name]["ratio"][0])


def _against_mmap(length: str) -> Measured:
    def measured(found: Result) -> float | None:
        rows = found["contestants"]
        speeds = [row["events_per_s"] for row in rows.values() if row["family"] == "mmap"]
        return rows["uih loader"]["events_per_s"] / max(speeds) if speeds else None

    return _at(int(length), measured)


def _mapped_at_best(length: str) -> AtBest:
    def at_best(result: Result) -> tuple[float, str] | None:
        least = tables.against_mapped(result)[length][-1] if length in result["lengths"] else None
        return None if least is None else (least, "decode, copy")

    return at_best


def _on_disk(length: int) -> Measured:
    """With storage of 200 MB/s, simulated by counting the bytes of column chunks.

    Against any form of fat rows that was tried: the fastest from memory is seldom the smallest.
    """

    def measured(found: Result) -> float:
        mine = found["contestants"]["uih loader"]["disk_examples_per_s"]
        return float(mine / _fat_on_disk(found))

    return _at(length, measured)


def _disk_at_best(length: int) -> AtBest:
    def at_best(result: Result) -> tuple[float, str] | None:
        found = result["lengths"].get(str(length))
        if found is None:
            return None
        size = found["contestants"]["uih loader"]["read_bytes"]
        reading, working = size / DISK, tables.least_seconds(found) or 0.0
        why = "decode, copy" if working > reading else f"{size / 1e6:,.0f} MB read"
        return found["examples"] / max(reading, working) / _fat_on_disk(found), why

    return at_best


def _fat_on_disk(found: Result) -> float:
    """Examples per second of the best fat rows from storage of 200 MB/s."""
    rows = found["contestants"].values()
    fat = [row["disk_examples_per_s"] for row in rows if row["family"] == "fat"]
    return max(*fat, *_tried_on_disk(found))


def _tried_on_disk(found: Result) -> Iterator[float]:
    """Examples per second of each loader that was screened, from storage of 200 MB/s."""
    for name, speed in found["screened_events_per_s"].items():
        size = found["fat_bytes"].get(" ".join(name.split()[1:3]))  # of "fat LAYOUT FORM READER"
        if size is not None:
            yield min(speed / found["events"], DISK / size) * found["examples"]


def _bytes_left(length: int) -> Measured:
    def measured(found: Result) -> float:
        row = found["contestants"]["uih loader"]
        return tables.read_bytes(row) / tables.smallest(found, "request")

    return _at(length, measured)


def _at(length: int, measured: Callable[[Result], float | None]) -> Measured:
    def of(result: Result) -> float | None:
        found = result["lengths"].get(str(length))
        return None if found is None else measured(found)

    return of


def _tenant(name: str, share: str) -> Measured:
    return lambda result: tables.tenant_shares(result).get(name, {}).get(share)


def _tenant_at_best(name: str) -> AtBest:
    """As if every event that is needed were read and no other."""

    def at_best(result: Result) -> tuple[float, str] | None:
        found, figures = result["lengths"].get(tables.TENANTS[name]), result["figures"]
        if found is None or "distinct_events" not in found:
            return None
        share = found["distinct_events"] / result["scale"]["events"]
        size = share * figures["traits_bytes"] + figures["pointer_read_bytes"]
        return size / tables.smallest(found, "request"), f"{share:.0%} of events"

    return at_best


def _pointers_at_best(result: Result) -> tuple[float, str] | None:
    speed = result["figures"].get("keys_read_pointers_per_s")
    return None if speed is None else (speed, "keys read")


def _worst_gather(result: Result) -> float | None:
    found = result["figures"]["gather"].values()
    return min((row["ratio"] for row in found), default=None)


def _peak(result: Result) -> float | None:
    found = result["figures"].get("memory", {})
    return max(found.values(), default=0) / 1e9 or None


_PART = "{:.1%}"
TARGETS = (
    Target("speed against fat rows, L = 256", 1.0, _against_fat(256)),
    Target("  L = 4,096", 3.5, _against_fat(4096)),
    Target("  L = 65,536", 4.0, _against_fat(65536)),
    Target("shared form against fat rows, L = 4,096", 6.0, _against_fat(4096, "uih share loader")),
    Target("  L = 65,536", 10.0, _against_fat(65536, "uih share loader")),
    *(
        Target(
            f"storage of 200 MB/s (counted), L = {n:,}",
            bound,
            _on_disk(n),
            at_best=_disk_at_best(n),
        )
        for n, bound in ((256, 2.0), (4096, 10.0))
    ),
    *(
        Target(
            f"against mapped arrays, L = {int(n):,}",
            1.0,
            _against_mmap(n),
            at_best=_mapped_at_best(n),
        )
        for n in ("256", "1024", "4096", "16384", "65536")
    ),
    Target("gather against memcpy, L >= 1,024, worst", 0.6, _worst_gather),
    Target(
        "pointers resolved, ASOF, digests checked",
        1e6,
        lambda result: result["figures"]["asof_pointers_per_s"],
        form="{:,.0f}/s",
        at_best=_pointers_at_best,
    ),
    Target("bytes read against fat rows, L = 4,096", 0.12, _bytes_left(4096), True, _PART),
    Target("  L = 256", 0.50, _bytes_left(256), True, _PART),
    *(
        Target(
            f"bytes left, {name} tenant, own fat rows",
            0.25,
            _tenant(name, "left"),
            True,
            _PART,
            _tenant_at_best(name),
        )
        for name in tables.TENANTS
    ),
    *(
        Target(f"  {name} tenant, union table", 0.25, _tenant(name, "left_union"), True, _PART)
        for name in tables.TENANTS
    ),
    Target(
        "append + seal",
        1e6,
        lambda result: result["figures"]["append_seal_events_per_s"],
        form="{:,.0f}/s",
    ),
    Target("peak memory of the loader", 1.5, _peak, True, "{:.2f} GB"),
)
