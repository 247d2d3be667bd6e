"""How the reference names the weights of its models, and which of them say nothing to ours."""

import re

from mme2e.config import ModelSettings
from mme2e.reference.baselines import baseline_name, baseline_says_nothing

_DENSE_TOWER = {
    "tower.low_level.conv.": "{upper}.0.",
    "tower.low_level.bn.": "{upper}.1.",
    "tower.low_level.block1.": "{upper}.4.",
    "tower.low_level.block2.": "{upper}.5.",
    "tower.stages.0.": "{upper}.6.",
    "tower.stages.1.": "{upper}.8.",
    "tower.stages.2.": "{upper}.10.",
}

_SPARSE_STAGE = {
    "selection.attention.features.": "attn_layers.{stage}.channel_affine.",
    "selection.attention.text.": "attn_layers.{stage}.y_affine.",
    "selection.attention.score.": "attn_layers.{stage}.attn_weight_affine.",
    "conv1.weight": "sparse_layers.{stage}.0.0.weight",
    "norm1.": "sparse_layers.{stage}.0.1.",
    "conv2.weight": "sparse_layers.{stage}.0.2.weight",
    "norm2.": "sparse_layers.{stage}.0.3.",
}

_SPARSE_TOWER = {
    "tower.low_level.conv.": "{upper}.low_level.0.",
    "tower.low_level.bn.": "{upper}.low_level.1.",
    "tower.low_level.block1.": "{upper}.low_level.4.",
    "tower.low_level.block2.": "{upper}.low_level.5.",
    **{
        f"tower.stages.{stage}.{ours}": "{upper}." + theirs.format(stage=stage)
        for stage in range(3)
        for ours, theirs in _SPARSE_STAGE.items()
    },
}

_AFTER_TOWER = {
    "tower.hidden.": "{lower}_flatten.0.",
    "tower.output.": "{lower}_flatten.2.",
    "sequence.cls": "{lower}_transformer.cls_emb.weight",
    "sequence.encoder.": "{lower}_transformer.encoder.",
    "head.": "{lower}_out.",
}


def _prefixes(tower: dict[str, str]) -> dict[str, str]:
    return {
        "text.encoder.": "T.albert.",
        "text.head.": "t_out.",
        "fusion.weight": "weighted_fusion.weight",
        **{
            f"{branch}.{ours}": theirs.format(lower=branch[0], upper=branch[0].upper())
            for branch in ("visual", "acoustic")
            for ours, theirs in (tower | _AFTER_TOWER).items()
        },
    }


_PREFIXES = {"fe2e": _prefixes(_DENSE_TOWER), "mesm": _prefixes(_SPARSE_TOWER)}

_IGNORED = re.compile(
    r"mtcnn\..*"  # the reference kept its face detector inside the model
    r"|T\.albert\.pooler\.(weight|bias)"  # its models never read the pooler
    r"|T\..*embeddings\.(position_ids|token_type_ids)"  # buffers that older transformers saved
)

_UNUSED = {
    "t": re.compile(
        r"t_out\.(weight|bias)"
        r"|T\.albert\.embeddings\.(word|position|token_type)_embeddings\.weight"
        r"|T\.albert\.embeddings\.LayerNorm\.(weight|bias)"
        r"|T\.albert\.encoder\.embedding_hidden_mapping_in\.(weight|bias)"
        r"|T\.albert\.encoder\.albert_layer_groups\.\d+\.albert_layers\.\d+\."
        r"(full_layer_layer_norm|attention\.(query|key|value|dense|LayerNorm)|ffn|ffn_output)\.(weight|bias)"
    ),
    **{
        letter: re.compile(
            rf"{letter}_out\.(weight|bias)|{letter}_flatten\.[02]\.(weight|bias)|{letter}_transformer\.cls_emb\.weight"
            rf"|{letter}_transformer\.encoder\.layers\.\d+\."
            r"(self_attn\.(in_proj_|out_proj\.)|linear[12]\.|norm[12]\.)(weight|bias)"
            rf"|{letter.upper()}\.(0|[4568]\.conv[12]|10\.conv[12])\.(weight|bias)"
            rf"|{letter.upper()}\.(1|[4568]\.bn[12]|10\.bn[12])\."
            r"(weight|bias|running_mean|running_var|num_batches_tracked)"
            rf"|{letter.upper()}\.low_level\.(0|[45]\.conv[12])\.(weight|bias)"
            rf"|{letter.upper()}\.low_level\.(1|[45]\.bn[12])\."
            r"(weight|bias|running_mean|running_var|num_batches_tracked)"
            rf"|{letter.upper()}\.sparse_layers\.[012]\.0\.[0-3]\."
            r"(weight|bias|running_mean|running_var|num_batches_tracked)"
            rf"|{letter.upper()}\.attn_layers\.[012]\.(channel|y|attn_weight)_affine\.(weight|bias)"
        )
        for letter in "va"
    },
}


def reference_name(name: str, model: str) -> str | None:
    """The reference's name of one of our weights; None for those of which it knows nothing and that stay as they are.

    Args:
        name: Key of a state dict of ours.
        model: `ModelSettings.name`.

    Raises:
        KeyError: The reference has no such weight.
    """
    if model not in _PREFIXES:
        return baseline_name(name)
    for ours, theirs in _PREFIXES[model].items():
        if name.startswith(ours):
            return theirs + name.removeprefix(ours)
    raise KeyError(name)


def says_nothing(key: str, settings: ModelSettings) -> bool:
    """Whether a key of a reference checkpoint can be left out of our model.

    The reference always builds all three branches and the fusion, used or not.
    """
    modalities = settings.modalities
    if settings.hand_crafted:
        return baseline_says_nothing(key, modalities)
    if _IGNORED.fullmatch(key) or (key == "weighted_fusion.weight" and len(modalities) == 1):
        return True
    return any(pattern.fullmatch(key) for letter, pattern in _UNUSED.items() if letter not in modalities)
