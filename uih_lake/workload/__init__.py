"""A seeded, made-up, realistic workload of any size, for demonstrations, tests and benchmarks."""

from uih_lake.workload.workload import Workload

__all__ = ["Workload"]
