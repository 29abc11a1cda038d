"""Gather: from row ranges to contiguous values and offsets."""
