"""Delta tables: open, create, list files, and commit files against racing writers.

The toolkit writes its Parquet files itself (their encodings, order and row groups decide the speed
of everything else) and uses Delta for what Delta is best at: atomic, versioned commits. Every
commit carries one counter, an application transaction under :data:`WRITER`, so that two writers
who saw the same table cannot both win: the second one is told to look again.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, PostCommitHookProperties, Schema, Transaction
from deltalake.exceptions import DeltaError, TableNotFoundError
from deltalake.transaction import AddAction, RemoveAction
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from uih_lake import damage
from uih_lake.errors import ConflictError, CorruptionError, LakeError
from uih_lake.lake import disk, heads
from uih_lake.wording import on_one_line

T = TypeVar("T")

WRITER = "uih_lake.writer"
_LOG_SETTINGS = {
    "delta.logRetentionDuration": "interval 3650 days",
    # Who opens a table reads every entry since the last checkpoint.
    "delta.checkpointInterval": "10",
}
_TRIES = 60


@dataclass(frozen=True, eq=False)
class File:
    """One data file of a table: path relative to the table, bytes, rows, partition values."""

    path: str
    size: int
    rows: int
    partition: Mapping[str, int]


class Raced(Exception):
    """Another writer committed first; the table has been refreshed."""


@dataclass
class _Seen:
    """What one version of a table has told: Delta looks through all of its log for each answer."""

    version: int
    counters: dict[str, int | None] = field(default_factory=dict)
    files: list[File] | None = None


class Table:
    """One Delta table, seen at one version until :meth:`refresh`."""

    def __init__(self, delta: DeltaTable, root: str) -> None:
        self._delta = delta
        self._last = _Seen(self.version)
        self.root = root

    @classmethod
    def open(cls, root: str) -> Table | None:
        """Open the newest version of the table at ``root``; None where there is no table."""
        with _reading(root):
            heads.check_checkpoint(root)
            try:
                return cls(DeltaTable(root), root)
            except TableNotFoundError:
                return None

    @classmethod
    def create(
        cls, root: str, schema: pa.Schema, partition: str, settings: Mapping[str, str]
    ) -> None:
        """Create the table, or leave it as it is where an interrupted create got this far."""
        try:
            DeltaTable.create(
                root,
                schema=Schema.from_arrow(schema.append(pa.field(partition, pa.int64()))),
                mode="ignore",
                partition_by=[partition],
                configuration={**_LOG_SETTINGS, **settings},
                raise_if_key_not_exists=False,
            )
            for place in (*heads.written(root, 0), Path(root)):
                disk.sync(place)
        except (DeltaError, OSError, ValueError) as error:
            raise LakeError(
                f"no table can be created at {root!r}: {_delta_says(error)}",
                hint="choose another path, writable and with a plain name",
            ) from error

    @property
    def version(self) -> int:
        """Delta version."""
        return self._delta.version()

    @property
    def schema(self) -> pa.Schema:
        """Arrow schema of the data columns (the partition column is not in the files)."""
        partition = set(self._delta.metadata().partition_columns)
        return pa.schema([f for f in pa.schema(self._delta.schema()) if f.name not in partition])

    def setting(self, key: str) -> str | None:
        """A setting given at creation."""
        return self._delta.metadata().configuration.get(key)

    def counter(self, name: str) -> int | None:
        """The newest value committed for the application transaction ``name``."""
        counters = self._seen.counters
        if name not in counters:
            counters[name] = self._delta.transaction_version(name)
        return counters[name]

    def counted(self, name: str, start: int = 0) -> int:
        """As :meth:`counter`; ``start`` where none was committed yet."""
        counter = self.counter(name)
        return start if counter is None else counter

    def files(self) -> list[File]:
        """The data files of this version."""
        seen = self._seen
        if seen.files is None:
            seen.files = self._listed()
        return list(seen.files)

    @property
    def _seen(self) -> _Seen:
        if self._last.version != self.version:
            self._last = _Seen(self.version)
        return self._last

    def _listed(self) -> list[File]:
        added = self._delta.get_add_actions(flatten=True)
        # Not pa.table, which imports pandas where there is one, to tell its frames from others.
        actions = pa.RecordBatchReader.from_stream(added).read_all()
        (partition,) = self._delta.metadata().partition_columns
        key = f"partition.{partition}"
        if key not in actions.column_names:
            return []
        picked = actions.select(["path", "size_bytes", "num_records", key]).to_pylist()
        return [
            File(row["path"], row["size_bytes"], row["num_records"], {partition: row[key]})
            for row in picked
        ]

    def refresh(self) -> None:
        """Move to the newest version.

        Raises :class:`CorruptionError` where the log ends before a version it has reached before,
        and :class:`LakeError` where the table is gone.
        """
        if not heads.is_there(self.root):
            raise disk.gone(self.root)
        with _reading(self.root):
            least = heads.noted(self.root)
            # Delta takes a millisecond to find nothing new; a look for one file does not.
            if least > self.version or heads.goes_on(self.root, self.version):
                heads.check_checkpoint(self.root)
                self._delta.update_incremental()
                heads.check_reached(self.root, self.version, least)

    def commit(
        self,
        add: Sequence[File] = (),
        remove: Sequence[File] = (),
        *,
        counters: Mapping[str, int] | None = None,
        schema: pa.Schema | None = None,
    ) -> None:
        """Add and remove files in one atomic version, provided nobody committed since.

        ``counters`` are recorded with the commit; ``schema`` replaces the table's where it differs.
        Raises :class:`Raced` where another writer was first, :class:`OutputError` where the disk
        does not take it.
        """
        (partition,) = self._delta.metadata().partition_columns
        now = int(time.time() * 1000)
        actions: list[AddAction | RemoveAction] = [
            RemoveAction(f.path, True, now, f.size, {partition: str(f.partition[partition])})
            for f in remove
        ]
        actions += [
            AddAction(
                f.path,
                f.size,
                {partition: str(f.partition[partition])},
                now,
                True,
                f'{{"numRecords":{f.rows}}}',
            )
            for f in add
        ]
        numbers = {WRITER: self.version + 1, **(counters or {})}
        before = self.version
        if add:
            self._sync(".")
        stored = self.schema if schema is None else schema
        widened = not stored.equals(self.schema, check_metadata=True)
        try:
            self._delta.create_write_transaction(
                actions,
                # Overwriting a partition that cannot exist is how one commit both adds files and
                # replaces the schema.
                mode="overwrite" if widened else "append",
                schema=Schema.from_arrow(stored.append(pa.field(partition, pa.int64()))),
                partition_by=[partition],
                partition_filters=[(partition, "=", "-1")] if widened else None,
                commit_properties=CommitProperties(
                    app_transactions=[Transaction(k, v) for k, v in numbers.items()],
                    max_commit_retries=0,
                ),
                post_commithook_properties=PostCommitHookProperties(cleanup_expired_logs=False),
            )
        except (DeltaError, OSError) as error:
            self._find_out(before, add, error)
        self._sync(*heads.written(self.root, before + 1))
        with suppress(LakeError, CorruptionError):  # it stands, and the next look tells more
            self.refresh()
        heads.note(self.root, self.version)

    def _sync(self, *places: str | Path) -> None:
        """Make files or directories survive a power cut: what comes next rests on them."""
        with disk.taking(self.root):
            for place in places:
                disk.sync(Path(self.root, place))

    def _find_out(self, before: int, add: Sequence[File], error: Exception) -> None:
        """What an error of a commit means: raise it as such, unless the commit was made.

        Delta writes a checkpoint behind some entries; that it cannot takes nothing back.
        """
        self.refresh()
        if self.version == before:
            raise disk.refusal(self.root, _delta_says(error)) from error
        known = {file.path for file in self.files()}
        if not add or not known.issuperset(file.path for file in add):
            raise Raced from error

    def swap(self, old: Sequence[File], new: File, what: str) -> None:
        """Put ``new`` in the place of ``old``, or discard it where one of those is gone already."""
        paths = {file.path for file in old}

        def attempt() -> None:
            present = [f for f in self.files() if f.path in paths]
            if len(present) == len(paths):
                self.commit([new], present)
            else:
                self.discard([new])

        with self.discarding([new]):
            optimistic(attempt, what)

    @contextmanager
    def discarding(self, files: Sequence[File]) -> Iterator[None]:
        """Delete the uncommitted of ``files`` when the work inside fails or is interrupted."""
        try:
            yield
        except BaseException:
            self.discard(files)
            raise

    def vacuum(self, retain_hours: int, dry_run: bool) -> list[str]:
        """Delete files no version of the last ``retain_hours`` needs; their paths in the table."""
        try:
            return self._delta.vacuum(
                retain_hours, dry_run=dry_run, enforce_retention_duration=False, full=True
            )
        except (DeltaError, OSError) as error:  # it notes in the log what it does
            raise disk.refusal(self.root, _delta_says(error)) from error

    def discard(self, files: Sequence[File]) -> None:
        """Delete those of the files that were written and never committed.

        The newest version is asked which they are: an interrupt can come between a commit and its
        return, and must not take along what the commit made true.
        """
        if not files:
            return
        self.refresh()
        committed = {file.path for file in self.files()}
        for file in files:
            if file.path not in committed:
                Path(self.root, file.path).unlink(missing_ok=True)

    def unused_bytes(self) -> int:
        """Bytes of the data files in the table's directory that this version does not have."""
        known, found = {file.path for file in self.files()}, 0
        with suppress(FileNotFoundError), os.scandir(self.root) as entries:
            for entry in entries:
                if entry.name.endswith(".parquet") and entry.name not in known:
                    with suppress(FileNotFoundError):  # a vacuum is at work
                        found += entry.stat().st_size
        return found

    def path(self, file: File) -> str:
        """Absolute path of a data file."""
        return os.path.join(self.root, file.path)


