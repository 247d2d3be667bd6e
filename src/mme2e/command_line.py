"""From a typed function and a settings dataclass to an argument parser."""

import argparse
import inspect
import re
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import UnionType
from typing import Any, Literal, NoReturn, TypeVar, Union, get_args, get_origin

from docstring_parser import parse as parse_docstring
from jsonargparse import ArgumentParser, DefaultHelpFormatter, set_parsing_settings

from mme2e.errors import UserError

# The sentence under each field of a settings dataclass is its help.
set_parsing_settings(docstring_parse_attribute_docstrings=True)

Settings = TypeVar("Settings")
Made = TypeVar("Made")

_SEE_HELP = r" \(see '\S* --help'\)$"
_CLASS = r"<class '(?:\w+\.)*(\w+)'>"
_WRONG_VALUE = re.compile(
    r'"(?P<key>[\w.]+)"(?: element \d+)?: (?:Expected an? (?P<kind>\S+|Literal\[.*?\]|tuple .*?)\. Got value: |'
    r"Does not validate .*? Subtypes: \[(?P<kinds>.*?)\] Errors: .* Given value: )(?P<value>.*)"
)
"""How jsonargparse complains about a value."""
_KINDS = {"int": "a whole number", "float": "a number", "bool": "true or false", "str": "text", "NoneType": "none"}
_SETTINGS = "settings"
"""Parameter of a function whose fields are options."""


class _HelpFormatter(DefaultHelpFormatter):
    """Wraps the description but never the example, which people copy; options have hyphens."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        if text.startswith("example:"):
            return text
        return "\n\n".join(textwrap.fill(paragraph, width) for paragraph in text.split("\n\n"))

    def _format_action_invocation(self, action: argparse.Action) -> str:
        return _with_hyphens(super()._format_action_invocation(action))

    def _expand_help(self, action: argparse.Action) -> str:
        return re.sub(_CLASS, r"\1", super()._expand_help(action))


class _Parser(ArgumentParser):
    """A parser whose complaints are one line."""

    positionals: Sequence[str] = ()

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        cause: BaseException | None = ex
        while cause is not None and not isinstance(cause, UserError):
            cause = cause.__cause__
        if cause is not None:
            raise UserError(str(cause)) from ex
        raise UserError(f"{self._in_our_words(' '.join(message.split()))} (see '{self.prog} --help')") from ex

    def _in_our_words(self, message: str) -> str:
        """What was received and what is expected, without the parser's own vocabulary."""
        if required := re.fullmatch(r"the following arguments are required: (.*)", message):
            names = (name if name in self.positionals else f"--{name}" for name in required[1].split(", "))
            return f"the following arguments are required: {_with_hyphens(', '.join(names))}"
        message = re.sub(rf"typing\.|Parser key |{_CLASS}", r"\1", message)
        if wrong := _WRONG_VALUE.fullmatch(message):
            kinds = re.findall(r"Literal\[.*?\]|[^,]+", wrong["kinds"] or wrong["kind"])
            expected = " or ".join(_kind(kind.strip()) for kind in kinds)
            return f"{wrong['key']} must be {expected}, not '{wrong['value']}'"
        if unknown := re.fullmatch(r"Option '(.*)' is not accepted", message):
            return f"unknown key '{unknown[1]}'"
        if unknown := re.fullmatch(r"Group '(.*)' does not accept option '(.*)'", message):
            return f"unknown key '{unknown[1]}.{unknown[2]}'"
        return _with_hyphens(message)


def _kind(kind: str) -> str:
    """A type in words."""
    if kind.startswith("Literal["):
        return "one of " + kind[8:-1].replace("'", "")
    if several := re.fullmatch(r"tuple with (\d+) elements", kind):
        return f"a list of {several[1]}"
    return _KINDS.get(kind, f"a {kind}")


def call(
    name: str, function: Callable[..., Any], positionals: Sequence[str], example: str, words: Sequence[str]
) -> Any:
    """Calls a function with what the words of a command say.

    Args:
        name: Of the command.
        function: Its typed parameters become arguments, their lines of its docstring the help; the fields of its
            parameter `settings`, a dataclass, become options and keys of `--config FILE`. Parameters that no word can
            give (functions, objects) are left out.
        positionals: Parameters that have no dashes, in order.
        example: Worked example that ends the help.
        words: Words to parse. Options have hyphens or underscores.

    Returns:
        What the function returns.

    Raises:
        UserError: The words do not fit, `--config` has an unknown key or a bad value; or as the function raises it.
            Options are named as they are written.
    """
    parser = _build_parser(name, function, positionals, example)
    settings = _settings_class(function)

    def arguments(found: dict[str, Any]) -> dict[str, Any]:
        found.pop("config", None)
        if settings is None:
            return found
        fields = {key: found.pop(key) for key in inspect.signature(settings).parameters}
        return {**found, _SETTINGS: settings(**fields)}

    with _options_named(parser, words):
        given = _parsed(parser, words, arguments)
    try:
        return function(**given)
    except UserError as error:
        # A key of one word may be just that in a message about something else.
        raise UserError(name_options(str(error), _options(key for key in given if "_" in key))) from error


def settings_from_words(settings: type[Settings], words: Sequence[str], prog: str) -> Settings:
    """Settings that the options of a command give.

    Args:
        settings: The dataclass, all of whose fields have defaults.
        words: Options, with hyphens or underscores.
        prog: Command whose help describes them.

    Raises:
        UserError: They contradict each other, or a word is unknown; settings are named as the fields are.
    """
    parser = _Parser(prog=prog)
    parser.add_class_arguments(settings)
    return _parsed(parser, words, lambda found: settings(**found))


