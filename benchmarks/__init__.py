"""Benchmarks: the lake against fat rows and everything else one would use, on the same cores.

Run with ``make bench`` or ``python -m benchmarks``; see ``python -m benchmarks --help``.
"""
