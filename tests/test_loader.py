"""Batches hold what the plain rule says, in every form and order, for every rank and thread."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from loader_lakes import EVENTS, NUMBERS, SHORT, TENANT, build, events, filled, ids, reference, rows
from torch.utils.data import DataLoader

from uih_lake import Group, InputError, Lake, PointerError, Tenant, TenantError, UihError
from uih_lake.loader import Loader
from uih_lake.loader.columns import fill_of


@pytest.fixture(scope="module", params=["dirty", "clean"])
def lake(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """Late events, nulls, users without events; once with a tail, once with text ids, sealed."""
    path = tmp_path_factory.mktemp("lake") / request.param
    return build(path, text_users=request.param == "clean", dirty=request.param == "dirty")


@pytest.fixture(scope="module")
def truth(lake: Lake) -> Any:
    """What materialize says of the lake."""
    return filled(reference(lake, TENANT))


@pytest.mark.parametrize("order", ["affinity", "user", "time", "log"])
@pytest.mark.parametrize("share", [False, True])
def test_every_order_and_form_has_the_sequences_of_materialize(
    lake: Lake, truth: Any, order: Any, share: bool
) -> None:
    loader = Loader(lake, TENANT, 16, order=order, share=share, masks=True, open_buckets=2)
    assert rows(loader) == truth
    assert rows(loader) == truth  # the second epoch, from ranges that were kept


@pytest.mark.parametrize(
    "options",
    [
        {"threads": 1, "prefetch": 1},
        {"threads": 3},
        {"open_buckets": 1},
        {"open_buckets": 99},
        {"budget": 1},
        {"max_tokens": 60},
        {"pad_last": True},
        {"batch_size": 1},
        {"batch_size": 1000},
        {"time_window": "6h", "order": "time"},
    ],
    ids=str,
)
def test_no_setting_changes_what_an_example_is(lake: Lake, truth: Any, options: Any) -> None:
    assert rows(Loader(lake, TENANT, masks=True, **{"batch_size": 32, **options})) == truth


@pytest.mark.parametrize("ranks", [2, 3])
@pytest.mark.parametrize("order", ["affinity", "user"])
def test_ranks_share_an_epoch(lake: Lake, truth: Any, ranks: int, order: Any) -> None:
    found: dict[Any, Any] = {}
    for rank in range(ranks):
        loader = Loader(lake, TENANT, 8, masks=True, order=order, rank=rank, num_ranks=ranks)
        batches = list(loader)
        assert len(batches) == len(loader)
        mine = rows(batches)
        assert not found.keys() & mine.keys()
        found |= mine
    assert found == truth


@pytest.mark.parametrize("last", ["drop_last", "pad_last"])
@pytest.mark.parametrize("tokens", [None, 80])
def test_ranks_can_be_given_as_many_steps(lake: Lake, last: str, tokens: int | None) -> None:
    loaders = [
        Loader(lake, TENANT, 8, rank=rank, num_ranks=3, max_tokens=tokens, **{last: True})
        for rank in range(3)
    ]
    taken = [list(loader) for loader in loaders]
    assert len({len(batches) for batches in taken}) == 1
    if tokens is None:
        assert {len(batch) for batches in taken for batch in batches} == {8}
    found = [example for batches in taken for batch in batches for example in ids(batch)]
    assert len(found) == len(set(found))
    assert len(found) == 140 if last == "pad_last" else len(found) > 100


def test_the_same_seed_gives_the_same_batches_whatever_the_threads(lake: Lake) -> None:
    runs = [
        [ids(batch) for batch in Loader(lake, TENANT, 16, seed=7, threads=threads)]
        for threads in (1, 2, 4)
    ]
    assert runs[0] == runs[1] == runs[2]
    others = [ids(batch) for batch in Loader(lake, TENANT, 16, seed=8)]
    assert others != runs[0]


def test_epochs_differ_and_can_be_gone_to(lake: Lake) -> None:
    loader = Loader(lake, TENANT, 16)
    epochs = [[ids(batch) for batch in loader] for _ in range(3)]
    assert loader.epoch == 3
    assert epochs[0] != epochs[1] != epochs[2]
    loader.set_epoch(1)
    assert [ids(batch) for batch in loader] == epochs[1]


def test_batches_are_in_the_order_of_their_time(lake: Lake) -> None:
    day = 86_400_000_000
    loader = Loader(lake, TENANT, 8, order="time", time_window="1d")
    days = [int(ts) // day for batch in loader for ts in batch.request_ts]
    assert days == sorted(days)


def test_tokens_bound_a_batch(lake: Lake) -> None:
    loader = Loader(lake, TENANT, 1000, max_tokens=100)
    batches = list(loader)
    assert all(batch.events <= 100 for batch in batches)
    assert len(batches) > 3
    with pytest.raises(TypeError):
        len(loader)


def test_several_tenants_come_from_one_pass(lake: Lake, truth: Any) -> None:
    batches = list(Loader(lake, [TENANT, SHORT], 16, masks=True))
    assert rows(batch["ranker"] for batch in batches) == truth
    short = reference(lake, SHORT)
    assert rows(batch["short"] for batch in batches) == short
    alone = [ids(batch) for batch in Loader(lake, SHORT, 16)]
    assert alone == [ids(batch["short"]) for batch in batches]


def test_all_tenants_fit_one_state_of_the_lake(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A trait that comes between their checks is not there in the one that is used."""
    lake, check = build(tmp_path / "lake"), Tenant.check
    tenants = [SHORT, Tenant("late", {"g": Group(["late"])})]
    late = events(random.Random(6), [1], 1).append_column("late", pa.array([1]))

    def checked(tenant: Tenant, *columns: pa.Schema) -> None:
        check(tenant, *columns)
        Lake.open(lake.path).append(late, add_columns=True, key="once")

    monkeypatch.setattr(Tenant, "check", checked)
    with pytest.raises(TenantError, match="trait 'late'"):
        Loader(lake, tenants)
    (batch,) = Loader(lake, tenants, 140)
    assert len(batch["late"]) == 140


