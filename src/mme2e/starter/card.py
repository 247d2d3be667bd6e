"""The card of a packed model: what it answers, from what, how well, and what it must not be used for."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mme2e.config import MODALITY_NAMES
from mme2e.runs.info import RunInfo
from mme2e.starter.validation import DECIDED_SHARE

TEMPLATE = Path(__file__).with_name("card.md.jinja")
WEIGHTS_LICENSE = Path(__file__).with_name("WEIGHTS_LICENSE.md")
"""Packed beside the weights."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """A collection that the model learned from.

    Attributes:
        name: Of its prepared corpus' folder.
        title: For people.
        branch: What it taught: text, speech or faces.
        licence: Of the data.
        made: Fingerprint of its prepared corpus.
    """

    name: str
    title: str
    branch: str
    licence: str
    made: str


@dataclass(frozen=True, kw_only=True)
class CardFacts:
    """What a card says that the run does not.

    Attributes:
        sources: The collections.
        encoder: The text encoder that was cut down; empty without text.
        encoder_licence: Of its weights.
        trainings: Seed and validation scores of each training, in their order.
        lacking: What the model lacks.
        speakers: Group that a speaker is also scored with, by the speaker as the merged corpus calls them.
    """

    sources: tuple[Source, ...] = ()
    encoder: str = ""
    encoder_licence: str = ""
    trainings: dict[str, str] = field(default_factory=dict)
    lacking: tuple[str, ...] = ()
    speakers: dict[str, str] = field(default_factory=dict)


def render_card(info: RunInfo, facts: CardFacts, scores: Mapping[str, Any], template: str) -> str:
    """The card, in Markdown with the Hugging Face Hub's header.

    Args:
        info: Of the packed run.
        facts: What else there is to say.
        scores: The content of `scores.json`.
        template: Jinja.
    """
    from jinja2 import StrictUndefined, Template

    titles = list(dict.fromkeys((each.branch, each.title, each.licence) for each in facts.sources))
    return (
        Template(template, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True).render(
            info=info,
            facts=facts,
            titles=titles,
            scores=scores,
            named=named,
            percent=percent,
            decided=percent(DECIDED_SHARE),
        )
        + "\n"
    )


def named(letters: str) -> str:
    """Letters of modalities as names: "text + audio"."""
    return " + ".join(MODALITY_NAMES[letter] for letter in letters)


def percent(share: float | None) -> str:
    """A share as "71.3 %"; a dash where there is none."""
    return "-" if share is None else f"{100 * share:.1f} %"