def read_settings(file: Path, settings: type[Settings]) -> Settings:
    """Reads a YAML file whose keys are the fields of a dataclass.

    Args:
        file: YAML.
        settings: The dataclass, all of whose fields have defaults.

    Raises:
        UserError: The file cannot be read, has an unknown key or a bad value; the file is named.
    """
    parser = _Parser(prog=str(file), exit_on_error=True)
    parser.add_class_arguments(settings)
    try:
        found = parser.instantiate(parser.parse_path(file))
        return settings(**vars(found))
    except UserError as error:
        raise UserError(f"{file}: {re.sub(_SEE_HELP, '', str(error))}") from error
    except (OSError, UnicodeDecodeError, TypeError, ValueError) as error:
        raise UserError(f"{file} cannot be read: {' '.join(str(error).split())}") from error


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


def _options(keys: Iterable[str]) -> dict[str, str]:
    """Option by key."""
    return {key: f"--{key.replace('_', '-')}" for key in keys}


def _parsed(parser: _Parser, words: Sequence[str], make: Callable[[dict[str, Any]], Made]) -> Made:
    """What is made of what the words and the file of `--config` say.

    Raises:
        UserError: They do not fit.
    """
    try:
        return make(vars(parser.instantiate(parser.parse_args(_with_underscores(words)))))
    except UserError:
        raise
    except (TypeError, ValueError) as error:
        parser.error(str(error), error)


@contextmanager
def _options_named(parser: _Parser, words: Sequence[str]) -> Iterator[None]:
    """Errors name options as they are written, keys of the file of `--config` as they stand there, and the file."""
    try:
        yield
    except UserError as error:
        file, given = _given(_with_underscores(words))
        named = name_options(str(error), _options(given if file else _keys(parser)))
        if file is None or file in named:
            raise UserError(named) from error
        raise UserError(f"{named}; settings come from {file}") from error


def _with_underscores(words: Sequence[str]) -> list[str]:
    """The words with underscores in the names of options, as parameters and fields are called."""
    return [re.sub(r"^--[\w.-]+", lambda name: f"--{name[0][2:].replace('-', '_')}", word) for word in words]


def _with_hyphens(text: str) -> str:
    """Text with hyphens in the names of options."""
    return re.sub(r"(?<!\S)--[\w.]+", lambda name: name[0].replace("_", "-"), text)


def _given(words: Sequence[str]) -> tuple[str | None, set[str]]:
    """The file of `--config FILE` or `--config=FILE`, and the keys that the words give; some of them may be wrong."""
    lenient = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    lenient.add_argument("--config", nargs="?")
    known, others = lenient.parse_known_args(list(words))
    return known.config, {word[2:].partition("=")[0] for word in others if word.startswith("--")}


def _keys(parser: _Parser) -> list[str]:
    return [option[2:] for action in parser._actions for option in action.option_strings if option.startswith("--")]


def _build_parser(name: str, function: Callable[..., Any], positionals: Sequence[str], example: str) -> _Parser:
    documentation = parse_docstring(function.__doc__ or "")
    sentences = {parameter.arg_name: parameter.description for parameter in documentation.params}
    description = "\n\n".join(
        text for text in (documentation.short_description, documentation.long_description) if text
    )
    usage = " ".join(["mme2e", name, *(word.upper() for word in positionals), "[options]"])
    parser = _Parser(
        prog=f"mme2e {name}",
        usage=usage,
        description=description,
        epilog=f"example: {example}",
        formatter_class=_HelpFormatter,
    )
    parser.positionals = positionals
    for key, parameter in inspect.signature(function).parameters.items():
        if key != _SETTINGS:
            _add_parameter(parser, key, parameter, sentences.get(key), positional=key in positionals)
    settings = _settings_class(function)
    if settings is not None:
        parser.add_argument("--config", action="config", help="YAML file with any of the settings below.")
        parser.add_class_arguments(settings)
    return parser


def _settings_class(function: Callable[..., Any]) -> type | None:
    parameter = inspect.signature(function).parameters.get(_SETTINGS)
    return None if parameter is None else parameter.annotation


def _add_parameter(
    parser: _Parser, key: str, parameter: inspect.Parameter, sentence: str | None, *, positional: bool
) -> None:
    kind, many = _type_of_words(parameter.annotation)
    required = parameter.default is inspect.Parameter.empty
    if kind is None:
        return
    if positional:
        parser.add_argument(key, type=kind, nargs="+" if many else None, help=sentence)
    elif kind is bool:
        parser.add_argument(f"--{key}", action="store_true", help=sentence)
    else:
        default = list(parameter.default) if many and not required else parameter.default
        more: dict[str, Any] = {} if required else {"default": default}
        if many:
            more["nargs"] = "+"
        parser.add_argument(f"--{key}", type=kind, required=required, help=sentence, **more)


def _type_of_words(annotation: Any) -> tuple[Any, bool]:
    """What a word for a parameter is made into, and whether several words are taken.

    Of a union it is the one that a word can give: a path, text, a number or one of some words. None where none can.
    """
    members = get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)
    several = [member for member in members if get_origin(member) in (list, Sequence)]
    if several:
        kind, _ = _type_of_words(Union[tuple(get_args(member)[0] for member in several)])  # noqa: UP007
        return kind, True
    for kind in (Path, bool, int, float, str):
        if kind in members:
            break
    else:
        kind = next((member for member in members if get_origin(member) is Literal), None)
    return (kind | None if kind is not None and type(None) in members else kind), False
