"""Trial after trial, each a training run that is judged by the validation split."""

import math
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rich.progress import TimeElapsedColumn

from mme2e.config.search import SearchSettings
from mme2e.console import progress, screen, show
from mme2e.data.corpus import Corpus, load_corpus
from mme2e.errors import UserError
from mme2e.training.history import EpochRecord
from mme2e.tuning.plots import plot_search
from mme2e.tuning.result import SearchResult, TrialResult
from mme2e.tuning.space import Space
from mme2e.tuning.study import REASON, make_sampler, opened_study, repeat_later, require_optuna, settled_trials

if TYPE_CHECKING:
    import optuna

RUNS_FOLDER = "runs"
EPOCHS, SECONDS = "epochs", "seconds"
MOST_FAILURES = 3
"""So many failed trials in a row end the search: it is then not their settings that are wrong."""


def run_search(
    settings: SearchSettings, *, data: Path, out: Path, trials: int, timeout_s: float | None
) -> SearchResult:
    """Does what `mme2e.search` does, with its arguments and errors.

    The test split is closed (`Corpus.without`). All files but the plots are written after every trial.
    """
    if trials < 1:
        raise UserError(f"trials must be at least 1, not {trials}")
    if timeout_s is not None and timeout_s <= 0:
        raise UserError(f"timeout_s must be positive, not {timeout_s}")
    require_optuna()
    space = Space(settings)
    corpus = load_corpus(data).without("test")
    identity = f"{corpus.info.name} {corpus.fingerprint}"
    with opened_study(out, settings, identity) as study:
        running = _Search(study, space, settings, corpus, out, trials)
        try:
            running.go(timeout_s)
        except KeyboardInterrupt:
            plot_search(running.result(), out)
            done = len(settled_trials(study))
            raise KeyboardInterrupt(f"interrupted; {done} trials are kept in {out}; the same command goes on") from None
        result = running.result()
        result.write(out)
        plot_search(result, out)
    if result.best is None:
        reasons = [trial.reason for trial in result.trials if trial.reason]
        raise UserError(f"no trial of {out} is complete: {reasons[-1] if reasons else 'there was no time for one'}")
    return result


