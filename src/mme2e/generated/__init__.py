"""A generated corpus in the raw layout of a real one, to try everything on without a licence."""

from mme2e.generated.writer import write_sample

__all__ = ["write_sample"]
