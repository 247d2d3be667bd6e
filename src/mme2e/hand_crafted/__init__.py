"""Hand-crafted features of a prepared corpus, for the baselines."""
