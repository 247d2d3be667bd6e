import itertools
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch
from tiny_runs import TINY_MODEL
from torch import nn

from mme2e.benchmarking import profiler
from mme2e.benchmarking.profiler import REST, OperationCounts, count_operations, metered, parts_of, time_forward
from mme2e.data.batch import Batch
from mme2e.data.ragged import Ragged
from mme2e.models import FE2E, MESM, build_model, sparse_tower
from mme2e.ops.sparse_conv2d import Sites, SparseMaps, submanifold_conv2d
from mme2e.scores.published import FE2E_GFLOPS, MESM_GFLOPS, published_share
from mme2e.text import load_text

FRAMES, CHUNKS, TOKENS = (3, 17), (2, 1), 6
LOW, FIRST, SECOND, THIRD = TINY_MODEL.tower_channels
SIZES = {"visual": (24, 24, sum(FRAMES)), "acoustic": (64, 16, sum(CHUNKS))}
"""Height and width of the low level's maps, and their number."""


def make_batch() -> Batch:
    generator = torch.Generator().manual_seed(1)
    return Batch(
        face_crops=Ragged(
            torch.randint(0, 256, (sum(FRAMES), 3, 48, 48), dtype=torch.uint8, generator=generator),
            torch.tensor(FRAMES),
        ),
        mel_chunks=Ragged(torch.rand(sum(CHUNKS), 1, 128, 32, generator=generator), torch.tensor(CHUNKS)),
        tokens=Ragged.from_padded(torch.randint(0, 20, (2, TOKENS), generator=generator)),
    )


def make_model(name: str, modalities: str = "tav", **others: Any) -> nn.Module:
    torch.manual_seed(0)
    encoder = load_text(TINY_MODEL.text, texts=["it was a furious lovely gloomy day"]).encoder
    settings = replace(TINY_MODEL, name=name, modalities=modalities, **others)
    return build_model(settings, num_emotions=3, text_encoder=encoder if "t" in modalities else None).eval()


@pytest.fixture(scope="module")
def mesm() -> MESM:
    return make_model("mesm")


@pytest.fixture(scope="module")
def fe2e() -> FE2E:
    return make_model("fe2e")


@pytest.fixture
def always_gather(monkeypatch) -> None:
    monkeypatch.setattr(sparse_tower, "submanifold_conv2d", partial(submanifold_conv2d, path="gather"))


def count_and_keep(model: MESM) -> tuple[OperationCounts, dict[str, list[Sites]]]:
    """Counts, and gathers the sites that each stage kept, group by group."""
    kept: dict[str, list[Sites]] = {name: [] for name in model.stages}
    handles = [
        stage.selection.register_forward_hook(lambda _, __, maps, name=name: kept[name].append(maps.sites))
        for name, stage in model.stages.items()
    ]
    counted = count_operations(model, [make_batch()])
    for handle in handles:
        handle.remove()
    return counted, kept


def dense_stage(name: str, number: int) -> tuple[int, int, int, int]:
    """Maps, cells, channels before and after of a stage."""
    height, width, maps = SIZES[name]
    before, after = TINY_MODEL.tower_channels[number - 1 : number + 1]
    return maps, (height >> number - 1) * (width >> number - 1), before, after


