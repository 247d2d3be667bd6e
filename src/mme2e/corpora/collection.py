"""What a reader finds, as it finds it."""

from mme2e.corpora.utterance import RawCorpus, Skipped, Utterance, first_reason
from mme2e.errors import UserError


class Collection:
    """Utterances in their order, and what could not be used, with reasons."""

    def __init__(self) -> None:
        self.utterances: dict[str, Utterance] = {}
        self.skipped: list[Skipped] = []

    def skip(self, item: str, reason: str | Exception) -> None:
        """Notes what is left out, or a remark.

        Args:
            item: Utterance id, or "file:line" where no id is known.
            reason: One line for people, or the error that says it.
        """
        self.skipped.append(Skipped(item=item, reason=str(reason)))

    def add(self, utterance: Utterance, place: str, what: str = "row") -> None:
        """Adds an utterance, or notes that one of its id is there already.

        Args:
            utterance: The utterance.
            place: Where it comes from, "file:line".
            what: What stands there, for the note.
        """
        if utterance.id in self.utterances:
            self.skip(place, f"second {what} of {utterance.id}")
        else:
            self.utterances[utterance.id] = utterance

    def corpus(
        self,
        name: str,
        label_names: tuple[str, ...],
        *,
        empty: str,
        multi_label: bool = False,
        split_protocol: str = RawCorpus.split_protocol,
    ) -> RawCorpus:
        """The corpus of all that was found.

        Args:
            name: Of the corpus.
            label_names: All emotions, in the order of the logits.
            empty: What is wrong where there is no utterance.
            multi_label: Whether an utterance may have none or several emotions.
            split_protocol: See `RawCorpus`.

        Raises:
            UserError: There is no utterance; the message is `empty` and the first reason.
        """
        if not self.utterances:
            raise UserError(f"{empty}{first_reason(self.skipped)}")
        return RawCorpus(
            name=name,
            label_names=label_names,
            multi_label=multi_label,
            utterances=tuple(self.utterances.values()),
            skipped=tuple(self.skipped),
            split_protocol=split_protocol,
        )
