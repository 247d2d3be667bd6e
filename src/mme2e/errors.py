"""The errors that are the user's to mend."""


class UserError(ValueError):
    """A mistake that one line explains: what was received and what is expected.

    The command line prints the message on standard error and exits with status 2; from Python it is raised as it is.
    """


class MediaError(UserError):
    """A video, audio or image file that cannot be read. Work on many files counts it, names it and goes on."""
