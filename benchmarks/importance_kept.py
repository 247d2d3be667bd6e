"""What MESM's attention keeps of the sites that matter: the share of their Taylor importance.

    python benchmarks/importance_kept.py CORPUS RUN [RUN ...]

A site's importance is |features . gradient of the loss|: what the loss would change, to first order, without the site.
One stage at a time keeps all of its sites, the others what they keep, and the importance of those that top-p would have
kept is compared with all, on 64 utterances of the validation split, as means over face crops or mel chunks; beside it
the share of the sites, and the importance that as many of the best sites would have. Prints a table.
"""

from itertools import islice

import torch
from torch import Tensor
from words_in_towers import mesm_runs

from mme2e.data.batch import Batch
from mme2e.models import MESM
from mme2e.models.importance import taylor_importance
from mme2e.models.selection import Selection
from mme2e.ops.sparse_conv2d import SparseMaps
from mme2e.ops.top_p import top_p_mask
from mme2e.training.losses import EmotionLoss, loss_of_modalities

BATCH, BATCHES = 16, 4


def shares(model: MESM, selection: Selection, batch: Batch) -> Tensor:
    """(frames, 3): importance that this stage keeps, sites that it keeps, importance of as many of the best sites."""
    seen: list[tuple[SparseMaps, Tensor]] = []

    def look(_: object, given: tuple[SparseMaps, Tensor]) -> tuple[SparseMaps, Tensor]:
        maps = given[0].with_features(given[0].features.detach().requires_grad_())
        seen.append((maps, given[1]))
        return maps, given[1]

    p, hook = selection.top_p, selection.register_forward_pre_hook(look)
    selection.top_p = 1.0
    outputs = model.modality_outputs(batch)
    selection.top_p = p
    hook.remove()
    assert batch.labels is not None
    loss_of_modalities(EmotionLoss("bce"), outputs, (batch.labels > 0).float()).backward()
    model.zero_grad()
    ((maps, text),) = seen
    assert maps.features.grad is not None
    importance = taylor_importance(maps.features.detach(), maps.features.grad)
    with torch.no_grad():
        keep = top_p_mask(selection.attention(maps, text), maps.sites.frame_offsets, p)
    rows = []
    sizes = maps.sites.frame_offsets.diff().tolist()
    for values, kept in zip(importance.split(sizes), keep.split(sizes), strict=True):
        if values.sum() > 0:
            best = values.topk(int(kept.sum())).values.sum()
            rows.append(torch.stack([values[kept].sum() / values.sum(), kept.float().mean(), best / values.sum()]))
    return torch.stack(rows)


def main() -> None:
    """Looks at every stage of each run."""
    print("| run | stage | importance kept | sites kept | best sites' importance |\n|---|---|---|---|---|")
    for run, model, loader in mesm_runs("valid", BATCH):
        batches = list(islice(loader, BATCHES))
        for name, stage in model.stages.items():
            mean = torch.cat([shares(model, stage.selection, batch) for batch in batches]).mean(dim=0)
            print(f"| {run} | {name} | " + " | ".join(f"{100 * value:.0f} %" for value in mean.tolist()) + " |")


if __name__ == "__main__":
    main()
