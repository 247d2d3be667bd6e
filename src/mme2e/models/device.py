"""The device that a name stands for."""

import torch

from mme2e.errors import UserError


def resolve_device(device: str) -> torch.device:
    """The device of that name.

    Raises:
        UserError: There is no such device.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.zeros(0, device=device).device
    except (RuntimeError, AssertionError) as error:
        raise UserError(f"device '{device}' cannot be used here; give cpu, or auto to take what there is") from error
