"""Training, run folders and reference checkpoints."""
