"""From a typed function and a settings dataclass to an argument parser."""

import argparse
import inspect
import re
import textwrap
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import is_dataclass
from pathlib import Path
from types import UnionType
from typing import Any, Literal, NoReturn, TypeVar, Union, get_args, get_origin, get_type_hints

import yaml
from docstring_parser import parse as parse_docstring
from jsonargparse import ArgumentParser, DefaultHelpFormatter, set_parsing_settings

from mme2e.errors import UserError
from mme2e.parser_messages import BY_NAMES, CLASS, SEE_HELP, in_our_words, name_options, options_of, with_hyphens

# The sentence under each field of a settings dataclass is its help.
set_parsing_settings(docstring_parse_attribute_docstrings=True)

Settings = TypeVar("Settings")
Made = TypeVar("Made")

_SETTINGS = "settings"
"""Parameter of a function whose fields are options."""


class _HelpFormatter(DefaultHelpFormatter):
    """Wraps the description but never the example, which people copy; options have hyphens."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        if text.startswith("example:"):
            return text
        return "\n\n".join(textwrap.fill(paragraph, width) for paragraph in text.split("\n\n"))

    def _format_action_invocation(self, action: argparse.Action) -> str:
        return with_hyphens(super()._format_action_invocation(action))

    def _expand_help(self, action: argparse.Action) -> str:
        return re.sub(CLASS, r"\1", super()._expand_help(action))


class _Parser(ArgumentParser):
    """A parser whose complaints are one line.

    Attributes:
        positionals: Arguments that have no dashes.
        settings: Dataclass whose fields are options and the keys of a settings file; None without any.
    """

    positionals: Sequence[str] = ()
    settings: type | None = None

    def add_settings(self, settings: type) -> None:
        """Adds the fields of a dataclass, all of which have defaults."""
        self.settings = settings
        self.add_class_arguments(settings)

    def parse_string(self, *args: Any, **kwargs: Any) -> Any:
        """As jsonargparse, which passes over a number in the place of a group of settings: that is refused here."""
        # The text is the first argument; its name changed with the versions: cfg_str, content.
        content: str = args[0] if args else kwargs["content" if "content" in kwargs else "cfg_str"]
        try:
            found = yaml.safe_load(content)
        except (yaml.YAMLError, ValueError, RecursionError):
            found = None  # jsonargparse says what is wrong with it
        if isinstance(found, dict) and self.settings is not None:
            _require_groups(found, self.settings)
        return super().parse_string(*args, **kwargs)

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        cause: BaseException | None = ex
        while cause is not None and not isinstance(cause, UserError):
            cause = cause.__cause__
        if cause is not None:
            raise UserError(str(cause)) from ex
        raise UserError(f"{in_our_words(message, self.positionals)} (see '{self.prog} --help')") from ex


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
        raise UserError(name_options(str(error), options_of(key for key in given if "_" in key))) from error


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
    parser.add_settings(settings)
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
    parser.add_settings(settings)
    try:
        found = parser.instantiate(parser.parse_path(file))
        return settings(**vars(found))
    except UserError as error:
        raise UserError(f"{file}: {re.sub(SEE_HELP, '', str(error))}") from error
    except (OSError, UnicodeDecodeError, TypeError, ValueError) as error:
        raise UserError(f"{file} cannot be read: {' '.join(str(error).split())}") from error


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


def _require_groups(content: Any, kind: Any, place: str = "") -> None:
    """Checks that what is given for a group of settings is settings by their names.

    Args:
        content: What YAML gave.
        kind: What is expected: a dataclass or a dict of such; anything else is jsonargparse's to check.
        place: Key of the content, with dots; empty for the whole file.

    Raises:
        UserError: It is not; the key is named.
    """
    named = get_origin(kind) is dict and is_dataclass(get_args(kind)[1])
    if not (named or is_dataclass(kind)):
        return
    if isinstance(content, str) and not named:
        return  # the name of a file that holds them
    if not isinstance(content, dict):
        raise UserError(f"{place} {BY_NAMES}, not {content!r}")
    for key, value in content.items():
        if named:
            _require_groups(value, get_args(kind)[1], f"{place}.{key}")
        else:
            name, _, rest = str(key).partition(".")
            inner = f"{place}.{name}".removeprefix(".")
            _require_groups({rest: value} if rest else value, get_type_hints(kind).get(name), inner)


@contextmanager
def _options_named(parser: _Parser, words: Sequence[str]) -> Iterator[None]:
    """Errors name options as they are written, keys of the file of `--config` as they stand there, and the file."""
    try:
        yield
    except UserError as error:
        file, given = _given(_with_underscores(words))
        named = name_options(str(error), options_of(given if file else _keys(parser)))
        if file is None or file in named:
            raise UserError(named) from error
        raise UserError(f"{named}; settings come from {file}") from error


def _with_underscores(words: Sequence[str]) -> list[str]:
    """The words with underscores in the names of options, as parameters and fields are called."""
    return [re.sub(r"^--[\w.-]+", lambda name: f"--{name[0][2:].replace('-', '_')}", word) for word in words]


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
        parser.add_settings(settings)
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
        if kind is Path:
            kind = _PATH
        parser.add_argument(key, type=kind, nargs="+" if many else None, help=sentence)
    elif kind is bool:
        parser.add_argument(f"--{key}", action="store_true", help=sentence)
    else:
        default = list(parameter.default) if many and not required else parameter.default
        more: dict[str, Any] = {} if required else {"default": default}
        if many:
            more["nargs"] = "+"
        parser.add_argument(f"--{key}", type=kind, required=required, help=sentence, **more)


class _AnyPath:
    """Makes a path of any bytes: what jsonargparse itself makes paths of must be UTF-8."""

    def __call__(self, word: str) -> Path:
        return Path(word)

    def __repr__(self) -> str:  # in the help
        return "Path"


_PATH = _AnyPath()


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