class TestCount:
    def test_dense_parts_by_hand(self, fe2e):
        counted = count_operations(fe2e, [make_batch()])
        in_our_kernel = 0
        for name, (height, width, maps) in SIZES.items():
            colours = 3 if name == "visual" else 1
            first = 4 * height * width * 25 * colours * LOW
            in_our_kernel += maps * first
            assert counted.parts[f"{name} low level"] == maps * (first + 4 * height * width * 9 * LOW * LOW)
            for number in (1, 2, 3):
                _, cells, before, after = dense_stage(name, number)
                assert counted.parts[f"{name} {number}"] == maps * cells * 9 * (before * after + after * after)
            flat = THIRD * height * width // 64
            assert counted.parts[f"{name} linear"] == maps * TINY_MODEL.tower_dim * (flat + TINY_MODEL.trans_dim)
        assert counted.sites == {}
        assert counted.unseen in (0, in_our_kernel)  # 0: there is no C compiler

    def test_transformers_are_not_missed(self, fe2e):
        # PyTorch's fused layer and its CPU attention are invisible to the counter.
        counted = count_operations(fe2e, [make_batch()])
        dim, wide, rows = TINY_MODEL.trans_dim, TINY_MODEL.feedforward_dim, max(FRAMES) + 1
        layer = rows * (4 * dim * dim + 2 * dim * wide) + 2 * rows * rows * dim
        assert counted.parts["visual sequence"] == len(FRAMES) * (layer + dim * 3)
        hidden = TINY_MODEL.text.hidden_dim
        intermediate = fe2e.text.encoder.config.intermediate_size
        layer = TOKENS * (4 * hidden * hidden + 2 * hidden * intermediate) + 2 * TOKENS * TOKENS * hidden
        assert counted.parts["text encoder"] == len(FRAMES) * (layer + hidden * 3)
        assert torch.backends.mha.get_fastpath_enabled()

    def test_without_text_what_stands_for_it_is_no_obstacle(self):
        attention = replace(TINY_MODEL.attention, no_text_query=True)
        model = make_model("mesm", modalities="av", attention=attention)
        counted = count_operations(model, [replace(make_batch(), tokens=None)])
        assert counted.multiply_adds > 0
        assert all(weight.requires_grad for weight in model.parameters())

    @pytest.mark.usefixtures("always_gather")
    @pytest.mark.parametrize("top_p", [0.3, 1.0])
    def test_gathered_products_by_hand(self, mesm, top_p):
        mesm.set_top_p(top_p)
        counted, kept = count_and_keep(mesm)
        text_dim = TINY_MODEL.text.hidden_dim
        for name, stage in mesm.stages.items():
            tower, number = name.split(" ")
            maps, cells, before, _ = dense_stage(tower, int(number))
            if int(number) > 1 and top_p < 1:
                continue  # which sites reach a later stage is not known here
            attention = maps * cells * (before * before + before) + maps * text_dim * before
            rows = sum(sites.num_pairs for sites in kept[name])
            assert counted.parts[name] == attention + rows * stage.macs_per_pair
            products, dense = (
                sum(getattr(sites, which) for sites in kept[name]) for which in ("num_pairs", "full_pairs")
            )
            assert products <= rows
            assert counted.sites[name].products == pytest.approx(products / dense)
            sites = sum(len(each) for each in kept[name])
            assert counted.sites[name].density == pytest.approx(sites / (maps * cells))

    @pytest.mark.usefixtures("always_gather")
    def test_everything_kept_costs_at_least_the_inner_sites_of_the_dense_stages(self, mesm, fe2e):
        mesm.set_top_p(1.0)
        counted = count_operations(mesm, [make_batch()])
        for name in mesm.stages:
            tower, number = name.split(" ")
            height, width, maps = SIZES[tower]
            inner = ((height >> int(number) - 1) - 2) * ((width >> int(number) - 1) - 2)
            _, _, before, after = dense_stage(tower, int(number))
            assert counted.parts[name] >= maps * inner * 9 * (before * after + after * after)
            assert counted.sites[name] == profiler.StageSites(density=1, products=1)

    def test_dense_path_counts_what_it_executes(self, mesm, fe2e, monkeypatch):
        # Then all sites are multiplied whatever p is.
        monkeypatch.setattr(sparse_tower, "submanifold_conv2d", partial(submanifold_conv2d, path="dense"))
        mesm.set_top_p(0.5)
        mine, dense = (count_operations(model, [make_batch()]) for model in (mesm, fe2e))
        assert mine.sites["acoustic 1"].products < 0.5
        assert mine.parts["acoustic 1"] > dense.parts["acoustic 1"]

    @pytest.mark.usefixtures("always_gather")
    def test_all_rises_with_p(self, mesm):
        counts = []
        for top_p in (0.1, 0.4, 0.7, 1.0):
            mesm.set_top_p(top_p)
            counts.append(count_operations(mesm, [make_batch()]))
        for first, second in itertools.pairwise(counts):
            assert first.multiply_adds < second.multiply_adds
            for name in mesm.stages:
                assert first.sites[name].density < second.sites[name].density
                assert first.sites[name].products < second.sites[name].products

    def test_kernels_that_pytorch_does_not_see_count_by_the_rule_book(self, mesm, monkeypatch):
        def hidden(maps: SparseMaps, weight: torch.Tensor, **_: object) -> SparseMaps:
            return maps.with_features(maps.features.new_ones(len(maps.sites), weight.shape[1]))

        mesm.set_top_p(0.6)
        monkeypatch.setattr(sparse_tower, "submanifold_conv2d", hidden)
        counted, kept = count_and_keep(mesm)
        by_rules = {
            name: sum(sites.num_pairs for sites in kept[name]) * stage.macs_per_pair
            for name, stage in mesm.stages.items()
        }
        first_layers = sum(
            maps * 4 * height * width * 25 * (3 if name == "visual" else 1) * LOW
            for name, (height, width, maps) in SIZES.items()
        )
        assert counted.unseen - sum(by_rules.values()) in (0, first_layers)  # 0: there is no C compiler
        assert all(counted.parts[name] > by_rules[name] for name in mesm.stages)

    def test_parts_add_up_and_batches_too(self, mesm):
        mesm.set_top_p(0.5)
        once, twice = (count_operations(mesm, [make_batch()] * times) for times in (1, 2))
        assert sum(once.parts.values()) == once.multiply_adds
        assert twice.multiply_adds == 2 * once.multiply_adds
        assert twice.sites == once.sites

    def test_an_utterance_without_faces(self, mesm):
        batch = replace(make_batch(), face_crops=None)
        counted = count_operations(mesm, [batch])
        assert counted.parts["visual 1"] == 0
        assert counted.sites["visual 1"].density == 0
        assert counted.parts["acoustic 1"] > 0

    def test_counting_leaves_nothing_behind(self, mesm):
        count_operations(mesm, [make_batch()])
        time_forward(mesm, [make_batch()])
        assert not any(module._forward_hooks or module._forward_pre_hooks for module in mesm.modules())


