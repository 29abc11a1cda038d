"""Savings: every figure comes out of the query it names, and exact means to the byte."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from full_disk import room
from house import ROOT, statements
from savings_lakes import RANKER, SHORT, demo_lake

from uih_lake import Group, Lake, Tenant, names, sqlfile
from uih_lake.errors import InputError, LakeError, OutputError, TenantError
from uih_lake.savings import Plan, Report, savings
from uih_lake.savings.footprint import Epoch
from uih_lake.savings.tenants import columns_of_union, union
from uih_lake.savings.text import text
from uih_lake.session import connect

ROW_GROUP = 256 * 1024
LAYOUTS = ("request_order", "clustered_by_user")


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """Late events, ties, and a part that is not sealed."""
    place = tmp_path_factory.mktemp("savings") / "lake"
    return demo_lake(place, users=120, mean=150, per_user=8, sealed=False)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fat")


@pytest.fixture(scope="module")
def exact(lake: Lake, kept: Path) -> Report:
    return savings(lake.path, [RANKER, SHORT], exact=True, keep=kept, row_group_bytes=ROW_GROUP)


@pytest.fixture(scope="module")
def estimate(lake: Lake, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Report]:
    place = tmp_path_factory.mktemp("sampled")
    yield savings(lake.path, [RANKER, SHORT], keep=place, seed=3, row_group_bytes=ROW_GROUP)


def figures(value: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every figure of a report as JSON has it, with where it stands."""
    if isinstance(value, dict) and "statement" in value and "sql" in value:
        yield path, value
    elif isinstance(value, dict):
        for key, each in value.items():
            yield from figures(each, f"{path}.{key}")
    elif isinstance(value, list):
        for place, each in enumerate(value):
            yield from figures(each, f"{path}.{place}")


COLUMNS = {
    "savings/at_rest": ["bytes"],
    "savings/primary": ["bytes", "uncompressed_bytes"],
    "savings/lookup": ["bytes", "uncompressed_bytes", "row_groups"],
    "savings/events": ["events", "users"],
    "savings/examples": ["examples", "users"],
    "savings/referenced": ["referenced", "distinct_events"],
    "savings/written": ["bytes"],
    "savings/fat_file": ["bytes"],
    "savings/fat_columns": ["bytes", "uncompressed_bytes"],
    "savings/fat_estimate": ["bytes"],
}
"""Statement -> columns that figures are taken from."""


class Runner:
    """Runs a figure's query in the session it names."""

    def __init__(self, lake: Lake) -> None:
        self.views, self.plain = lake.sql_session(), connect()
        self.seen: dict[tuple[str, str], dict[str, float]] = {}

    def row(self, figure: dict[str, Any]) -> dict[str, float]:
        key = figure["run_in"], figure["sql"]
        if key not in self.seen:
            in_lake = figure["run_in"].endswith("uihlake sql LAKE")
            session = self.views if in_lake else self.plain
            (self.seen[key],) = session.sql(figure["sql"]).to_arrow_table().to_pylist()
        return self.seen[key]


@pytest.mark.parametrize("mode", ["exact", "estimate"])
def test_every_figure_is_reproduced_by_the_query_it_names(
    lake: Lake, mode: str, request: pytest.FixtureRequest
) -> None:
    report = json.loads(json.dumps(request.getfixturevalue(mode).as_dict(), allow_nan=False))
    found, runner = list(figures(report)), Runner(lake)
    assert len(found) > 40
    bounded = 0
    for path, figure in found:
        row = runner.row(figure)
        wanted = [row[column] for column in COLUMNS[figure["statement"]]]
        assert figure["value"] in wanted, (path, figure, row)
        if "low" in figure:
            assert (figure["low"], figure["high"]) == (row["low"], row["high"])
            bounded += 1
    assert (bounded > 0) == (mode == "estimate")


