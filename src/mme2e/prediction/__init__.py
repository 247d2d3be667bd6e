"""From one recording or thousands to timelines in files: the command `predict`."""
