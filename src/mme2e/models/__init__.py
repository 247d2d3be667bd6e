"""The networks: plain modules that take a Batch and know no files."""