def test_where_picks_examples(lake: Lake, truth: Any) -> None:
    found = rows(Loader(lake, TENANT, 16, masks=True, where="label = 1"))
    assert found == {k: row for k, row in truth.items() if row["label"] == 1}


@pytest.mark.parametrize(
    ("column", "fill", "becomes"),
    [
        ("item", np.int64(-3), -3),
        ("small", np.uint8(127), 127),
        ("seen", np.int32(5), 5),
        ("flag", np.True_, True),
        ("dwell", np.float32(0.5), 0.5),
        ("dwell", np.int64(2), 2.0),
        ("price", -1e300, -1e300),
        ("price", np.inf, np.inf),
        ("dwell", -np.inf, -np.inf),
    ],
)
def test_numbers_of_numpy_and_infinity_fill(column: str, fill: Any, becomes: float) -> None:
    found = fill_of(column, EVENTS.field(column).type, fill, None)
    assert (found, type(found)) == (becomes, type(becomes))


def test_nulls_become_the_declared_value(lake: Lake) -> None:
    fill = {
        "item": -5,
        "action": "unknown",
        "dwell": 0.25,
        "seen": 3,
        "surface": "home",
        "asked": 9,
    }
    masked = rows(Loader(lake, TENANT, 16, masks=True))
    found = rows(Loader(lake, TENANT, 16, fill=fill))
    for example, row in masked.items():
        for group in ("clicks", "recent", "week"):
            for trait, values in row[group].items():
                other = {"flag": False, "action": "unknown"}.get(trait, fill.get(trait, 0))
                wanted = [other if v is None and trait not in _LISTS else v for v in values]
                if trait not in _LISTS:
                    assert found[example][group][trait] == wanted, trait
        assert found[example]["surface"] == (row["surface"] or "home")
        assert found[example]["asked"] == (9 if row["asked"] is None else row["asked"])


