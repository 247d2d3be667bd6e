"""The command line of the reference implementation, put on this one: what `main.py` runs."""
