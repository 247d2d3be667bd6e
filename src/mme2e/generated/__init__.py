"""A generated corpus in the raw layout of a real one, to try everything on without a licence."""
