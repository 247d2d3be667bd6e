"""MESM: the sparse model, whose face and sound towers look where the words ask them to (reference section 1)."""

from torch import Tensor, nn

from mme2e.config import ModelSettings
from mme2e.errors import UserError
from mme2e.models.fe2e import FE2E, SequenceBranch
from mme2e.models.sparse_tower import SparseTower
from mme2e.models.towers import TowerInput


class MESM(FE2E):
    """FE2E with sparse towers, asked by the text.

    The attention that selects is as the reference has it: at its random start, without gradient.

    Args:
        settings: Modalities, which hold t, sizes and `top_p`.
        num_emotions: Logits.
        text_encoder: Hugging Face encoder.
    """

    def __init__(self, settings: ModelSettings, *, num_emotions: int, text_encoder: nn.Module | None) -> None:
        if text_encoder is None:
            raise ValueError("the sparse model wants a text encoder")
        self._text_dim: int = text_encoder.config.hidden_size  # type: ignore[union-attr,assignment]
        super().__init__(settings, num_emotions=num_emotions, text_encoder=text_encoder)

    def _branch(self, source: TowerInput, settings: ModelSettings, num_emotions: int) -> SequenceBranch:
        tower = SparseTower(
            source,
            channels=settings.tower_channels,
            hidden_dim=settings.tower_dim,
            out_dim=settings.trans_dim,
            text_dim=self._text_dim,
            top_p=settings.top_p,
        )
        return SequenceBranch(tower, settings, num_emotions)

    def _asked_of_towers(self, text: Tensor | None) -> Tensor | None:
        if text is None:
            raise UserError("the sparse model selects by the words that are spoken: this batch has no input_ids")
        return text
