"""What settings may be: a contradiction is refused with the option's name."""

from mme2e.errors import UserError


def require(condition: bool, message: str) -> None:
    """Refuses settings.

    Raises:
        UserError: The condition is false.
    """
    if not condition:
        raise UserError(message)


def require_positive(settings: object, prefix: str, *names: str) -> None:
    """Refuses a field below 1.

    Args:
        settings: Holds the fields.
        prefix: What stands before the fields' names on the command line.
        names: The fields.

    Raises:
        UserError: One is below 1.
    """
    for name in names:
        value = getattr(settings, name)
        require(value >= 1, f"{prefix}{name} must be at least 1, not {value}")
