"""The contestants: one way each to turn what is stored into batches."""