class _Search:
    """A search that is running.

    Args:
        study: Optuna's.
        space: What is varied.
        settings: Of the search.
        corpus: Without its test split.
        out: Folder of the search.
        trials: How many there shall be.
    """

    def __init__(
        self, study: "optuna.Study", space: Space, settings: SearchSettings, corpus: Corpus, out: Path, trials: int
    ) -> None:
        self.study = study
        self.space = space
        self.settings = settings
        self.corpus = corpus
        self.out = out
        self.trials = trials
        self.console = screen(stderr=True)
        self.progress = progress(
            TimeElapsedColumn(), "{task.fields[status]}", console=self.console, only_on_terminals=True
        )

    def go(self, timeout_s: float | None) -> None:
        """Does what is missing.

        Raises:
            UserError: Several trials in a row failed.
        """
        began_s = time.perf_counter()
        self._tidy()
        if not self.study.get_trials(deepcopy=False) and (base := self.space.base_parameters()):
            self.study.enqueue_trial(base)  # what the search finds is so at least as good
        with self.progress:
            self._bar = self.progress.add_task("trials", total=self.trials, status="")
            while (done := len(settled_trials(self.study))) < self.trials:
                if timeout_s is not None and time.perf_counter() - began_s >= timeout_s:
                    show(f"the time is up after {done} of {self.trials} trials", console=self.console)
                    break
                self.progress.update(self._bar, completed=done)
                self.study.sampler = make_sampler(self.settings.seed, done)
                self._do(self.study.ask())
                result = self.result()
                result.write(self.out)
                self._tidy()
                self._tell(result)
                _refuse_many_failures(result)

    def _do(self, trial: "optuna.Trial") -> None:
        from optuna.trial import TrialState

        began_s = time.perf_counter()
        with self._settling(trial):
            value = self._train(trial)
            trial.set_user_attr(SECONDS, time.perf_counter() - began_s)
            if math.isfinite(value):
                self.study.tell(trial, value)
            else:
                trial.set_user_attr(REASON, f"{self.settings.objective} is undefined on this validation split")
                self.study.tell(trial, state=TrialState.FAIL)

    @contextmanager
    def _settling(self, trial: "optuna.Trial") -> Iterator[None]:
        """Tells the study of the ways in which a trial ends before its end."""
        from optuna import TrialPruned
        from optuna.trial import TrialState

        began_s = time.perf_counter()
        try:
            yield
        except TrialPruned:
            trial.set_user_attr(SECONDS, time.perf_counter() - began_s)
            self.study.tell(trial, state=TrialState.PRUNED)
        except UserError as error:
            trial.set_user_attr(SECONDS, time.perf_counter() - began_s)
            trial.set_user_attr(REASON, " ".join(str(error).split()))
            self.study.tell(trial, state=TrialState.FAIL)
        except BaseException:  # Ctrl-C, a full disk, a mistake in the program
            repeat_later(self.study, self.study.get_trials(deepcopy=False)[trial.number])
            raise

    def _train(self, trial: "optuna.Trial") -> float:
        """The objective of a trial.

        Raises:
            UserError: Its settings contradict each other, or training ends in an error of the user's.
            optuna.TrialPruned: It is given up.
        """
        from mme2e.training.trainer import train_model

        point = {key: axis.suggest(trial) for key, axis in self.space.axes.items()}
        settings = self.space.train_settings(point)
        for twin in self._complete():
            if twin.params == trial.params:  # training is reproducible: its score is known
                assert twin.value is not None
                return twin.value

        def after_epoch(record: EpochRecord) -> None:
            from optuna import TrialPruned

            value = getattr(record, self.settings.objective)
            trial.set_user_attr(EPOCHS, record.epoch)
            status = (
                f"trial {trial.number}  epoch {record.epoch}/{settings.epochs}  {self.settings.objective} {value:.3f}"
            )
            self.progress.update(self._bar, status=status)
            trial.report(value, record.epoch)
            if trial.should_prune():
                raise TrialPruned

        out, silent = self._run(trial.number), screen(stderr=True, quiet=True)
        result = train_model(settings, data=self.corpus, out=out, console=silent, on_epoch=after_epoch)
        return float(getattr(result.best, self.settings.objective))

    def _run(self, number: int) -> Path:
        return self.out / RUNS_FOLDER / f"trial_{number:04d}"

    def _complete(self) -> "list[optuna.trial.FrozenTrial]":
        from optuna.trial import TrialState

        return self.study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))

    def _best(self) -> "optuna.trial.FrozenTrial | None":
        """The best complete trial, of equals the first: that one has a run folder."""
        sign = -1 if self.settings.objective == "valid_loss" else 1
        return max(self._complete(), key=lambda trial: (sign * (trial.value or 0.0), -trial.number), default=None)

    def _tidy(self) -> None:
        """Removes the run folders of all trials but the best: weights of full width take half a gigabyte each."""
        best = self._best()
        for folder in (self.out / RUNS_FOLDER).glob("trial_*"):
            if best is None or folder != self._run(best.number):
                shutil.rmtree(folder)

    def _tell(self, result: SearchResult) -> None:
        last = result.trials[-1]
        value = "" if last.value is None else f"  {self.settings.objective} {last.value:.3f}"
        star = "*" if last is result.best else ""
        line = f"trial {last.number}  {last.state}{value}{star}  {last.epochs} epochs  {last.seconds:.1f} s"
        show(f"{line}  {last.reason}" if last.reason else line, console=self.console)

    def result(self) -> SearchResult:
        """The search as it stands."""
        import optuna

        trials = tuple(self._trial_result(trial) for trial in settled_trials(self.study))
        best = self._best()
        found = next((trial for trial in trials if best is not None and trial.number == best.number), None)
        return SearchResult(
            folder=self.out,
            settings=self.settings,
            corpus=f"{self.corpus.info.name} {self.corpus.fingerprint}",
            trials=trials,
            best=found,
            best_settings=None if found is None else self.space.train_settings(found.point),
            best_run=None if found is None else self._run(found.number),
            importances=_importances(self.study),
            optuna_version=optuna.__version__,
        )

    def _trial_result(self, trial: "optuna.trial.FrozenTrial") -> TrialResult:
        return TrialResult(
            number=trial.number,
            state={"FAIL": "failed"}.get(trial.state.name, trial.state.name.lower()),
            value=trial.value,
            point={key: self.space.axes[key].value(stored) for key, stored in trial.params.items()},
            epochs=trial.user_attrs.get(EPOCHS, 0),
            seconds=trial.user_attrs.get(SECONDS, 0.0),
            reason=trial.user_attrs.get(REASON, ""),
        )


def _refuse_many_failures(result: SearchResult) -> None:
    last = result.trials[-MOST_FAILURES:]
    if len(last) == MOST_FAILURES and all(trial.state == "failed" for trial in last):
        raise UserError(f"{MOST_FAILURES} trials in a row failed, the last one with: {last[-1].reason}")


def _importances(study: "optuna.Study") -> dict[str, float]:
    """Key -> share of the objective's variance, largest first; empty where the values do not differ."""
    import optuna

    complete = study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,))
    if len({trial.value for trial in complete}) < 2:
        return {}
    return optuna.importance.get_param_importances(study, evaluator=optuna.importance.FanovaImportanceEvaluator(seed=0))
