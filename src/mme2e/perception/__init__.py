"""Intervals of a recording in, observations out: what training and prediction see and hear, by the same road."""