class TestParts:
    def test_same_names_in_both_networks(self, mesm, fe2e):
        assert list(parts_of(mesm)) == list(parts_of(fe2e))
        assert set(mesm.stages) < set(parts_of(mesm))

    def test_only_those_of_the_modalities(self):
        assert {name.split(" ")[0] for name in parts_of(make_model("fe2e", "a"))} == {"acoustic"}


class TestClock:
    def test_parts_are_within_the_whole(self, mesm):
        timings = time_forward(mesm, [make_batch()])
        assert set(timings.parts) == {*parts_of(mesm), REST}
        assert sum(timings.parts.values()) == pytest.approx(timings.seconds)
        assert set(timings.selecting) == set(mesm.stages)
        assert all(0 < timings.selecting[name] < timings.parts[name] for name in mesm.stages)

    def test_dense_networks_select_nothing(self, fe2e):
        assert time_forward(fe2e, [make_batch()]).selecting == {}


def test_meter_adds_up_calls_and_modules_of_one_name():
    first, second = nn.Identity(), nn.Identity()
    ticks = iter(range(100))
    with metered({"both": (first, second), "idle": (nn.Identity(),)}, lambda: next(ticks)) as sums:
        first(second(first(0)))
    assert sums == {"both": 3, "idle": 0}
    first(0)
    assert sums["both"] == 3


class TestPublished:
    def test_shares(self):
        assert published_share(1.0) == 1
        assert published_share(0.1 + 0.2) == pytest.approx(3.58 / 8.65)
        assert published_share(0.25) is None
        assert published_share(None) is None

    def test_curve_rises_to_fe2e(self):
        values = list(MESM_GFLOPS.values())
        assert values == sorted(values)
        assert values[-1] == FE2E_GFLOPS
