"""Voice: where in a recording somebody speaks, found by Silero VAD, and the stretches that follow from it."""
