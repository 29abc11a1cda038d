"""``uihlake demo``."""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any

import typer

from uih_lake.bytesize import size
from uih_lake.cli.terminal import Terminal, amount
from uih_lake.errors import OutputError
from uih_lake.sqlfile import statement

if TYPE_CHECKING:
    from uih_lake.workload import Workload

DELIVERIES = 5
BUCKETS = 8
BATCH = 256
TENANT = """\
name = "ranker"
context = ["label", "surface"]        # columns of the request, too

[groups.history]                      # all that the user did and was shown
traits  = ["item_id", "event_ts", "action", "dwell"]
max_len = 2048                        # the newest of it

[groups.engaged]                      # and only what was acted on
traits  = ["item_id", "category"]
where   = "action <> 'impression'"
max_len = 128
window  = "90d"
lag     = "1m"                        # not what the request brought about
"""


def demo(
    terminal: Terminal,
    directory: Annotated[
        str | None,
        typer.Argument(
            metavar="DIR",
            help="New directory to keep everything in; by default a temporary one, "
            "removed at the end.",
        ),
    ] = None,
    users: Annotated[int, typer.Option(metavar="N", min=10, help="Users to make up.")] = 2000,
    seed: Annotated[
        int, typer.Option(metavar="N", min=0, help="The same seed makes up the same events.")
    ] = 0,
) -> None:
    """Show the whole way on a made-up lake, in about a minute.

    From nothing to tensors: makes up a realistic log (Zipf items, log-normal histories, bursts,
    late and simultaneous events), appends it in several deliveries, seals, logs requests, rebuilds
    their histories for a tenant, and compares bytes. Every command is shown as it is run.

      uihlake demo
      uihlake demo playground --users 10000

    Exit codes: 0 done, 1 DIR is not empty or a step failed, 2 wrong usage.
    """
    from uih_lake.workload import Workload

    workload = Workload(users=users, mean_events=1000, requests=10 * users, seed=seed)
    with _place(directory) as place:
        show = Show(terminal, Path(place))
        if directory is None:
            show.tell(f"In the temporary directory {place}, removed at the end.")
        show.make_up(workload)
        show.fill()
        show.materialize()
        show.compare()
        show.tensors()
        if directory is None:
            show.tell(f"\nRemoved {place}; `uihlake demo DIR` keeps everything.")
        else:
            show.tell(f"\nEverything is in {place}: try the commands above on it.")


@contextmanager
def _place(directory: str | None) -> Iterator[str]:
    """A new or empty directory, or one for the block; where that fails, nothing of it is left.

    A directory that was there already stays, empty.
    """
    if directory is None:
        with TemporaryDirectory(prefix="uihlake-demo-") as temporary:
            yield temporary
        return
    if os.path.lexists(directory) and (not os.path.isdir(directory) or os.listdir(directory)):
        raise OutputError(f"{directory} is not empty", hint="name a new directory")
    new = not os.path.isdir(directory)
    os.makedirs(directory, exist_ok=True)
    try:
        yield directory
    except BaseException:
        for each in Path(directory).iterdir():
            shutil.rmtree(each) if each.is_dir() else each.unlink()
        if new:
            os.rmdir(directory)
        raise


