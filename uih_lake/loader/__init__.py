"""The torch loader: examples of a lake as batches of tensors, in a chosen order, resumable."""

from uih_lake.loader.batch import Batch
from uih_lake.loader.jagged import Jagged, Nested, Shared
from uih_lake.loader.loader import Loader
from uih_lake.loader.meters import Meters

__all__ = ["Batch", "Jagged", "Loader", "Meters", "Nested", "Shared"]