def test_exact_figures_are_the_sizes_of_files(lake: Lake, exact: Report, kept: Path) -> None:
    root = Path(lake.path)
    live = {name: live_bytes(root / name) for name in ("recent", "uih", "examples")}
    assert exact.footprint.history.value == live["recent"] + live["uih"]
    assert exact.footprint.examples.value == live["examples"]
    assert exact.footprint.written_examples.value == live["examples"]
    assert exact.footprint.written_history.value > live["recent"] + live["uih"]
    for facts in exact.tenants:
        for layout in LAYOUTS:
            path = kept / f"{facts.name}-{layout}.parquet"
            assert facts.fat[layout].exact
            assert facts.fat[layout].at_rest.value == path.stat().st_size
            assert facts.fat[layout].read.value == sum(chunk_bytes(path).values())
    assert exact.union is not None
    for layout in LAYOUTS:
        path = kept / f"union-{layout}.parquet"
        assert exact.union.fat[layout].at_rest.value == path.stat().st_size
        chunks = chunk_bytes(path)
        wanted = columns_of_union(union([RANKER, SHORT]), SHORT)
        read = sum(chunks[name.replace(", ", ".")] for name in wanted)
        assert exact.union.read["short"][layout].value == read


def live_bytes(table: Path) -> int:
    """Bytes of the files a Delta log says are there, by its add and remove actions."""
    sizes: dict[str, int] = {}
    for log in sorted((table / "_delta_log").glob("*.json")):
        for line in log.read_text().splitlines():
            action = json.loads(line)
            if "add" in action:
                sizes[action["add"]["path"]] = (table / action["add"]["path"]).stat().st_size
            if "remove" in action:
                sizes.pop(action["remove"]["path"], None)
    return sum(sizes.values())


def chunk_bytes(path: Path) -> dict[str, int]:
    """Compressed bytes per column, by pyarrow."""
    footer, found = pq.read_metadata(path), {}
    for group in range(footer.num_row_groups):
        for place in range(footer.num_columns):
            chunk = footer.row_group(group).column(place)
            name = chunk.path_in_schema.removesuffix(".list.element")
            found[name] = found.get(name, 0) + chunk.total_compressed_size
    return found


def test_the_twins_are_the_fat_rows(lake: Lake, exact: Report, kept: Path) -> None:
    for tenant in (RANKER, SHORT):
        rows = lake.materialize(tenant).read_all().sort_by("example_id")
        for layout in LAYOUTS:
            found = pq.read_table(kept / f"{tenant.name}-{layout}.parquet")
            assert found.sort_by("example_id").cast(rows.schema).equals(rows)
            times = found.column("request_ts").to_pylist()
            if layout == "request_order":
                assert times == sorted(times)
            else:
                users = found.column("user_id").to_pylist()
                runs = [
                    user
                    for user, before in zip(users, [None, *users], strict=False)
                    if user != before
                ]
                assert len(runs) == len(set(users))


def test_counts_are_those_of_the_definition_also_where_events_came_late(
    lake: Lake, exact: Report
) -> None:
    late = lake.sql("SELECT count(*) FROM events WHERE arrival_ts > event_ts").fetchall()
    assert late[0][0] > 100
    for facts in exact.tenants:
        for group in facts.groups:
            ((referenced, distinct),) = lake.sql(group.referenced.sql).fetchall()
            assert (group.referenced.value, group.distinct.value) == (referenced, distinct)
            assert 0 < distinct <= referenced


@pytest.mark.parametrize("text", ["'$max_len'", "'$sale'", "'{where}'", "'it''s $1'"])
def test_a_condition_may_hold_what_looks_like_a_parameter(lake: Lake, text: str) -> None:
    counted = []
    for condition in (f"action <> {text}", "action IS NOT NULL"):
        tenant = Tenant(name="x", groups={"g": Group(traits=["item_id"], where=condition)})
        ((group,),) = (facts.groups for facts in savings(lake.path, [tenant]).tenants)
        assert lake.sql(group.referenced.sql).fetchall()[0][0] == group.referenced.value
        counted.append(group.referenced)
    assert text in counted[0].sql
    assert counted[0].value == counted[1].value


