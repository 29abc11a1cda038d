"""Versioned pointers and the table of examples that holds them."""
