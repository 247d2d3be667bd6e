"""Timelines as files: one module a format, one table by suffix (`mme2e.writers.table`)."""