def tiny_lake(place: Path, more: Iterable[str]) -> Lake:
    """Two sealed appends and three requests of two users, with ``more`` columns of texts."""
    time, texts = pa.timestamp("us", "UTC"), {name: ["x", "y", "z"] for name in more}
    lake = Lake.create(place, buckets=2)
    for times in ([1, 3, 5], [2, 4, 6]):
        keys = {"user_id": [1, 2, 1], "event_ts": pa.array(times, time), "item_id": times}
        lake.append(pa.table(texts | keys))
        lake.seal()
    lake.log(pa.table(texts | {"user_id": [1, 2, 1], "request_ts": pa.array([4, 5, 9], time)}))
    return lake


def test_a_column_may_be_called_like_any_word_of_the_statements(tmp_path: Path) -> None:
    """Each word as a trait and as context: counts are what they are without such columns."""
    asked = [name for name in statements(ROOT) if name.startswith(("savings/", "adhoc/"))]
    text = " ".join(sqlfile.statement(name) for name in asked)
    words = {word.strip("_") for word in re.findall(r"[a-z_]+", text)}
    reserved = {"", *names.EVENT_COLUMNS, *names.EXAMPLE_COLUMNS, *names.VIRTUAL_COLUMNS}
    assert {"pass", "passes", "matching", "files"} <= words
    group = Group(traits=["item_id"], where="item_id <> 3", max_len=2)
    found = []
    for more in ([], sorted(words - reserved)):
        lake = tiny_lake(tmp_path / str(len(more)), more)
        report = savings(lake.path, [Tenant(name="x", groups={"g": group})])
        (facts,) = report.tenants
        ((counted,),) = (facts.groups,)
        found.append(
            (
                *map(float, (report.rows, report.users, report.events, facts.lake.row_groups)),
                *(report.histories, facts.daily),
                *map(float, (counted.referenced, counted.distinct)),
                lake.sql(counted.referenced.sql).fetchall(),
            )
        )
    assert found[0] == found[1]


def test_redundancy_by_day_adds_up_to_what_is_referenced(exact: Report) -> None:
    for facts in exact.tenants:
        referenced = sum(day["referenced"] for day in facts.daily)
        assert referenced == sum(group.referenced.value for group in facts.groups)
        for day in facts.daily:
            assert 0 < day["distinct"] <= day["referenced"]


def test_the_union_serves_every_tenant_with_the_least(exact: Report) -> None:
    whole = union([RANKER, SHORT])
    assert [g.max_len for g in whole.groups.values()] == [512, 64]
    first = whole.groups["group_0"]
    assert first.window is None
    assert set(first.traits) == {"item_id", "event_ts", "action", "dwell", "author_id"}
    read = columns_of_union(whole, SHORT)
    assert read == [
        "example_id",
        "user_id",
        "request_ts",
        "label",
        "group_0, item_id",
        "group_0, author_id",
        "group_0, event_ts",
    ]
    one = Tenant(name="t", groups={"a": Group(traits=["item_id"], max_len=5, window="9d")})
    other = Tenant(name="u", groups={"a": Group(traits=["dwell"], window="8d")})
    merged = union([one, other]).groups["group_0"]
    assert (merged.max_len, merged.window) == (None, "9d")
    assert set(merged.traits) == {"item_id", "dwell", "event_ts"}


def test_the_union_is_named_as_no_tenant_is(lake: Lake, tmp_path: Path) -> None:
    """Its fat rows would else be kept in the files of the tenant's."""
    groups = {"g": Group(traits=["item_id"], max_len=4)}
    named = [Tenant(name=name, groups=groups) for name in ("union", "union_", "a")]
    assert union(named).name == "union__"
    assert union(named[1:]).name == "union"
    savings(lake.path, named[::2], keep=tmp_path / "kept")
    kept = {path.name.rsplit("-", 1)[0] for path in (tmp_path / "kept").iterdir()}
    assert kept == {"union", "union_", "a"}