@dataclass(frozen=True)
class Show:
    """The demonstration in ``place``, step by step; what it tells goes to stdout."""

    terminal: Terminal
    place: Path

    def tell(self, text: str) -> None:
        """A line of the story."""
        if not self.terminal.quiet:
            self.terminal.tell(text)

    def run(self, *words: str) -> None:
        """Show a command line and run it."""
        from uih_lake.cli.app import app

        self.tell(f"$ uihlake {shlex.join(words)}")
        flags = {"--quiet": self.terminal.quiet, "--no-progress": not self.terminal.bars}
        given = [flag for flag, on in flags.items() if on]
        code = app([*given, *words], prog_name="uihlake", standalone_mode=False)
        if code:
            raise typer.Exit(code)

    def path(self, name: str) -> str:
        """Path of something in the directory of the demonstration."""
        return str(self.place / name)

    def make_up(self, workload: Workload) -> None:
        """Deliveries of events, requests and a tenant as files, as if from elsewhere."""
        import pyarrow.parquet as pq

        self.tell(
            f"\nA made-up log: {amount(workload.total_events, 'event')} of"
            f" {amount(workload.users, 'user')} in {DELIVERIES} deliveries\nby arrival, some late;"
            f" {amount(workload.requests, 'request')}; and a tenant, what one model\nwants:\n"
        )
        os.makedirs(self.path("events"))
        with self.terminal.progress("making up events") as progress:
            for number, reader in enumerate(workload.appends(DELIVERIES)):
                with pq.ParquetWriter(self._delivery(number), reader.schema) as writer:
                    for batch in reader:
                        writer.write_batch(batch)
                progress(number + 1, DELIVERIES)
        pq.write_table(workload.requests_table(), self.path("requests.parquet"))
        Path(self.path("ranker.toml")).write_text(TENANT, encoding="utf-8")
        self.tell("\n".join(f"    {line}" for line in TENANT.splitlines()))

    def _delivery(self, number: int) -> str:
        return self.path(f"events/{number}.parquet")

    def fill(self) -> None:
        """Create, append, seal, append more, and ask the lake in SQL."""
        lake = self.path("lake")
        self.tell("\nA lake keeps each event once. An append is a lake version:")
        self.run("create", lake, "--buckets", str(BUCKETS))
        for number in range(DELIVERIES):
            if number == DELIVERIES - 1:
                self.tell("\nSealing sorts what is there by user; the newest stays unsealed:")
                self.run("seal", lake)
            self.run("append", lake, self._delivery(number), "--key", f"delivery-{number}")
        self.tell("\nBoth tiers are one view in SQL:")
        self.run("sql", lake, statement("demo/actions"), "--format", "table")

    def materialize(self) -> None:
        """Log the requests and rebuild their histories."""
        lake = self.path("lake")
        self.tell("A request becomes an example with a versioned pointer to its history:")
        self.run("log", lake, self.path("requests.parquet"))
        self.tell("\nFrom pointers, the history of each request is rebuilt, here into fat rows:")
        tenant, out = self.path("ranker.toml"), self.path("training")
        self.run("materialize", lake, "--tenant", tenant, "--out", out)

    def compare(self) -> None:
        """Bytes of the lake and of the fat rows."""
        import pyarrow.parquet as pq

        from uih_lake import Lake

        facts = Lake.open(self.path("lake")).info()
        sizes = {table.name: table.bytes for table in facts.tables}
        paths = [*Path(self.path("training")).iterdir()]
        footers = [pq.read_metadata(path) for path in paths]
        groups = [foot.row_group(i) for foot in footers for i in range(foot.num_row_groups)]
        plain = sum(group.total_byte_size for group in groups)
        written = sum(path.stat().st_size for path in paths)
        self.tell(
            f"""
On disk, compressed:
  the lake: every event once, all its traits        {size(sizes["uih"] + sizes["recent"]):>9}
            examples with their pointers            {size(sizes["examples"]):>9}
  fat rows: this tenant alone, sorted by user       {size(written):>9}
            before compression                      {size(plain):>9}"""
        )

    def tensors(self) -> None:
        """One batch as tensors, straight from the lake."""
        from uih_lake import Lake, Loader, Tenant
        from uih_lake.loader import shown

        lake, tenant = self.path("lake"), self.path("ranker.toml")
        self.tell(
            f"""
A trainer needs no fat rows. Batches come straight from the lake, as jagged
tensors:
>>> import uih_lake as uih
>>> lake, tenant = uih.Lake.open({lake!r}), uih.Tenant.load({tenant!r})
>>> batch = next(iter(uih.Loader(lake, tenant, batch_size={BATCH}, seed=0)))
>>> batch["history"].values["item_id"], batch["history"].offsets  # and so on"""
        )
        loader = Loader(Lake.open(lake), Tenant.load(tenant), batch_size=BATCH, seed=0)
        batches: Any = iter(loader)
        with closing(batches):  # or it would go on reading ahead
            batch = next(batches)
        tensors = {"label": batch.context["label"]}
        for name, group in batch.groups.items():
            tensors |= {f"{name}.{trait}": values for trait, values in group.values.items()}
            tensors[f"{name}.offsets"] = group.offsets
        for name, tensor in tensors.items():
            self.tell(f"  {name:<18} {shown.tensor(tensor)}")
