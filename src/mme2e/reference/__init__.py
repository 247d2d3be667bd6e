"""All that is the original system's: its checkpoints, layout, pickles, features and command line."""
