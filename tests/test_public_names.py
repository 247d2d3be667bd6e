"""The functions that `mme2e` exports are those of the command line."""

import inspect
from pathlib import Path

import pytest
from docstring_parser import parse

import mme2e
from mme2e.__main__ import VERBS
from mme2e.command_line import call
from mme2e.errors import UserError


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_is_the_function(verb: str) -> None:
    name = verb.replace("-", "_")
    assert name in mme2e.__all__
    function = getattr(mme2e, name)
    assert function is VERBS[verb].function
    assert function.__name__ == name


@pytest.mark.parametrize("name", sorted({*mme2e.__all__} - {"MediaError", "UserError", "Recognizer", "EmotionResult"}))
def test_every_parameter_is_typed_and_documented(name: str) -> None:
    signature = inspect.signature(getattr(mme2e, name))
    documented = parse(inspect.getdoc(getattr(mme2e, name)) or "").params
    assert [parameter.arg_name for parameter in documented] == list(signature.parameters)
    assert all(parameter.description for parameter in documented)
    assert all(parameter.annotation is not inspect.Parameter.empty for parameter in signature.parameters.values())
    assert signature.return_annotation is not inspect.Signature.empty


@pytest.mark.parametrize("verb", VERBS)
def test_what_has_no_dashes_is_positional_and_options_are_keywords(verb: str) -> None:
    kinds = {name: each.kind for name, each in inspect.signature(VERBS[verb].function).parameters.items()}
    kinds.pop("settings", None)
    positional = [name for name, kind in kinds.items() if kind is inspect.Parameter.POSITIONAL_OR_KEYWORD]
    assert tuple(positional) == VERBS[verb].positionals


def test_every_public_name_is_there() -> None:
    assert all(getattr(mme2e, name) is not None for name in mme2e.__all__)
    with pytest.raises(AttributeError, match="module 'mme2e' has no attribute 'dance'"):
        _ = mme2e.dance


def returned(
    place: str | Path,
    *,
    some: list[str] | list[Path] | tuple[str | Path, ...] = (),
    how_many: int | None = None,
    again: bool = False,
    label_names: str | tuple[str, ...] | None = None,
    listener: object = None,
) -> dict[str, object]:
    """Returns what it is given.

    Args:
        place: A path.
        some: Several paths.
        how_many: A number.
        again: A switch.
        label_names: Text on the command line.
        listener: What no word can give.
    """
    if how_many == 0:
        raise UserError(f"how_many must be at least 1, not {how_many}; see how_many.txt and a/how_many")
    return locals()


def test_words_become_what_the_types_say() -> None:
    words = ["here", "--some", "a", "b", "--how-many=3", "--again", "--label_names", "x_y,z-w"]
    found = call("back", returned, ("place",), "", words)
    assert found == {
        "place": Path("here"),
        "some": [Path("a"), Path("b")],
        "how_many": 3,
        "again": True,
        "label_names": "x_y,z-w",
        "listener": None,
    }


def test_a_mistake_that_the_function_finds_names_the_option() -> None:
    with pytest.raises(UserError, match=r"^--how-many must be at least 1, not 0; see how_many.txt and a/how_many$"):
        call("back", returned, ("place",), "", ["x", "--how_many", "0"])
