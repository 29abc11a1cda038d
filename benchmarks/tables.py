"""Results as text, at most 80 columns wide."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from benchmarks.contestants.flat import COMPILED, KERNEL, SHUFFLED, SLICES
from benchmarks.contestants.limits import DECODING

Result = dict[str, Any]
WIDTH = 80

TENANTS = {"long": "65536", "middle": "10000", "short": "100"}
"""The tenants of the paper, by the length of what they read."""


def all_of(result: Result) -> Iterator[str]:
    """Every table of a run, line by line."""
    scale, machine = result["scale"], result["machine"]
    yield f"{scale['events']:,} events, {scale['users']:,} users, {scale['buckets']} buckets"
    yield f"{machine['cores']} cores, load before the run {machine['load_before']:.1f}"
    for length, found in result["lengths"].items():
        yield ""
        yield from speed(length, found)
        yield ""
        yield from cost(found)
    yield ""
    yield from table_1(result)
    yield ""
    yield from mapped(result)
    yield ""
    yield from clicks(result)
    yield from in_use(result)
    yield from stages(result["figures"])


def speed(length: str, found: Result) -> Iterator[str]:
    """Speed of every contestant at one length."""
    mean = found["events"] / max(found["examples"], 1)
    yield f"L = {length}: {found['examples']:,} examples, {mean:,.0f} events each on average"
    rows = found["contestants"]
    yield from grid(
        ("contestant", "examples/s", "M ev/s", "x fat", "spread", "first s"),
        (
            (
                name + ("" if row["exact"] else " *"),
                f"{row['examples_per_s']:,.0f}",
                f"{row['events_per_s'] / 1e6:,.1f}",
                f"{row['ratio'][0]:.2f}",
                f"{row['ratio'][1]:.2f}-{row['ratio'][2]:.2f}",
                f"{row['first_batch_s']:.2f}",
            )
            for name, row in sorted(rows.items(), key=lambda item: -item[1]["events_per_s"])
        ),
    )
    yield f"x fat: against {found['best_fat']}"
    if any(not row["exact"] for row in rows.values()):
        yield "* knows nothing of late events and delivers what was not visible"
    for name, why in found["skipped"].items():
        yield f"{name} did not run: {why}"


def cost(found: Result) -> Iterator[str]:
    """Bytes, memory and CPU of those that were measured in a process of their own."""
    rows = found["contestants"]
    yield from grid(
        ("MB per epoch", "chunks", "kernel", "decoded", "CPU s", "cold s", "peak"),
        (
            (
                name,
                _mb(row.get("read_bytes")),
                # The pages of the flat arrays are mapped here too, and so never leave the cache.
                _mb(None if row["family"] == "mmap" else row["alone"]["kernel_bytes"]),
                _mb(row.get("decoded_bytes")),
                f"{row['alone']['cpu_s']:.1f}",
                f"{row['alone']['cold_s']:.1f}",
                _mb(row["alone"]["peak_rss"]),
            )
            for name, row in rows.items()
            if "alone" in row
        ),
    )
    forms = found["fat_bytes"]
    for layout, shown in (("request", "in request order"), ("user", "clustered by user")):
        best = min((f for f in forms if f.startswith(layout)), key=lambda name: forms[name])
        yield f"fat rows {shown} at rest: {_mb(forms[best])} MB at least ({best.split()[1]})"


def table_1(result: Result) -> Iterator[str]:
    """The form of the paper's Table 1: what is left of the bytes of fat rows, per tenant.

    Against fat rows cut for the tenant, in request order or clustered by user, and against the one
    table of the longest histories that all tenants read, in request order; each in its smallest
    form. Latency is that of a warm epoch.
    """
    yield "bytes left of fat rows in request order, and time of an epoch, by tenant"
    shares = tenant_shares(result)
    yield from grid(
        ("tenant", "L", "write", "read", "look-up", "left", "of union", "clustered", "time"),
        (
            (
                name,
                TENANTS[name],
                *(_part(share.get(k)) for k in _SHARES),
                f"{share['time']:.0%}",
            )
            for name, share in shares.items()
        ),
    )
    yield "write: pointers against fat rows; the log itself is written once for all tenants"
    yield "of union: left of one table of the longest histories that all tenants read"
    yield "clustered: left of fat rows clustered by user; time: against the best fat rows"


_SHARES = ("write", "read", "look_up", "left", "left_union", "left_clustered")


def _part(share: float | None) -> str:
    return "" if share is None else f"{share:.1%}"


def tenant_shares(result: Result) -> dict[str, dict[str, float]]:
    """The numbers of :func:`table_1`, as shares of fat rows in request order."""
    shares: dict[str, dict[str, float]] = {}
    figures, lengths = result["figures"], result["lengths"]
    union = lengths.get(TENANTS["long"])
    for name, length in TENANTS.items():
        found = lengths.get(length)
        if found is None:
            continue
        fat = smallest(found, "request")
        row = found["contestants"]["uih loader"]
        pointers = figures["pointer_read_bytes"]
        look_up = read_bytes(row) - pointers
        best = found["contestants"][found["best_fat"]]
        shares[name] = {
            "write": figures["pointer_bytes"] / fat,
            "read": pointers / fat,
            "look_up": look_up / fat,
            "left": (pointers + look_up) / fat,
            "left_clustered": (pointers + look_up) / smallest(found, "user"),
            "time": best["events_per_s"] / row["events_per_s"],
        }
        if union is not None:
            shares[name]["left_union"] = (pointers + look_up) / smallest(union, "request")
    return shares


def mapped(result: Result) -> Iterator[str]:
    """The loader against arrays that were decoded beforehand and are mapped, length by length."""
    yield "speed against arrays decoded beforehand, in the page cache"
    yield from grid(
        ("L", "slices", "compiled", "kernel", "lake's order", "shared form", "at best"),
        (
            (f"{int(length):,}", *("" if ratio is None else f"{ratio:.2f} x" for ratio in found))
            for length, found in against_mapped(result).items()
        ),
    )
    yield "slices: in numpy, as the MLPerf reference has them; compiled: a loop, one thread"
    yield "kernel: the lake's own on every core, user by user, or in the lake's order"
    yield "shared form: the loader's, against the kernel user by user"
    yield "at best: against the fastest, had the loader nothing to do but decode and copy"


def against_mapped(result: Result) -> dict[str, list[float | None]]:
    """The columns of :func:`mapped`, by length; None where a run does not have them."""
    found = {}
    for length, measured in result["lengths"].items():
        rows = measured["contestants"]
        seconds = {name: measured["events"] / row["events_per_s"] for name, row in rows.items()}
        slices = min((seconds[name] for name in SLICES if name in seconds), default=None)
        kernel = seconds.get(KERNEL)
        arrays = [min(row["rounds"]) for row in rows.values() if row["family"] == "mmap"]
        least = least_seconds(measured)
        at_best = min(arrays) / least if arrays and least is not None else None
        mine, share = seconds["uih loader"], seconds["uih share loader"]
        others = (slices, seconds.get(COMPILED), kernel, seconds.get(SHUFFLED))
        found[length] = [
            *(None if other is None else other / mine for other in others),
            None if kernel is None else kernel / share,
            at_best,
        ]
    return found


def least_seconds(found: Result) -> float | None:
    """An epoch of one length that does nothing but decode what is read, and copy what comes out.

    The best round of each: a bound knows no bad luck.
    """
    rows = found["contestants"]
    copying = [min(row["rounds"]) for name, row in rows.items() if _copies(name, row)]
    if not copying or DECODING not in rows:
        return None
    return float(min(copying) + min(rows[DECODING]["rounds"]))


def _copies(name: str, row: Result) -> bool:
    """Whether a contestant copies what an epoch delivers and does nothing else."""
    return bool(row["family"] == "mmap") or name.startswith("memcpy")


def read_bytes(row: Result) -> int:
    """Bytes an epoch reads: as the kernel counts them, or else by column chunk."""
    kernel = row.get("alone", {}).get("kernel_bytes", 0)
    return int(max(kernel, row.get("read_bytes", 0)))


def smallest(found: Result, layout: str) -> int:
    """Bytes of the column chunks of the fat rows of a layout, in their smallest form."""
    return int(min(v for k, v in found["fat_bytes"].items() if k.startswith(f"{layout} ")))


def clicks(result: Result) -> Iterator[str]:
    """A tenant that takes clicks alone, against fat rows of these; where a run has it."""
    if not result.get("clicks"):
        return
    yield "a tenant of clicks alone against the fastest fat rows of its own"
    yield from grid(
        ("L", "events each", "first epoch", "spread", "later epochs"),
        (_of_clicks(int(length), found) for length, found in result["clicks"].items()),
    )
    for length, found in result["clicks"].items():
        yield f"L = {length}: against {found['best_fat']}"
    yield ""


def _of_clicks(length: int, found: Result) -> tuple[str, ...]:
    rows = found["contestants"]
    (middle, least, most), later = (rows[f"{name} loader"]["ratio"] for name in _TWO_EPOCHS)
    mean = found["events"] / max(found["examples"], 1)
    shown = f"{middle:.2f} x", f"{least:.2f}-{most:.2f}", f"{later[0]:.2f} x"
    return f"{length:,}", f"{mean:,.0f}", *shown


_TWO_EPOCHS = ("uih", "uih later epochs")


def in_use(result: Result) -> Iterator[str]:
    """Epochs of lakes that are in use, against one that was just compacted; where a run has it."""
    found = result.get("in_use")
    if not found:
        return
    yield "time of an epoch against the same lake sealed and compacted: first, second"
    yield from grid(
        ("state of the lake", *(f"L = {length}" for length in next(iter(found.values())))),
        (
            (
                state,
                *(f"{f['first']['ratio']:.2f}, {f['second']['ratio']:.2f} x" for f in by.values()),
            )
            for state, by in found.items()
        ),
    )
    yield ""


def stages(figures: Result) -> Iterator[str]:
    """Figures of single stages."""
    lines = [
        ("append + seal", f"{figures['append_seal_events_per_s'] / 1e6:.2f} M events/s"),
        ("append", f"{figures['append_events_per_s'] / 1e6:.2f} M events/s"),
        ("seal", f"{figures['seal_events_per_s'] / 1e6:.2f} M events/s"),
        ("log", f"{figures['log_pointers_per_s']:,.0f} pointers/s"),
        ("resolve, ASOF, digests", f"{figures['asof_pointers_per_s']:,.0f} pointers/s"),
        *(
            ("resolve, ASOF, all keys", f"{speed:,.0f} pointers/s")
            for speed in _given(figures, "keyed_pointers_per_s")
        ),
        *(
            ("last value only, Feast on DuckDB", f"{speed:,.0f} requests/s")
            for speed in _given(figures, "feast_requests_per_s")
        ),
        ("resolve, by place", f"{figures['placed_pointers_per_s']:,.0f} pointers/s"),
        ("lake, 8 traits, at rest", f"{_mb(figures['lake_bytes'])} MB"),
        ("  the 4 traits read", f"{_mb(figures['traits_bytes'])} MB"),
        ("pointers at rest", f"{_mb(figures['pointer_bytes'])} MB"),
    ]
    for length, found in figures["gather"].items():
        lines += [
            (f"gather, L = {length}, {into}", f"{speed / 1e9:.1f} GB/s, {ratio:.2f} x memcpy")
            for which, into in (("", "one buffer"), ("ring_", "a ring"))
            for speed in _given(found, f"{which}gather_bytes_per_s")
            for ratio in _given(found, f"{which}ratio")
        ]
    for events, size in figures.get("memory", {}).items():
        lines.append((f"peak of the loader, {int(events):,}", f"{_mb(size)} MB"))
    for name, value in figures.get("hot_user", {}).items():
        lines.append((f"hot user, {name}", f"{value:,.0f}"))
    yield from grid(("stage", "figure"), lines)


def _given(figures: Result, name: str) -> Iterator[float]:
    """A figure, where the run has it: one of an earlier suite may not."""
    if name in figures:
        yield figures[name]


def grid(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Columns side by side: the first to the left, the others to the right; 80 wide at most."""
    lines = [tuple(head), *map(tuple, rows)]
    widths = [max(len(line[place]) for line in lines) for place in range(len(head))]
    widths[0] = min(widths[0], WIDTH - sum(widths[1:]) - 2 * (len(head) - 1))
    for number, line in enumerate(lines):
        first = line[0] if len(line[0]) <= widths[0] else line[0][: widths[0] - 1] + "~"
        cells = [first.ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True)]
        yield "  ".join(cells).rstrip()
        if number == 0:
            yield "-" * min(WIDTH, sum(widths) + 2 * (len(head) - 1))


def _mb(size: float | None) -> str:
    return "" if size is None else f"{size / 1e6:,.1f}"