_LISTS = ("tags", "vector")


def test_stochastic_length_keeps_the_newest_events(lake: Lake) -> None:
    whole = rows(Loader(lake, SHORT, 16, masks=True))
    tenant = SHORT
    short = rows(Loader(lake, tenant, 16, masks=True, stochastic_length=1.01))
    again = rows(Loader(lake, tenant, 16, masks=True, stochastic_length=1.01, threads=1))
    assert short == again
    shortened = 0
    for example, row in whole.items():
        items, kept = row["clicks"]["item"], short[example]["clicks"]["item"]
        assert kept == items[len(items) - len(kept) :]
        shortened += len(kept) < len(items)
        assert len(kept) in (len(items), 2)
    assert 0 < shortened < len(whole)
    assert rows(Loader(lake, tenant, 16, masks=True, stochastic_length=2.0)) == whole
    with pytest.raises(InputError, match=r"stochastic_length 2\.5; it is above 1 and at most 2"):
        Loader(lake, tenant, stochastic_length=2.5)


def test_what_is_sealed_or_appended_later_changes_nothing(tmp_path: Path) -> None:
    lake = build(tmp_path / "lake")
    before = [rows([batch]) for batch in Loader(lake, TENANT, 16, masks=True)]
    lake.seal()
    lake.compact()
    assert [rows([batch]) for batch in Loader(lake, TENANT, 16, masks=True)] == before


def test_pointers_of_forgotten_and_expired_histories_follow_the_policy(tmp_path: Path) -> None:
    lake = build(tmp_path / "lake")
    lake.retain(days=1)
    with pytest.raises(PointerError):
        list(Loader(lake, TENANT, 16))
    dropping = Loader(lake, TENANT, 16, masks=True, on_mismatch="drop")
    assert rows(dropping) == filled(reference(lake, TENANT, on_mismatch="drop"))
    assert dropping.pointers.expired > 0
    assert len(rows(Loader(lake, TENANT, 16, on_mismatch="keep"))) == 140