def test_what_is_kept_needs_no_temporary_directory(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.mkdtemp", lambda *_: pytest.fail("made one"))
    savings(lake.path, [SHORT], keep=tmp_path / "kept")
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


def test_the_look_up_counts_the_columns_that_are_read(lake: Lake) -> None:
    narrow = Tenant(name="a", groups={"g": Group(traits=["item_id"])})
    wide = Tenant(name="b", groups={"g": Group(traits=["item_id", "dwell"])})
    filtered = Tenant(name="c", groups={"g": Group(traits=["item_id"], where="dwell > 3")})
    one, two, three = (
        savings(lake.path, [tenant]).tenants[0].lake for tenant in (narrow, wide, filtered)
    )
    ((dwell,),) = lake.sql(
        "SELECT sum(bytes) FROM column_chunks WHERE column_name = 'dwell' AND tier = 'uih'"
    ).fetchall()
    assert two.lookup.value - one.lookup.value >= dwell
    # A condition costs a scan of its own beside the one that proves the pointers.
    assert three.row_groups.value == 2 * one.row_groups.value
    assert three.lookup.value > two.lookup.value


def test_the_look_up_counts_a_pass_for_each_condition_though_they_read_the_same(lake: Lake) -> None:
    def epoch(**conditions: str | None) -> Epoch:
        groups = {name: Group(["item_id"], where=where) for name, where in conditions.items()}
        tenant = Tenant(name="x", groups=groups)
        return savings(lake.path, [tenant]).tenants[0].lake

    whole, click = epoch(a=None), epoch(a="action = 'click'")
    both = epoch(a="action = 'click'", b="action = 'view'")
    proof = whole.row_groups.value
    assert click.row_groups.value == 2 * proof
    assert both.row_groups.value == 3 * proof > 0
    # Each further condition reads the same columns once more.
    assert both.lookup.value > click.lookup.value > whole.lookup.value
    third = epoch(a="action = 'click'", b="action = 'view'", c="action = 'like'")
    for field in ("lookup", "decoded_lookup", "row_groups"):
        one, two, three = (getattr(each, field).value for each in (click, both, third))
        assert three - two == two - one > 0
    assert lake.sql(both.lookup.sql).fetchall() == [
        (both.lookup.value, both.decoded_lookup.value, both.row_groups.value)
    ]


def test_the_report_is_80_columns_wide_and_says_plainly_when_it_does_not_pay(
    exact: Report, estimate: Report
) -> None:
    for report in (exact, estimate):
        told = text(report)
        assert max(map(len, told.splitlines())) <= 80
        assert "does NOT pay" in told
    assert "±" in text(estimate)
    assert "measured" in text(exact)


def test_a_tenant_of_a_long_name_has_a_heading_that_is_cut(exact: Report) -> None:
    named = [replace(facts, name=facts.name + "x" * 90) for facts in exact.tenants]
    lines = text(replace(exact, tenants=tuple(named), union=None)).splitlines()
    assert max(map(len, lines)) == 80
    heading = lines.index("Tenant ranker" + "x" * 66 + "…")
    assert lines[heading + 1] == "-" * 80
    assert "Tenant short" + "x" * 67 + "…" in lines


def test_an_estimate_is_the_same_for_the_same_seed(lake: Lake, estimate: Report) -> None:
    again = savings(lake.path, [RANKER, SHORT], seed=3, row_group_bytes=ROW_GROUP)
    for one, other in zip(estimate.tenants, again.tenants, strict=True):
        for layout in LAYOUTS:
            mine, theirs = one.fat[layout].at_rest, other.fat[layout].at_rest
            assert (mine.value, mine.low, mine.high) == (theirs.value, theirs.low, theirs.high)


def test_a_plan_grows_with_what_it_asks_for(lake: Lake) -> None:
    def kept_as(plan: Plan) -> dict[str, dict[str, float]]:
        report = savings(lake.path, [SHORT], plan=plan)
        assert report.plan is not None
        assert "Plan" in text(report)
        return dict(report.plan["kept_as"])

    one = kept_as(Plan(per_day=1, tenants=1, length=256, days=30, price_per_tb=20))
    three = kept_as(Plan(per_day=1, tenants=3, length=256, days=30, price_per_tb=20))
    often = kept_as(Plan(per_day=10, tenants=1, length=256, days=30))
    for layout in LAYOUTS:
        assert three[layout]["at_rest"] == pytest.approx(3 * one[layout]["at_rest"])
        assert three[f"{layout}_union"]["at_rest"] == pytest.approx(one[layout]["at_rest"])
        assert often[layout]["at_rest"] > one[layout]["at_rest"]
        price = one[layout]["at_rest"] / 1e12 * 20
        assert one[layout]["price_at_rest"] == pytest.approx(price)
    assert three["uih_lake"]["at_rest"] == one["uih_lake"]["at_rest"]
    assert three["uih_lake"]["read_per_epoch"] > one["uih_lake"]["read_per_epoch"]
    assert often["request_order"]["at_rest"] > 5 * one["request_order"]["at_rest"]


def test_what_the_disk_does_not_take_is_named(lake: Lake, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="/proc/fat: No such file or directory"):
        savings(lake.path, [SHORT], keep="/proc/fat")
    with pytest.raises(OutputError, match=r"/proc/self/fd/short-.*_.*\.parquet: "):
        savings(lake.path, [SHORT], keep="/proc/self/fd")
    with room(1 << 10), pytest.raises(OutputError, match=r"a temporary file in .*too large"):
        savings(lake.path, [SHORT], keep=tmp_path)


def test_what_cannot_be_measured_is_refused(lake: Lake, tmp_path: Path) -> None:
    with pytest.raises(TenantError, match="no tenant"):
        savings(lake.path, [])
    with pytest.raises(TenantError, match="same name"):
        savings(lake.path, [SHORT, SHORT])
    for seed in (-1, None):
        with pytest.raises(InputError, match=f"seed {seed}; give an integer of at least 0"):
            savings(lake.path, [SHORT], seed=seed)
    with pytest.raises(LakeError, match="has no lake version 99"):
        savings(lake.path, [SHORT], version=99, keep=tmp_path / "kept")
    assert not (tmp_path / "kept").exists()
    with pytest.raises(TenantError, match="nothing_like_it"):
        savings(lake.path, [Tenant(name="x", groups={"g": Group(traits=["nothing_like_it"])})])
    empty = Lake.create(tmp_path / "empty", buckets=2)
    events = {"user_id": [1], "event_ts": pa.array([1], pa.timestamp("us", "UTC")), "item_id": [1]}
    empty.append(pa.table(events))
    newest = Tenant(name="x", groups={"g": Group(traits=["item_id"])})
    with pytest.raises(InputError, match="has no examples; log requests first"):
        savings(empty.path, [newest])
    empty.append(pa.table(events))
    empty.log(pa.table({"user_id": [1], "request_ts": pa.array([3], events["event_ts"].type)}))
    for exact in (True, False):
        with pytest.raises(InputError, match="has no examples up to lake version 0; choose a la"):
            savings(empty.path, [newest], version=0, exact=exact, keep=tmp_path / "kept")
    assert not (tmp_path / "kept").exists()
    assert float(savings(empty.path, [newest], version=1).rows) == 1


def test_sequences_without_events_are_measured_too(tmp_path: Path) -> None:
    lake = Lake.create(tmp_path / "lake", buckets=2)
    time = pa.timestamp("us", "UTC")
    lake.append(pa.table({"user_id": [1], "event_ts": pa.array([5], time), "item_id": [1]}))
    lake.log(pa.table({"user_id": [1, 2], "request_ts": pa.array([3, 4], time)}))
    tenant = Tenant(name="x", groups={"g": Group(traits=["item_id"])})
    for exact in (True, False):
        report = savings(lake.path, [tenant], exact=exact)
        assert [group.redundancy for group in report.tenants[0].groups] == [0.0]
        assert "does NOT pay" in text(report)
        json.dumps(report.as_dict(), allow_nan=False)
