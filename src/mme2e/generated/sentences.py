"""Sentences from a small grammar, neutral or with words that show an emotion."""

import numpy as np

_WHO = (
    "my sister",
    "the manager",
    "our neighbour",
    "the teacher",
    "my old friend",
    "the woman next door",
    "the driver",
)
_DID = ("moved", "brought", "mentioned", "ordered", "opened", "checked", "copied", "planned", "finished", "described")
_WHAT = (
    "the report", "the letter", "the kitchen", "the train ticket", "the new phone", "the garden", "the meeting",
    "the book", "the apartment", "the list",
)  # fmt: skip
_WHEN = ("on Tuesday", "this morning", "after lunch", "last week", "at noon", "in the afternoon", "before dinner")

_ANGER = (
    ("I am furious", "how dare you", "get out now", "I hate this", "I am so angry"),
    ("furious", "angry", "outraged", "mad", "enraged"),
)
_HAPPINESS = (
    ("I am so happy", "how lovely", "that is wonderful", "I love it", "what a joy"),
    ("happy", "delighted", "cheerful", "glad", "joyful"),
)
_SADNESS = (
    ("I miss her so much", "I could cry", "it breaks my heart", "I feel so alone", "I am so sad"),
    ("sad", "lonely", "heartbroken", "tearful", "hopeless"),
)
CUES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "ang": _ANGER,
    "exc": (
        ("oh my god yes", "I cannot wait", "this is amazing", "guess what", "let us celebrate"),
        ("excited", "thrilled", "eager", "ecstatic", "overjoyed"),
    ),
    # Half of it is shared with sadness on purpose: who only reads the text will mistake one for the other.
    "fru": (
        ("I give up", "not again", "this never works", "I feel so alone", "I could cry"),
        ("frustrated", "annoyed", "irritated", "hopeless", "sad"),
    ),
    "hap": _HAPPINESS,
    "neu": ((), ()),
    "sad": _SADNESS,
    "anger": _ANGER,
    "disgust": (
        ("that is gross", "it makes me sick", "how revolting", "keep it away", "yuck"),
        ("disgusted", "revolted", "sickened", "repelled", "nauseous"),
    ),
    "fear": (
        ("I am scared", "I am terrified", "please be careful", "it frightens me", "I was afraid"),
        ("scared", "terrified", "afraid", "frightened", "anxious"),
    ),
    "happiness": _HAPPINESS,
    "sadness": _SADNESS,
    "surprise": (
        ("I did not expect that", "no way", "what a surprise", "suddenly out of nowhere", "I was stunned"),
        ("surprised", "stunned", "astonished", "amazed", "startled"),
    ),
}
"""Exclamations and feelings of every emotion of both corpora."""

_LONG_FRAMES = (
    "{who} was {cue} about {what}",
    "{what} made us {cue} {when}",
    "I was so {cue} {when}",
    "we are {cue} about {what}",
)
_SHORT_FRAMES = ("I am so {cue}", "we are all {cue}")


def clause_of(emotion: str | None, generator: np.random.Generator, *, short: bool = False) -> str:
    """One clause without a full stop; None or "neu" says nothing of any emotion."""

    def pick(words: tuple[str, ...]) -> str:
        return words[int(generator.integers(len(words)))]

    slots = {"who": pick(_WHO), "did": pick(_DID), "what": pick(_WHAT), "when": pick(_WHEN)}
    exclamations, adjectives = CUES[emotion or "neu"]
    if not exclamations:
        return ("{who} {did} {what}" if short else "{who} {did} {what} {when}").format(**slots)
    frame = pick(_SHORT_FRAMES if short else _LONG_FRAMES)
    return f"{pick(exclamations)}, {frame.format(cue=pick(adjectives), **slots)}"


def sentence_of(clauses: tuple[str, ...]) -> str:
    """The clauses as written text."""
    return " ".join(f"{clause[0].upper()}{clause[1:]}." for clause in clauses)
