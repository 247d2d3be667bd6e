"""FE2E and MESM in plain PyTorch, to be read from top to bottom beside the paper (Dai et al., NAACL 2021).

This is the truth: `fe2e.py` and `mesm.py` compute the same faster and are compared with it. The weights have the same
names: `NaiveMESM(...).load_state_dict(model.state_dict())`. Nothing is sparse here: a feature map keeps its full size,
is zero where a site is not active, and a mask says which sites are. Left out: early fusion, budgets, text of other
utterances, subsets of the modalities, other signals than the reference's and other widths for audio. Shapes: b
utterances; n face crops or mel chunks, those of all utterances one after the other; c channels; h x w sites.
"""

from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mme2e.config import ModelSettings
from mme2e.data.batch import Batch


class Block(nn.Module):
    """VGG block, the dense stage (section 4.1): twice a 3x3 convolution, batch normalisation and ReLU."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(before, after, 3, padding=1), nn.BatchNorm2d(after)
        self.conv2, self.bn2 = nn.Conv2d(after, after, 3, padding=1), nn.BatchNorm2d(after)

    def forward(self, x: Tensor) -> Tensor:
        """(n, before, h, w) to (n, after, h, w)."""
        x = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(x)))


def top_p(weights: Tensor, p: float) -> Tensor:
    """Marks the fewest heaviest sites of each row that hold at least p of its weight: (n, sites) to the same, bool."""
    falling, order = weights.detach().double().sort(dim=1, descending=True, stable=True)
    before = falling.cumsum(1) - falling  # the weight of those that are heavier
    return torch.zeros_like(weights, dtype=torch.bool).scatter(1, order, (before < p) | (p == 1))


class LearnImportance(torch.autograd.Function):
    """Leaves features as they are; in the backward pass the scores learn on which sites the loss depends."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, scores: Tensor) -> Tensor:
        """Features (n, c, h, w) and scores (n, h * w), -inf where no site is kept."""
        ctx.save_for_backward(x, scores)
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        """Of KL(target || softmax(scores)); the target is importance |features . gradient| and equal shares, 1 to 4."""
        x, scores = ctx.saved_tensors
        kept = (scores > -torch.inf).to(x.dtype)
        importance = (x * gradient).sum(1).abs().flatten(1) * kept  # (n, h * w)
        total = importance.sum(1, keepdim=True)
        target = 0.8 * kept / kept.sum(1, keepdim=True) + 0.2 * importance / total
        return gradient, torch.where(total > 0, (scores.softmax(1) - target) * importance.sum() / len(x), 0)


class Selection(nn.Module):
    """Cross-modal attention w . tanh(Wx x + bx + Wy y) + b, and the sites that hold a share p of it (section 4.2)."""

    def __init__(self, channels: int, text_dim: int, settings: ModelSettings) -> None:
        super().__init__()
        self.p, self.mode = settings.top_p, settings.attention.mode
        features, text = nn.Linear(channels, channels), nn.Linear(text_dim, channels, bias=False)
        self.attention = nn.ModuleDict({"features": features, "text": text, "score": nn.Linear(channels, 1)})
        self.attention.requires_grad_(self.mode != "frozen")
        self.strength = nn.Parameter(torch.tensor(0.1)) if self.mode == "gate" else None

    def forward(self, x: Tensor, active: Tensor, text: Tensor) -> tuple[Tensor, Tensor]:
        """(n, c, h, w), mask (n, h, w) and (n, text_dim) to features and mask of the sites that are kept."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.mode != "frozen"):
            seen = (x.detach() if self.mode == "importance" else x).permute(0, 2, 3, 1)  # (n, h, w, c)
            hidden = torch.tanh(self.attention["features"](seen) + self.attention["text"](text)[:, None, None])
            scores = self.attention["score"](hidden).squeeze(3).masked_fill(~active, -torch.inf).flatten(1)
            weights = scores.softmax(1)  # (n, h * w)
        kept = top_p(weights, self.p).view_as(active) & active
        x = x * kept.unsqueeze(1)
        if self.mode == "importance":
            return LearnImportance.apply(x, scores.masked_fill(~kept.flatten(1), -torch.inf)), kept
        gates = weights.view_as(active) * active.sum((1, 2), keepdim=True)  # 1 on average over a map's sites
        if self.mode == "gate":
            x = x * (1 + self.strength * (gates - 1)).unsqueeze(1)
        elif self.mode == "straight_through":  # as they are, with the gradient of a gate
            x = x * (1 + 0.1 * (gates - gates.detach())).unsqueeze(1)
        return x, kept


class SubmanifoldConv2d(nn.Module):
    """3x3 convolution without bias that reads and writes active sites only (Graham & van der Maaten 2017)."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(9, after, before) / (9 * before) ** 0.5)

    def forward(self, x: Tensor, active: Tensor) -> Tensor:
        """(n, before, h, w), zero where not active, to (n, after, h, w), zero there as well."""
        kernel = self.weight.permute(1, 2, 0).unflatten(2, (3, 3))  # (after, before, 3, 3)
        return F.conv2d(x, kernel, padding=1) * active.unsqueeze(1)


