"""MESM: the sparse model, whose towers compute the sites that the text selects (reference section 1)."""

from functools import partial

import torch
from torch import Tensor, nn

from mme2e.config import ModelSettings
from mme2e.data.batch import Batch
from mme2e.errors import UserError
from mme2e.models.budget import follow_budget
from mme2e.models.fe2e import FE2E, SequenceBranch
from mme2e.models.fusion import ModalityOutputs
from mme2e.models.sparse_tower import SparseStage, SparseTower
from mme2e.models.trace import Trace


class MESM(FE2E):
    """FE2E with sparse towers, conditioned on the text.

    Args:
        settings: Modalities, sizes, `top_p` and how the attention learns.
        num_emotions: Logits.
        text_encoder: Of `mme2e.text`; needed when the modalities hold t.

    Attributes:
        follows_budget: Whether training moves top-p towards the settings' budget.
    """

    def __init__(self, settings: ModelSettings, *, num_emotions: int, text_encoder: nn.Module | None) -> None:
        text_dim = settings.text.hidden_dim
        if text_encoder is not None:
            text_dim = text_encoder.config.hidden_size  # type: ignore[union-attr,assignment]
        super().__init__(
            settings,
            num_emotions=num_emotions,
            text_encoder=text_encoder,
            make_tower=partial(SparseTower, settings=settings, text_dim=text_dim),
        )
        if settings.attention.no_text_query:
            for branch in (self.visual, self.acoustic):
                if branch is not None:
                    branch.no_text = nn.Parameter(torch.zeros(text_dim))
        self.follows_budget = settings.attention.budget is not None

    @property
    def stages(self) -> dict[str, SparseStage]:
        """The sparse stages, by name: "visual 1" to "acoustic 3"."""
        branches = {"visual": self.visual, "acoustic": self.acoustic}
        return {
            f"{name} {number}": stage
            for name, branch in branches.items()
            if branch is not None
            for number, stage in enumerate(branch.tower.stages, start=1)  # type: ignore[arg-type]
        }

    def set_top_p(self, p: float) -> None:
        """Makes all stages keep that share of the attention.

        Raises:
            UserError: It is not in (0, 1].
        """
        for stage in self.stages.values():
            stage.selection.top_p = p

    def modality_outputs(self, batch: Batch, trace: Trace | None = None) -> ModalityOutputs:
        """As FE2E's; in training with a budget, also moves top-p towards it.

        Args:
            batch: Utterances, on the model's device.
            trace: What the stages select is added to it.

        Raises:
            UserError: The batch has no text.
        """
        attention = self._settings.attention
        moves = self.training and self.follows_budget
        trace = Trace() if trace is None and moves else trace
        outputs = super().modality_outputs(batch, trace)
        if moves and trace is not None and attention.budget is not None:
            follow_budget(self.stages.values(), trace, attention.budget, attention.budget_scope)
        return outputs

    def _conditioned_on(self, text: Tensor | None) -> Tensor | None:
        """The text vectors (batch, hidden_size), in training some of them those of other utterances."""
        share = self._settings.attention.other_words
        if text is None or not self.training or share == 0 or len(text) < 2:
            return text
        others = text.roll(int(torch.randint(1, len(text), ())), dims=0)
        return torch.where(torch.rand(len(text), 1, device=text.device) < share, others, text)

    def _query(self, branch: SequenceBranch, text: Tensor | None, batch: Batch) -> Tensor | None:
        """The text vector of each utterance (batch, hidden_size), or the branch's learned query where it has none."""
        if branch.no_text is None:
            if text is None:
                raise UserError(
                    "mesm selects the sites of faces and audio by the text, and there is none: give a transcript"
                )
            return text
        present = batch.present("t")
        if text is None or present is None:
            return branch.no_text.expand(len(batch), -1)
        return torch.where(present.unsqueeze(1), text, branch.no_text.to(text.dtype))
