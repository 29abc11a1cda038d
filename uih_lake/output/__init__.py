"""Output: rebuilt examples as Parquet or Arrow files in a directory, whole or not at all."""

from uih_lake.output.directory import Written, check, write
from uih_lake.output.files import check_writing, failures_told, writing
from uih_lake.output.place import check_file

__all__ = ["Written", "check", "check_file", "check_writing", "failures_told", "write", "writing"]
