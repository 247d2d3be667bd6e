"""The text of a recording, as it is given on the command line."""

from mme2e.transcripts.given import given_transcript


def read_transcript(given: str | None) -> str | None:
    """The text itself, or what is said in the transcript that it names (see `given_transcript`).

    Raises:
        UserError: The file is no transcript; or what is given looks like a file and there is none.
    """
    return None if given is None else given_transcript(given).text
