"""From a typed function and a settings dataclass to an argument parser."""

import argparse
import inspect
import re
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn, TypeVar, get_args, get_origin

from docstring_parser import parse as parse_docstring
from jsonargparse import ArgumentParser, DefaultHelpFormatter, set_parsing_settings

from mme2e.errors import UserError

# The sentence under each field of a settings dataclass is its help.
set_parsing_settings(docstring_parse_attribute_docstrings=True)

Settings = TypeVar("Settings")

_SEE_HELP = r" \(see '\S* --help'\)$"
_CLASS = r"<class '(?:\w+\.)*(\w+)'>"


class _HelpFormatter(DefaultHelpFormatter):
    """Wraps the description but never the example, which people copy."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        if text.startswith("example:"):
            return text
        return "\n\n".join(textwrap.fill(paragraph, width) for paragraph in text.split("\n\n"))

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
        required = re.fullmatch(r"the following arguments are required: (.*)", message)
        if required:  # as they are written on the command line
            names = (name if name in self.positionals else f"--{name}" for name in required[1].split(", "))
            message = f"the following arguments are required: {', '.join(names)}"
        plain = re.sub(rf"typing\.|Parser key |{_CLASS}", r"\1", " ".join(message.split()))
        raise UserError(f"{plain} (see '{self.prog} --help')") from ex


def parse_verb(
    name: str,
    function: Callable[..., object],
    positionals: Sequence[str],
    settings: type | None,
    example: str,
    arguments: Sequence[str],
) -> dict[str, Any]:
    """Parses the words of one verb.

    Args:
        name: The verb.
        function: Its function; its parameters (but `settings`) become arguments, its docstring their help.
        positionals: Parameters that have no dashes, in order.
        settings: Dataclass whose fields become options of the same name, and keys of `--config FILE`.
        example: Worked example that ends the help.
        arguments: Words to parse.

    Returns:
        A value for each parameter of the function and each field of the settings.

    Raises:
        UserError: The words do not fit, or `--config` has an unknown key or a bad value.
    """
    parser = _build_parser(name, function, positionals, settings, example)
    try:
        parsed = _parse(parser, arguments)
    except UserError as error:
        file = _settings_file(arguments)
        if file is None or file in str(error):
            raise
        raise UserError(f"{error}; settings come from {file}") from error
    return {key: value for key, value in vars(parsed).items() if key != "config"}


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


def _parse(parser: _Parser, arguments: Sequence[str]) -> Any:
    try:
        return parser.instantiate(parser.parse_args(list(arguments)))
    except UserError:
        raise
    except (TypeError, ValueError) as error:
        parser.error(str(error), error)


def _settings_file(arguments: Sequence[str]) -> str | None:
    """The file of `--config FILE` or `--config=FILE`, where the words may be wrong in other places."""
    lenient = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    lenient.add_argument("--config", nargs="?")
    known, _ = lenient.parse_known_args(list(arguments))
    return known.config


def _build_parser(
    name: str, function: Callable[..., object], positionals: Sequence[str], settings: type | None, example: str
) -> _Parser:
    documentation = parse_docstring(function.__doc__ or "")
    told = {parameter.arg_name: parameter.description for parameter in documentation.params}
    description = "\n\n".join(
        text for text in (documentation.short_description, documentation.long_description) if text
    )
    words = " ".join(word.upper() for word in positionals)
    parser = _Parser(
        prog=f"mme2e {name}",
        usage=f"mme2e {name} {words} [options]".replace("  ", " "),
        description=description,
        epilog=f"example: {example}",
        formatter_class=_HelpFormatter,
    )
    parser.positionals = positionals
    for key, parameter in inspect.signature(function).parameters.items():
        if key != "settings":
            _add_parameter(parser, key, parameter, told.get(key), positional=key in positionals)
    if settings is not None:
        parser.add_argument("--config", action="config", help="YAML file with any of the settings below.")
        parser.add_class_arguments(settings)
    return parser


def _add_parameter(
    parser: _Parser, key: str, parameter: inspect.Parameter, told: str | None, *, positional: bool
) -> None:
    many = get_origin(parameter.annotation) is list
    element = get_args(parameter.annotation)[0] if many else parameter.annotation
    required = parameter.default is inspect.Parameter.empty
    if positional:
        parser.add_argument(key, type=element, nargs="+" if many else None, help=told)
    elif parameter.annotation is bool:
        parser.add_argument(f"--{key}", action="store_true", help=told)
    else:
        more: dict[str, Any] = {} if required else {"default": parameter.default}
        if many:
            more["nargs"] = "+"
        parser.add_argument(f"--{key}", type=element, required=required, help=told, **more)
