"""Words to `Options`, and settings' names in messages to the words that the user knows."""

import argparse
from collections.abc import Sequence
from typing import Any, NoReturn

from mme2e.command_line import name_options
from mme2e.errors import UserError
from mme2e.reference.command_line.options import OPTIONS, Option, Options

PROGRAM = "main.py"

_DESCRIPTION = """\
Trains and scores the models of "Multimodal End-to-End Sparse Model for Emotion Recognition" with the options of the
original command line. Whatever stands behind -- are settings of 'mme2e train'."""
_EXAMPLE = """\
examples:
  python main.py -lr=5e-5 -ep=40 -mod=tav -bs=8 --img-interval=500 --early-stop=6 --loss=bce --cuda=3 --model=mme2e \\
    --num-emotions=6 --trans-dim=64 --trans-nlayers=4 --trans-nheads=4 --text-lr-factor=10 --text-model-size=base \\
    --text-max-len=100
  python main.py --test --ckpt savings/mme2e_tav_imginvl500_seed0
  python main.py -lr=5e-5 -ep=40 -bs=8 --text-model scratch --trans-dim 64 -- --model.tower_channels=[16,16,32,64]"""


class _Parser(argparse.ArgumentParser):
    """A parser whose complaints are one line."""

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message} (see '{PROGRAM} --help')")


def parse(words: Sequence[str]) -> Options:
    """Parses the words behind `main.py`.

    Raises:
        UserError: An option is unknown, or its value is.
    """
    words, more = _split(words)
    found = vars(_parser().parse_args(words))
    if "seed" in found:
        found["seed"] = _seeds(found["seed"])
    if "hfc_sizes" in found:
        found["hfc_sizes"] = tuple(found["hfc_sizes"])
    return Options(**found, given=frozenset(found), more=more)


def in_original_words(message: str) -> str:
    """A message with the long options in the place of the settings that they set."""
    return name_options(message, _FLAGS)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog=PROGRAM,
        description=_DESCRIPTION,
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
    )
    for row in OPTIONS:
        parser.add_argument(
            *row.flags, help=f"{row.does} (default: {row.default_text})".replace("%", "%%"), **_how(row)
        )
    return parser


def _how(row: Option) -> dict[str, Any]:
    if row.name == "bidirectional":
        return {"action": argparse.BooleanOptionalAction}
    if row.kind is bool:
        return {"action": "store_true"}
    how: dict[str, Any] = {"type": row.kind, "metavar": row.flags[0].strip("-").upper()}
    if row.choices:
        how |= {"choices": row.choices, "metavar": None}
    if row.many:
        how["nargs"] = "+"
    return how


def _split(words: Sequence[str]) -> tuple[list[str], tuple[str, ...]]:
    """The words before and behind the first `--`."""
    if "--" not in words:
        return list(words), ()
    place = words.index("--")
    return list(words[:place]), tuple(words[place + 1 :])


def _seeds(given: list[str]) -> tuple[int, ...]:
    seeds = []
    for part in ",".join(given).split(","):
        if not part.strip().isdecimal():
            raise UserError(f"--seed requires whole numbers from 0, not '{part}'")
        seeds.append(int(part))
    twice = next((seed for seed in seeds if seeds.count(seed) > 1), None)
    if twice is not None:
        raise UserError(f"--seed {' '.join(given)} names {twice} twice: each seed once")
    return tuple(seeds)


_FLAGS = {
    name: row.flags[-1]
    for row in OPTIONS
    for name in row.sets
    if row.name != "text_model_size"  # that a folder can be given, too, is what a message has to say
} | {"frame_interval_ms": "--img-interval", "source_fps": "--source-fps"}