def test_a_pointer_is_counted_once_whatever_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By time a bucket is opened several times an epoch, and resolved anew if nothing is kept."""
    lake = build(tmp_path / "lake")
    lake.retain(days=8)
    options: dict[str, Any] = {"order": "time", "on_mismatch": "drop"}
    kept = Loader(lake, NUMBERS, 16, **options)
    passed = ids_of(kept)
    monkeypatch.setattr("uih_lake.loader.source.RESOLVED_BYTES", 0)
    anew = Loader(lake, NUMBERS, 16, **options)
    for _ in range(2):
        assert ids_of(anew) == passed
        assert anew.pointers == kept.pointers
        anew.set_epoch(0)
    assert (anew.pointers.examples, len(passed)) == (140, 140 - anew.pointers.expired)
    assert 0 < anew.pointers.expired < 140


def ids_of(loader: Loader) -> list[int]:
    return sorted(example for batch in loader for example in ids(batch))


def test_where_there_is_no_example_there_are_no_batches(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It says so: a loop that counts steps would go on for ever."""
    lake = build(tmp_path / "lake")
    caplog.clear()  # of warnings that its times are of 1970
    empty = Loader(lake, TENANT, where="label = 17")
    assert caplog.messages == ["there is no example that meets [label = 17]"]
    assert list(empty) == []
    assert len(empty) == 0
    Loader(lake, TENANT, where="label = 17", follow=True)
    assert len(caplog.messages) == 1, "who follows waits for examples"
    Loader(Lake.create(tmp_path / "none"), Tenant("t", {"g": Group(["event_ts"])}))
    assert caplog.messages[1:] == ["there is no example"]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"batch_size": 0}, "batch_size 0"),
        ({"batch_size": 1.5}, "batch_size 1.5; give an integer from 1 to 10{12}"),
        ({"max_tokens": "9"}, "max_tokens '9'"),
        ({"seed": -1}, "seed -1; give an integer of at least 0"),
        ({"seed": 0.5}, "seed 0.5"),
        ({"device": "cuda:99"}, "no device 'cuda:99' on this machine; those there are: cpu"),
        ({"device": "gpu"}, "'gpu' is no device"),
        ({"order": "random"}, "no order 'random'"),
        ({"drop_last": True, "pad_last": True}, "contradict each other; .* give one of them"),
        ({"follow": True, "order": "time"}, "goes in the order 'log', not 'time'"),
        ({"follow": True, "order": "user"}, "goes in the order 'log', not 'user'"),
        ({"batch_size": 2**63}, f"batch_size {2**63}; give an integer from 1 to"),
        ({"seed": None}, "seed None"),
        ({"rank": 2, "num_ranks": 2}, "rank 2 of 2"),
        ({"rank": 0.5, "num_ranks": 2}, "rank 0.5; give an integer"),
        ({"rank": "0", "num_ranks": 2}, "rank '0'"),
        ({"rank": 0, "num_ranks": 1.5}, "num_ranks 1.5; give an integer of at least 1"),
        ({"rank": 1}, "go together"),
        ({"threads": 0}, "threads 0"),
        ({"fill": {"nobody": 1}}, "'nobody' is neither"),
        ({"fill": {"item": "x"}}, "fill 'x' of column 'item'"),
        ({"fill": {"small": 1000}}, "fill 1000 of column 'small'"),
        ({"fill": {"item": 0.5}}, "fill 0.5 of column 'item'"),
        ({"share": "no"}, "share 'no'; give True or False"),
        ({"masks": 1}, "masks 1"),
        ({"drop_last": None}, "drop_last None"),
        ({"pad_last": "no"}, "pad_last 'no'"),
        ({"follow": 0}, "follow 0"),
        ({"poll_s": "x"}, "poll_s 'x'; give a number of seconds, 0 or more"),
        ({"poll_s": -1}, "poll_s -1"),
        ({"poll_s": 1e300}, r"poll_s 1e\+300"),
        ({"where": 3}, "where 3; give a condition as text"),
        ({"where": ["label"]}, r"where \['label'\]"),
        ({"fill": 3}, "fill 3; give a dict"),
        ({"fill": {"action": "\ud800"}}, r"fill '\\ud800' of column 'action' is no text"),
        ({"fill": {"item": None}}, "fill None of column 'item'"),
        ({"fill": {"item": True}}, "fill True of column 'item'"),
        ({"fill": {"flag": 2}}, "fill 2 of column 'flag'"),
        ({"fill": {"dwell": 1e300}}, r"fill 1e\+300 of column 'dwell' does not fit its type float"),
        ({"fill": {"vector": -1e39}}, r"fill -1e\+39 of column 'vector'"),
        ({"fill": {"price": 10**400}}, "fill 10{400} of column 'price'"),
        ({"fill": {"price": None}}, "fill None of column 'price'"),
        ({"stochastic_length": 1.5}, "has no max_len"),
        ({"stochastic_length": "a"}, "stochastic_length 'a'; give a number"),
        ({"time_window": "soon"}, "time_window"),
        ({"time_window": 3}, "time_window: 3 is not a duration"),
        ({"words": 3}, "words 3; give a dict"),
        ({"words": {"action": None}}, "those of 'action' are no list of strings"),
        ({"words": {"action": ["a", "\ud800"]}}, r"'\\ud800' of 'action' is no text"),
        ({"words": {"nobody": ["x"]}}, "'nobody' is neither"),
        ({"words": {"item": ["x"]}}, "'item' holds no strings"),
        ({"words": {"action": "click"}}, "those of 'action' are no list of strings"),
        ({"words": {"action": ["a", "a"]}}, "one of 'action' is there twice"),
        ({"on_mismatch": "ignore"}, "no policy 'ignore'"),
    ],
    ids=str,
)
def test_arguments_that_make_no_sense_are_refused(
    lake: Lake, options: dict[str, Any], says: str
) -> None:
    with pytest.raises(InputError, match=says):
        Loader(lake, TENANT, **options)


