"""How the command ends."""

EXIT_OK, EXIT_INCOMPLETE, EXIT_USER_ERROR, EXIT_INTERRUPTED = 0, 1, 2, 130
"""Done; done, but some input could not be used or a check failed; the user's mistake; interrupted."""
