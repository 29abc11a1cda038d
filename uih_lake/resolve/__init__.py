"""Resolve: from versioned pointers to ranges of rows in sorted runs."""