def test_a_batch_may_be_larger_than_all_examples(lake: Lake, truth: Any) -> None:
    """Places of a step that is never full are not made: they would take more than any memory."""
    assert rows(Loader(lake, TENANT, 10**12, masks=True)) == truth
    assert list(Loader(lake, TENANT, 10**12, drop_last=True)) == []


def test_batches_go_where_they_are_told(lake: Lake) -> None:
    batch = next(iter(Loader(lake, TENANT, 16, share=True, masks=True)))
    meta = batch.to("meta")
    assert {t.device.type for t in meta.tensors()} == {"meta"}
    assert batch.to("cpu").request_ts.data_ptr() == batch.request_ts.data_ptr()
    assert batch.nbytes > 0
    batch.record_stream(None)  # no CUDA tensor, nothing to record
    assert meta["clicks"].longest == batch["clicks"].longest


@pytest.mark.parametrize("given", ["ranker.toml", Path("ranker.toml"), ["ranker.toml"]], ids=repr)
def test_what_is_no_tenant_is_refused(lake: Lake, given: Any) -> None:
    says = r"'ranker.toml'\)? is no tenant; load it first: Tenant\.load"
    with pytest.raises(TenantError, match=says):
        Loader(lake, given)
    with pytest.raises(TenantError, match=r"is no tenant; load it first: Tenant\.load"):
        lake.materialize(given)


@pytest.mark.parametrize("given", ["lake", Path("lake"), None], ids=repr)
def test_what_is_no_lake_is_refused(given: Any) -> None:
    with pytest.raises(InputError, match=r"is no lake; open it first: Lake\.open"):
        Loader(given, TENANT)


@pytest.mark.parametrize("tenants", [NUMBERS, [NUMBERS, SHORT]], ids=["one", "several"])
@pytest.mark.parametrize("batch_size", [1, 2])
def test_a_data_loader_that_would_batch_batches_is_refused(
    lake: Lake, tenants: Any, batch_size: int
) -> None:
    with pytest.raises(UihError, match="give the DataLoader batch_size=None"):
        next(iter(DataLoader(Loader(lake, tenants, 16), batch_size=batch_size)))


@pytest.mark.parametrize("named", [torch.float16, "float16", "cpu:x", None], ids=str)
def test_what_is_no_device_is_refused(lake: Lake, named: Any) -> None:
    batch = next(iter(Loader(lake, TENANT, 16)))
    for tensors in (batch, batch["clicks"]):
        with pytest.raises(InputError, match=f"{named!r} is no device; give 'cpu'") as refused:
            tensors.to(named)
        assert ("autocast" in str(refused.value)) == ("float16" in str(named))


@pytest.mark.gpu
@pytest.mark.parametrize("share", [False, True])
def test_a_gpu_gets_the_same_batches(lake: Lake, truth: Any, share: bool) -> None:
    loader = Loader(lake, TENANT, 16, "cuda", masks=True, share=share)
    batches = list(loader)
    assert {t.device.type for batch in batches for t in batch.tensors()} == {"cuda"}
    assert rows(batches) == truth
    assert rows(batch.pin_memory() for batch in Loader(lake, TENANT, 16, masks=True)) == truth
    torch.cuda.synchronize()


def test_two_tenants_of_one_name_are_refused(lake: Lake) -> None:
    with pytest.raises(TenantError, match="two tenants have the same name, 'short'; give each"):
        Loader(lake, [SHORT, NUMBERS, SHORT])
    with pytest.raises(TenantError, match="no tenant is given; name at least one"):
        Loader(lake, [])