class SparseStage(nn.Module):
    """What MESM has in place of a block and the pooling after it (section 4.2)."""

    def __init__(self, before: int, after: int, text_dim: int, settings: ModelSettings) -> None:
        super().__init__()
        self.selection = Selection(before, text_dim, settings)
        self.conv1, self.norm1 = SubmanifoldConv2d(before, after), nn.BatchNorm1d(after, eps=1e-4)
        self.conv2, self.norm2 = SubmanifoldConv2d(after, after), nn.BatchNorm1d(after, eps=1e-4)

    def normalise(self, norm: nn.BatchNorm1d, x: Tensor, active: Tensor) -> Tensor:
        """Batch normalisation over the active sites of (n, c, h, w); a single one becomes the bias in training."""
        x = x.permute(0, 2, 3, 1)  # (n, h, w, c)
        sites = x[active]  # (sites, c)
        alone = self.training and len(sites) == 1
        sites = (sites - sites.detach()) * norm.weight + norm.bias if alone else norm(sites)
        return torch.zeros_like(x).masked_scatter(active.unsqueeze(3), sites).permute(0, 3, 1, 2)

    def forward(self, x: Tensor, active: Tensor, text: Tensor) -> tuple[Tensor, Tensor]:
        """(n, before, h, w) and (n, h, w) to (n, after, h / 2, w / 2) and (n, h / 2, w / 2)."""
        x, active = self.selection(x, active, text)
        x = F.relu(self.normalise(self.norm1, self.conv1(x, active), active))
        x = F.relu(self.normalise(self.norm2, self.conv2(x, active), active))
        return F.max_pool2d(x, 2), F.max_pool2d(active.to(x.dtype), 2) > 0  # active where any of the four is


class Tower(nn.Module):
    """One vector for each face crop or mel chunk: a dense low level, three stages, two linear layers (section 4.1)."""

    def __init__(self, inputs: int, sites: int, settings: ModelSettings, text_dim: int) -> None:
        super().__init__()
        self.sparse, c = settings.name == "mesm", settings.tower_channels
        first = {"conv": nn.Conv2d(inputs, c[0], 5, padding=2), "bn": nn.BatchNorm2d(c[0])}
        self.low_level = nn.ModuleDict({**first, "block1": Block(c[0], c[0]), "block2": Block(c[0], c[0])})
        self.stages = nn.ModuleList(
            SparseStage(*sizes, text_dim, settings) if self.sparse else Block(*sizes) for sizes in pairwise(c)
        )
        self.hidden = nn.Linear(c[-1] * sites, settings.tower_dim)
        self.output = nn.Linear(settings.tower_dim, settings.trans_dim)

    def forward(self, x: Tensor, text: Tensor) -> Tensor:
        """Raw maps (n, inputs, h, w) and the text of their utterances (n, text_dim) to (n, trans_dim)."""
        low = self.low_level
        x = F.max_pool2d(F.relu(low["bn"](low["conv"](x))), 2)  # (n, 64, h / 2, w / 2)
        x = low["block2"](low["block1"](x))
        active = torch.ones_like(x[:, 0], dtype=torch.bool)
        for stage in self.stages:  # to (n, 128, h / 4, w / 4), (n, 256, h / 8, w / 8), (n, 512, h / 16, w / 16)
            x, active = stage(x, active, text) if self.sparse else (F.max_pool2d(stage(x), 2), active)
        return self.output(F.relu(self.hidden(x.flatten(1))))


