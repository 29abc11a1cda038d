"""What a lake saves against fat rows: measured or estimated, projected, and told."""

from uih_lake.savings.measure import savings
from uih_lake.savings.model import Plan
from uih_lake.savings.report import Report

__all__ = ["Plan", "Report", "savings"]