@contextmanager
def _reading(root: str) -> Iterator[None]:
    """Raise :class:`CorruptionError` where the Delta log of a table cannot be read.

    Or :class:`LakeError`, where it is the system that does not give it, and in a process that was
    forked from one that has read a log: Delta's threads stay with the parent.
    """
    try:
        yield
    except (DeltaError, OSError, ValueError) as error:
        raise damage.told_of_log(root, error, _delta_says(error)) from error
    except BaseException as panic:
        if "Forked process detected" not in str(panic):
            raise
        raise LakeError(
            f"the Delta log of {root} cannot be read in a forked process",
            hint="start workers with multiprocessing_context='spawn'",
        ) from None


def optimistic(attempt: Callable[[], T], what: str) -> T:
    """Run ``attempt`` again, after a random pause, for as long as it raises :class:`Raced`.

    Raises :class:`ConflictError` after a bounded number of lost races.
    """
    retrying = Retrying(
        retry=retry_if_exception_type(Raced),
        stop=stop_after_attempt(_TRIES),
        wait=wait_random_exponential(multiplier=0.01, max=1.0),
        reraise=True,
    )
    try:
        return retrying(attempt)
    except Raced as error:
        raise ConflictError(
            f"{what} lost the race against other writers {_TRIES} times",
            hint="nothing was changed by it; run it again when fewer writers are at work",
        ) from error


_OS_ERROR = re.compile(r'Os \{ [^{}]*message: "([^"]*)" \}')


def _delta_says(error: BaseException) -> str:
    """What an error of Delta says, and of one of the operating system only its message."""
    return on_one_line(_OS_ERROR.sub(r"\1", str(error))).replace(" ↳ ", ": ")
