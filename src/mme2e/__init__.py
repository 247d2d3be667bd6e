"""Emotions from raw video, sound and words."""
