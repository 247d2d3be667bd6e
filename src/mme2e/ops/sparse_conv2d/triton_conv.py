"""Where the Triton kernels can run."""

from functools import cache
from importlib.util import find_spec

import torch
from torch import Tensor

from mme2e.errors import UserError

DTYPES = (torch.float32, torch.bfloat16, torch.float16)


@cache
def triton_is_installed() -> bool:
    """Whether Triton can be imported; it is not imported to find out."""
    return find_spec("triton") is not None


def check_triton(features: Tensor) -> None:
    """Says why the kernels cannot work on these features.

    Raises:
        UserError: Triton is missing, or the features' device or dtype is none of those it computes.
    """
    if not triton_is_installed():
        raise UserError("path 'triton' needs Triton, which is not installed: pip install 'mme2e[triton]' (Linux)")
    from mme2e.ops.sparse_conv2d.triton_kernels import INTERPRETED

    if not features.is_cuda and not INTERPRETED:
        raise UserError(
            f"features are on {features.device}: path 'triton' needs a CUDA device, or Triton's interpreter "
            "(TRITON_INTERPRET=1 in the environment)"
        )
    if features.dtype not in DTYPES:
        names = ", ".join(str(dtype) for dtype in DTYPES)
        raise UserError(f"features are {features.dtype}: path 'triton' computes {names}")
