"""What the argument parser complains about, in the words of those who wrote the command."""

import re
from collections.abc import Iterable, Mapping, Sequence

SEE_HELP = r" \(see '\S* --help'\)$"
"""How a complaint of the parser ends."""

CLASS = r"<class '(?:\w+\.)*(\w+)'>"
"""How the parser shows a type."""

BY_NAMES = "must be settings by their names"

_WRONG_VALUE = re.compile(
    r'"(?P<key>[\w.]+)"(?: element \d+)?: (?:Expected an? (?P<kind>\S+|Literal\[.*?\]|tuple .*?)\. Got value: |'
    r"Does not validate .*? Subtypes: \[(?P<kinds>.*?)\] Errors: .* Given value: )(?P<value>.*)"
)
"""How jsonargparse complains about a value."""

_WRONG_GROUP = re.compile(r"\"(?P<key>[\w.]+)\": Unable to load config '(?P<value>.*?)' - .*")
_KINDS = {"int": "a whole number", "float": "a number", "bool": "true or false", "str": "text", "NoneType": "none"}


def in_our_words(message: str, positionals: Sequence[str]) -> str:
    """What was received and what is expected, in one line and without the parser's own vocabulary.

    Args:
        message: Of jsonargparse.
        positionals: Arguments that have no dashes.
    """
    message = " ".join(message.split())
    if required := re.fullmatch(r"the following arguments are required: (.*)", message):
        names = (name if name in positionals else f"--{name}" for name in required[1].split(", "))
        return f"the following arguments are required: {with_hyphens(', '.join(names))}"
    message = re.sub(rf"typing\.|Parser key |{CLASS}", r"\1", message)
    if wrong := _WRONG_VALUE.fullmatch(message):
        kinds = re.findall(r"Literal\[.*?\]|[^,]+", wrong["kinds"] or wrong["kind"])
        expected = " or ".join(_kind(kind.strip()) for kind in kinds)
        return f"{wrong['key']} must be {expected}, not '{wrong['value']}'"
    if wrong := _WRONG_GROUP.fullmatch(message):
        return f"{wrong['key']} {BY_NAMES}, not '{wrong['value']}'"
    if unknown := re.fullmatch(r"Option '(.*)' is not accepted", message):
        return f"unknown key '{unknown[1]}'"
    if unknown := re.fullmatch(r"Group '(.*)' does not accept option '(.*)'", message):
        return f"unknown key '{unknown[1]}.{unknown[2]}'"
    if unexpected := re.fullmatch(r"Unexpected config: ?(.*)", message):
        return f"a settings file must hold settings by their names, each with a value, not '{unexpected[1]}'"
    return with_hyphens(message)


def name_options(message: str, options: Mapping[str, str]) -> str:
    """A message with options, as people write them, in the place of the parameters and settings that they give.

    Args:
        message: For people.
        options: Option by name of a parameter or setting.
    """
    for name, option in options.items():
        # A name without a dot may be a plain word: it is a setting's where a message begins with it.
        place = "" if "." in name or "_" in name else "^"
        message = re.sub(rf"{place}(?<![\w./-])(?:--)?{re.escape(name)}(?![\w/]|\.\w)", option, message)
    return message


def options_of(keys: Iterable[str]) -> dict[str, str]:
    """Option by key."""
    return {key: f"--{key.replace('_', '-')}" for key in keys}


def with_hyphens(text: str) -> str:
    """Text with hyphens in the names of options."""
    return re.sub(r"(?<!\S)--[\w.]+", lambda name: name[0].replace("_", "-"), text)


def _kind(kind: str) -> str:
    """A type in words."""
    if kind.startswith("Literal["):
        return "one of " + kind[8:-1].replace("'", "")
    if several := re.fullmatch(r"tuple with (\d+) elements", kind):
        return f"a list of {several[1]}"
    return _KINDS.get(kind, f"a {kind}")