class Sequence(nn.Module):
    """A Transformer over a learned CLS vector and an utterance's vectors, without positions (section 4.1)."""

    def __init__(self, settings: ModelSettings) -> None:
        super().__init__()
        dim, heads, feedforward = settings.trans_dim, settings.num_heads, settings.feedforward_dim
        layer = nn.TransformerEncoderLayer(dim, heads, feedforward, settings.dropout, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, settings.num_layers, enable_nested_tensor=False)
        self.cls = nn.Parameter(torch.randn(1, dim))

    def forward(self, vectors: Tensor, lengths: list[int]) -> Tensor:
        """(n, trans_dim) and b lengths to (b, trans_dim): what becomes of CLS, utterance by utterance."""
        return torch.stack([self.encoder(torch.cat([self.cls, each])[None])[0, 0] for each in vectors.split(lengths)])


class NaiveMESM(nn.Module):
    """The whole network, FE2E or MESM by `settings.name`; text is read by an encoder of `mme2e.text`."""

    def __init__(self, settings: ModelSettings, *, num_emotions: int, text_encoder: Any) -> None:
        super().__init__()
        dim, text_dim, self.pooling = settings.trans_dim, text_encoder.config.hidden_size, settings.text.pooling
        self.text = nn.ModuleDict({"encoder": text_encoder, "head": nn.Linear(text_dim, num_emotions)})
        self.visual, self.acoustic = (
            nn.ModuleDict({"tower": tower, "sequence": Sequence(settings), "head": nn.Linear(dim, num_emotions)})
            for tower in (Tower(3, 3 * 3, settings, text_dim), Tower(1, 8 * 2, settings, text_dim))
        )
        self.fusion = nn.ParameterDict({"weight": torch.full((1, 3), 1 / 3)})

    def forward(self, batch: Batch) -> Tensor:
        """Logits (b, emotions) of a batch with tokens, face crops (n, 3, 48, 48) and mel chunks (n, 1, 128, 32)."""
        tokens, faces, chunks = batch.tokens, batch.face_crops, batch.mel_chunks
        assert tokens is not None and faces is not None and chunks is not None  # noqa: PT018
        input_ids, mask = tokens.padded()  # (b, tokens) twice
        vectors = self.text["encoder"](input_ids=input_ids, attention_mask=mask.long()).last_hidden_state
        of_all = (vectors * mask.unsqueeze(2)).sum(1) / mask.sum(1, keepdim=True).clamp(min=1)
        text = vectors[:, 0] if self.pooling == "first" else of_all  # of [CLS] or the mean of all tokens, (b, text_dim)
        logits = [self.text["head"](text)]
        mean, std = (text.new_tensor(each).view(1, 3, 1, 1) for each in ((159, 111, 102), (37, 33, 32)))
        maps = (faces.values - mean) / std, chunks.values.to(mean.dtype)
        for branch, x, lengths in zip((self.visual, self.acoustic), maps, (faces.lengths, chunks.lengths), strict=True):
            vectors = branch["tower"](x, text.repeat_interleave(lengths, 0))  # (n, trans_dim)
            logits.append(branch["head"](branch["sequence"](vectors, lengths.tolist())))
        present = torch.stack([tokens.present, faces.present, chunks.present], 1)  # (b, modalities) bool
        weight = self.fusion["weight"]  # (1, modalities)
        scale = weight.abs().sum() / (weight.abs() * present).sum(1, keepdim=True)  # 1 where no modality is missing
        return ((weight * present * scale).unsqueeze(2) * torch.stack(logits, 1)).sum(1)
