"""Measures what a lake saves: counts, writes the fat-row twins, and compares."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from uih_lake import adhoc, schema, sqlfile
from uih_lake.errors import InputError
from uih_lake.given import integer
from uih_lake.lake.store import Store
from uih_lake.output import check_file, failures_told
from uih_lake.progress import Progress, quiet
from uih_lake.savings import tenants as wanted
from uih_lake.savings.fat import ROW_GROUP_BYTES, Layout
from uih_lake.savings.figures import ENGINE, FILES, LAKE, Asker, Figure, spelled
from uih_lake.savings.footprint import Epoch, Footprint
from uih_lake.savings.model import (
    LENGTHS,
    REQUESTS,
    Basis,
    Cost,
    Demand,
    Plan,
    break_even,
    project,
    share,
)
from uih_lake.savings.population import Histories, Population
from uih_lake.savings.report import (
    FatFacts,
    GroupFacts,
    Report,
    TenantFacts,
    UnionFacts,
    Verdict,
)
from uih_lake.savings.twin import Maker, Twin, file_name
from uih_lake.schema import UNBOUNDED
from uih_lake.session import connect
from uih_lake.tenant import Tenant, check_tenants


def savings(
    lake: str | Path,
    tenants: Sequence[Tenant],
    *,
    exact: bool = False,
    seed: int = 0,
    plan: Plan | None = None,
    keep: str | Path | None = None,
    overwrite: bool = False,
    version: int | None = None,
    row_group_bytes: int = ROW_GROUP_BYTES,
    progress: Progress = quiet,
) -> Report:
    """Compare the lake at path ``lake`` with fat rows of ``tenants``, and of their union.

    By default a seeded sample of the fat rows is written and the rest estimated with 95%
    confidence; ``exact`` writes them all, in both layouts. They go into the directory ``keep``,
    replacing files of theirs only where ``overwrite`` says so, or into a temporary one that is
    removed. Raises :class:`TenantError` for a tenant that does not fit, :class:`InputError` where
    there are no examples or the seed is below 0, :class:`LakeError` where there is no lake or no
    such ``version`` of it, :class:`OutputError` where ``keep`` lies in the lake or has such files,
    and where nothing can be written there.
    """
    check_tenants(tenants)
    seed = integer("seed", seed, 0)
    store = Store.open(lake)
    store.require(version)
    surface = adhoc.Surface.of(store, version, tenants)
    if keep is not None:
        _check_free(Path(keep), tenants, overwrite, lake)
    with surface.session() as views, connect() as plain:
        asker = Asker(views, LAKE)
        _check_examples(asker, lake, version)
        with _place(keep) as place:
            measured = Measurement(
                store,
                surface,
                asker,
                Asker(plain, FILES),
                place,
                seed,
                exact,
                row_group_bytes,
                progress,
            )
            return measured.report(tenants, plan)


def _check_examples(asker: Asker, lake: str | Path, version: int | None) -> None:
    """Raise :class:`InputError` where no example pins lake version ``version`` or an older one."""
    if asker.figure("savings/examples", "examples").value == 0:
        until, remedy = "", "log requests first"
        if version is not None:
            until, remedy = f" up to lake version {version}", "choose a later one or log requests"
        raise InputError(f"the lake at {lake} has no examples{until}", hint=remedy)


def _check_free(keep: Path, tenants: Sequence[Tenant], overwrite: bool, lake: str | Path) -> None:
    """Raise :class:`OutputError` where a twin may not be written into the directory ``keep``."""
    every = tenants if len(tenants) == 1 else [*tenants, wanted.union(tenants)]
    for tenant in every:
        for layout in Layout:
            check_file(keep / file_name(tenant, layout), overwrite=overwrite, lake=lake)


@contextmanager
def _place(keep: str | Path | None) -> Iterator[Path]:
    """Where the twins go."""
    if keep is None:
        with TemporaryDirectory(prefix="uihlake-savings-") as temporary:
            yield Path(temporary).absolute()
    else:
        with failures_told(keep):
            Path(keep).mkdir(parents=True, exist_ok=True)
        yield Path(keep).absolute()


@dataclass(frozen=True)
class Counted:
    """A tenant counted: its histories, and what they refer to."""

    tenant: Tenant
    histories: Histories
    population: Population

    def demand(self, users: float) -> Demand:
        """What all groups together ask for."""
        referenced = sum(self.population.referenced.values())
        distinct = sum(self.population.distinct.values())
        return Demand(len(self.population), users, referenced, distinct, self.population.newest)


@dataclass(frozen=True)
class Measurement:
    """One measurement at work: the lake, the sessions to ask in, the place of the twins."""

    store: Store
    surface: adhoc.Surface
    lake: Asker
    files: Asker
    place: Path
    seed: int
    exact: bool
    row_group_bytes: int
    progress: Progress

    def report(self, tenants: Sequence[Tenant], plan: Plan | None) -> Report:
        """Measure everything."""
        footprint = Footprint.of(self.store, self.lake, self.files)
        rows = self.lake.figure("savings/examples", "examples")
        users = self.lake.figure("savings/examples", "users")
        compared, planned = [], None
        for tenant in tenants:
            counted = self._count(tenant)
            twins = self._twins(counted)
            facts, basis = self._tenant(counted, twins, footprint, users.value, plan)
            compared.append(facts)
            planned = planned or (project(plan, basis) if plan else None)
        histories, _ = self.lake.rows("savings/histories")
        return Report(
            mode="exact" if self.exact else "estimate",
            lake=self.store.given,
            lake_version=self.surface.snapshot.lake_version,
            seed=self.seed,
            rows=rows,
            users=users,
            events=self.lake.figure("savings/events", "events"),
            event_users=self.lake.figure("savings/events", "users"),
            footprint=footprint,
            tenants=tuple(compared),
            union=self._union(tenants) if len(tenants) > 1 else None,
            histories=histories,
            plan=planned,
        )

    def _count(self, tenant: Tenant) -> Counted:
        snapshot, examples = self.surface.snapshot, self.surface.examples
        histories = Histories.of(self.store, snapshot, examples, tenant)
        return Counted(tenant, histories, histories.count(self.progress))

    def _twins(self, counted: Counted) -> dict[str, Twin]:
        maker = Maker(
            self.place,
            counted.histories,
            counted.population,
            self.seed,
            self.exact,
            self.row_group_bytes,
            self.files,
        )
        return maker.make(self.progress)

    def _union(self, tenants: Sequence[Tenant]) -> UnionFacts:
        whole = wanted.union(tenants)
        twins = self._twins(self._count(whole))
        read = {
            tenant.name: {
                layout: twin.read(wanted.columns_of_union(whole, tenant))
                for layout, twin in twins.items()
            }
            for tenant in tenants
        }
        fat = {layout: _fat(twin, wanted.columns(whole)) for layout, twin in twins.items()}
        return UnionFacts(fat, read)

    def _tenant(
        self,
        counted: Counted,
        twins: Mapping[str, Twin],
        footprint: Footprint,
        users: float,
        plan: Plan | None,
    ) -> tuple[TenantFacts, Basis]:
        epoch = Epoch.of(self.lake, counted.histories.rebuild)
        demand = counted.demand(users)
        at_rest = _cost(footprint.history, footprint.examples, demand)
        read = _cost(epoch.lookup, epoch.primary, demand)
        lengths = (*LENGTHS, plan.length) if plan else LENGTHS
        by_length = self._by_length(lengths, demand)
        fat = {layout: _fat(twin, wanted.columns(counted.tenant)) for layout, twin in twins.items()}
        facts = TenantFacts(
            name=counted.tenant.name,
            groups=tuple(self._groups(counted)),
            lake=epoch,
            fat=fat,
            verdict={
                layout: _verdict(footprint, epoch, fat[layout], at_rest, read, twin, demand)
                for layout, twin in twins.items()
            },
            by_length={
                layout: [_at_length(at_rest, read, twin, by_length[n], n) for n in LENGTHS]
                for layout, twin in twins.items()
            },
            break_even_map={
                layout: [
                    {
                        "per_user": per_user,
                        "max_len": length,
                        "at_rest": share(at_rest, twin.rates, by_length[length].at(per_user)),
                    }
                    for length in LENGTHS
                    for per_user in REQUESTS
                ]
                for layout, twin in twins.items()
            },
            daily=[
                {"day": day, "referenced": referenced, "distinct": distinct}
                for day, (referenced, distinct) in counted.population.daily.items()
            ],
        )
        planned = by_length[plan.length] if plan else demand
        rates = {layout: twin.rates for layout, twin in twins.items()}
        (events,), _ = self.lake.rows("savings/events")
        per_day = float(events["events"]) / max(events["users"], 1) / events["days"]
        written = float(footprint.written_history) / events["days"]
        return facts, Basis(planned, rates, at_rest, read, per_day, written)

    def _by_length(self, lengths: Sequence[int], demand: Demand) -> dict[int, Demand]:
        """The demand of sequences of other lengths, of any event."""
        rows, _ = self.lake.rows("savings/by_length", lengths=sorted(set(lengths)))
        share = demand.newest / demand.distinct if demand.distinct else 1.0
        return {
            row["max_len"]: Demand(
                demand.rows,
                demand.users,
                row["referenced"],
                row["distinct_events"],
                row["distinct_events"] * share,
            )
            for row in rows
        }

    def _groups(self, counted: Counted) -> Iterator[GroupFacts]:
        """Counts of the engine, with the query that defines them."""
        conditions = {
            name: scan.where for scan in counted.histories.rebuild.plan for name, _ in scan.groups
        }
        for name, group in counted.tenant.groups.items():
            definition = spelled(
                sqlfile.statement("savings/referenced"),
                {
                    "max_len": group.max_len or UNBOUNDED,
                    "window_us": group.window_us or _EVER_US,
                    "lag_us": group.lag_us,
                },
            )
            # Last of all, for a condition may hold a $ of its own.
            sql = definition.format(where=conditions[name] or "true")
            yield GroupFacts(
                name,
                *(
                    Figure(found[name], "savings/referenced", sql, f"{ENGINE}, {LAKE}")
                    for found in (counted.population.referenced, counted.population.distinct)
                ),
            )


_EVER_US = schema.MAX_TIME - schema.MIN_TIME


def _fat(twin: Twin, columns: Sequence[str]) -> FatFacts:
    return FatFacts(
        exact=twin.scale is None,
        at_rest=twin.at_rest(columns),
        read=twin.read(columns),
        decoded=twin.read(columns, uncompressed=True),
        settings=twin.settings.as_dict(),
    )


def _cost(once: Figure, rows: Figure, demand: Demand) -> Cost:
    return Cost(float(once), float(rows) / max(demand.rows, 1))


def _verdict(
    footprint: Footprint,
    epoch: Epoch,
    fat: FatFacts,
    at_rest: Cost,
    read: Cost,
    twin: Twin,
    demand: Demand,
) -> Verdict:
    def over(whole: Figure, *parts: Figure) -> float:
        return sum(map(float, parts)) / float(whole)

    return Verdict(
        at_rest=over(fat.at_rest, footprint.history, footprint.examples),
        written=over(fat.at_rest, footprint.written_history, footprint.written_examples),
        primary_written=over(fat.at_rest, footprint.written_examples),
        read=over(fat.read, epoch.primary, epoch.lookup),
        primary_read=over(fat.read, epoch.primary),
        lookup=over(fat.read, epoch.lookup),
        break_even_at_rest=break_even(at_rest, twin.rates, demand),
        break_even_read=break_even(read, twin.rates, demand),
    )


def _at_length(
    at_rest: Cost, read: Cost, twin: Twin, demand: Demand, length: int
) -> dict[str, Any]:
    return {
        "max_len": length,
        "referenced": demand.referenced,
        "at_rest": share(at_rest, twin.rates, demand),
        "read": share(read, twin.rates, demand),
    }
