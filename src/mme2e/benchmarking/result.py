"""What a benchmark found, as one object: the curve from p to score, operations and seconds, and the parts behind it."""

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mme2e.environment import Machine
from mme2e.records import plain, to_json
from mme2e.report import Part, Result
from mme2e.scores.published import FE2E_GFLOPS, MESM_GFLOPS, SOURCE

FE2E_NAME = "FE2E"
"""Of the FE2E that a run is compared with."""

AS_TRAINED = "as trained"
"""Of a MESM whose stages training has given a p each."""

THIS_RUN = "this run"
"""Of an FE2E that is measured itself: it has no p to be named by."""


@dataclass(frozen=True, kw_only=True)
class Spread:
    """A time that was measured several times, in seconds."""

    median: float
    lowest: float
    highest: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """Of at least one value."""
        return cls(median=statistics.median(values), lowest=min(values), highest=max(values))


@dataclass(frozen=True, kw_only=True)
class PartCosts:
    """What one part of the network costs, an utterance.

    Attributes:
        name: See `mme2e.benchmarking.profiler.parts_of`.
        multiply_adds: Executed in matrix products and convolutions.
        seconds: Over the rounds.
        selecting_s: Of these, in attention and top-p (median); None in a dense part.
        density: Share of a sparse stage's sites that is computed; None in a dense part.
        products: Share of pairs of neighbouring sites that is left to multiply; None in a dense part.
    """

    name: str
    multiply_adds: float
    seconds: Spread
    selecting_s: float | None = None
    density: float | None = None
    products: float | None = None


@dataclass(frozen=True, kw_only=True)
class Costs:
    """What a network costs on a device, an utterance.

    Attributes:
        name: "0.5" and so on for p, `AS_TRAINED`, `THIS_RUN` or `FE2E_NAME`.
        top_p: Of all stages, or their mean where training has moved each; None for FE2E.
        device: "cpu", "cuda", ...
        multiply_adds: Executed in matrix products and convolutions.
        unseen: Those among them that a kernel of our own executes, where PyTorch cannot count.
        seconds: Over the rounds.
        parts: What it is made of.
    """

    name: str
    top_p: float | None
    device: str
    multiply_adds: float
    unseen: float
    seconds: Spread
    parts: tuple[PartCosts, ...]

    @property
    def gflops(self) -> float:
        """Billions of operations an utterance, a multiply-add being one."""
        return self.multiply_adds / 1e9

    @property
    def ms(self) -> float:
        """Milliseconds an utterance."""
        return 1000 * self.seconds.median


@dataclass(frozen=True, kw_only=True)
class PointScore:
    """Scores in [0, 1], averages over emotions; NaN where they do not exist.

    Attributes:
        name: As in `Costs`.
        f1, weighted_accuracy, auc: Averages of the scores of `mme2e evaluate`.
        thresholds: Chosen on validation at this very p; None after ce.
    """

    name: str
    f1: float
    weighted_accuracy: float
    auc: float
    thresholds: tuple[float, ...] | None


@dataclass(frozen=True, kw_only=True)
class Load:
    """The utterances that were counted and timed.

    Attributes:
        utterances: How many.
        batch_size: Utterances that went through the network together.
        rounds: How often all were timed.
        face_crops, mel_chunks, tokens: An utterance, on the mean.
    """

    utterances: int
    batch_size: int
    rounds: int
    face_crops: float
    mel_chunks: float
    tokens: float


@dataclass(frozen=True, kw_only=True)
class BenchmarkResult(Result):
    """All of a benchmark.

    Attributes:
        run: Name of the run folder.
        model: "mesm" or "fe2e".
        trained_top_p: Of each sparse stage as trained; empty for FE2E.
        corpus: Name and fingerprint.
        split: What was scored, and where the timed utterances are from.
        costs: Of the run, by device and p.
        against: Of the FE2E it is compared with, one a device; an FE2E that stands alone is compared with itself.
        against_name: What that is, for people.
        scores: Of the run, by p.
        against_score: Of the FE2E it is compared with; None when its weights are random.
        chance_f1: Average F1 without looking.
        thresholds_from: How decisions were made, for people.
        load: What was counted and timed.
        machine: Where.
    """

    run: str
    model: str
    trained_top_p: tuple[float, ...]
    corpus: str
    split: str
    costs: tuple[Costs, ...]
    against: tuple[Costs, ...]
    against_name: str
    scores: tuple[PointScore, ...]
    against_score: PointScore | None
    chance_f1: float
    thresholds_from: str
    load: Load
    machine: Machine

    @property
    def devices(self) -> tuple[str, ...]:
        """The devices it was measured on."""
        return tuple(dict.fromkeys(cost.device for cost in self.costs))

    def on(self, device: str) -> tuple[Costs, ...]:
        """The run's costs on one device."""
        return tuple(cost for cost in self.costs if cost.device == device)

    def fe2e_on(self, device: str) -> Costs:
        """The costs of FE2E on one device."""
        return next(cost for cost in self.against if cost.device == device)

    def shares(self, cost: Costs) -> tuple[float, float]:
        """Operations and seconds as shares of FE2E's on the same device."""
        fe2e = self.fe2e_on(cost.device)
        return cost.multiply_adds / max(1, fe2e.multiply_adds), cost.seconds.median / fe2e.seconds.median

    def score_of(self, name: str) -> PointScore | None:
        """The scores at one p, or of FE2E; None when it has none."""
        every = self.scores if self.against_score is None else (*self.scores, self.against_score)
        return next((score for score in every if score.name == name), None)

    def typical(self, device: str) -> Costs:
        """The costs nearest to what the run was trained with, whose parts are worth a look."""
        costs = self.on(device)
        if not self.trained_top_p:
            return costs[0]
        wanted = sum(self.trained_top_p) / len(self.trained_top_p)
        trained = [cost for cost in costs if cost.name == AS_TRAINED]
        return trained[0] if trained else min(costs, key=lambda cost: abs((cost.top_p or 0) - wanted))

    def report(self) -> Iterator[Part]:
        """For the screen."""
        from mme2e.benchmarking.report import benchmark_parts

        return benchmark_parts(self)

    def to_json(self) -> str:
        """As the text of a JSON file, with the paper's figures; what is undefined is null."""
        published = {"source": SOURCE, "fe2e_gflops": FE2E_GFLOPS, "mesm_gflops": dict(MESM_GFLOPS)}
        content = {"accounts" if key == "costs" else key: value for key, value in plain(self).items()}
        return to_json({**content, "published": published})
