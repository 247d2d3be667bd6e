"""Many parts, in this process or in several."""

import multiprocessing
from collections.abc import Generator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from mme2e.data.corpus import Corpus, load_corpus
from mme2e.errors import UserError
from mme2e.hand_crafted.extractor import Extractor
from mme2e.hand_crafted.parts import Part, do_part
from mme2e.worker_process import deaf_to_interrupts, end_with_parent


def do_parts(
    parts: Sequence[Part], corpus: Corpus, extractors: dict[str, Extractor], folder: Path, jobs: int
) -> Generator[Part, None, None]:
    """Makes the features of parts, in no particular order; closing the iterator ends the workers.

    Raises:
        UserError: A worker was killed.
    """
    if min(jobs, len(parts)) > 1:
        yield from _in_workers(parts, corpus, extractors, folder, min(jobs, len(parts)))
        return
    for part in parts:
        yield do_part(part, corpus, extractors, folder)


def _in_workers(
    parts: Sequence[Part], corpus: Corpus, extractors: dict[str, Extractor], folder: Path, jobs: int
) -> Generator[Part, None, None]:
    for split in {part.split for part in parts}:
        corpus.split(split)  # unpacked once, before the workers all want to
    context = multiprocessing.get_context("spawn")  # forks would not survive the threads of torch
    executor = ProcessPoolExecutor(jobs, context, _start_worker, (corpus.folder, extractors, folder))
    waiting = list(reversed(parts))
    running: set[Future[Part]] = set()
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                with deaf_to_interrupts():  # this starts a worker
                    running.add(executor.submit(_work, waiting.pop()))
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                yield future.result()
    except BrokenProcessPool as error:
        raise UserError(
            "a worker process was killed (memory?); what was done is kept: call again, with fewer --jobs"
        ) from error
    finally:
        executor.shutdown(cancel_futures=True)


_in_worker: tuple[Corpus, dict[str, Extractor], Path]


def _start_worker(corpus: Path, extractors: dict[str, Extractor], folder: Path) -> None:
    global _in_worker
    end_with_parent()
    if "visual" in extractors:
        import torch

        torch.set_num_threads(1)
    _in_worker = (load_corpus(corpus), extractors, folder)


def _work(part: Part) -> Part:
    corpus, extractors, folder = _in_worker
    return do_part(part, corpus, extractors, folder)
