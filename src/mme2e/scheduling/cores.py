"""Who computes on which of the machine's cores."""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def a_core_for_the_decoder() -> Iterator[None]:
    """Leaves a core to the decoder process within the `with` block: threads of torch that share theirs with it make all
    the others wait. On two cores that others use as well, an analysis took 8.6 s with one thread and 100 s with two.
    """
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(max(1, threads - 1))
    try:
        yield
    finally:
        torch.set_num_threads(threads)
