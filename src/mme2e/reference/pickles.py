"""Pickles of other people, read without running anything in them.

An ordinary unpickler calls whatever a file names. This one knows a short list of names (numpy arrays and scalars,
plain containers, torch tensors), stands its own checked functions in for them, and refuses everything else by name.
Files of `torch.save` go through torch's own restricted reader. What a hostile file can still do is end the program:
Python does not bear a key of a million nested tuples.
"""

import io
import math
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

import numpy as np

from mme2e.errors import UserError

_TORCH_ZIP = b"PK\x03\x04"
_TORCH_LEGACY = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # its magic number, pickled
_TORCH_REFUSAL = re.compile(r"unsupported global:?(?: GLOBAL)? ([\w.]+)", re.IGNORECASE)


class _RefusedError(Exception):
    """Something that the file names is not on the list."""


class _Stand:
    """A function that a pickle may call, and do nothing else with: its attributes cannot be set."""

    __slots__ = ("_function",)
    _function: Callable[..., object]

    def __init__(self, function: Callable[..., object]) -> None:
        object.__setattr__(self, "_function", function)

    def __call__(self, *arguments: object) -> object:
        return self._function(*arguments)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise ValueError(f"sets the attribute {name} of a function")

    def __setstate__(self, state: object) -> NoReturn:
        raise ValueError("changes a function")


def read_pickle(path: Path) -> Any:
    """Reads a pickle (protocols 0 to 5, also those of Python 2) or a file of `torch.save`.

    Args:
        path: File to read.

    Returns:
        What it holds: None, booleans, numbers, text, bytes, lists, tuples, sets, dictionaries, numpy arrays and
        scalars. Torch tensors come as numpy arrays.

    Raises:
        UserError: The file cannot be read, is damaged, or would load something else, which is named; nothing
            of it has been run then.
    """
    try:
        with path.open("rb") as file:
            start = file.read(len(_TORCH_LEGACY))
            file.seek(0)
            if start.startswith(_TORCH_ZIP) or start == _TORCH_LEGACY:
                return _read_torch(file)
            return _Unpickler(file, encoding="latin1").load()
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}") from error
    except _RefusedError as refused:
        raise UserError(
            f"{path} would load {refused}, which is not allowed: a pickle may contain numpy arrays, torch tensors and "
            f"plain containers"
        ) from refused
    except Exception as error:  # a damaged pickle can fail in any way
        raise UserError(f"{path} is damaged or no pickle: {str(error) or type(error).__name__}") from error


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> object:
        # Names differ between numpy 1 and 2, and between Python 2 and 3.
        known = module.replace("numpy._core.", "numpy.core.").replace("__builtin__", "builtins")
        try:
            return _ALLOWED[known, name]
        except KeyError:
            raise _RefusedError(f"{module}.{name}") from None

    def persistent_load(self, id_: object) -> NoReturn:
        raise _RefusedError(f"an object from outside the file, '{str(id_)[:80]}'")


def _bytes_of(data: object) -> bytes | bytearray | memoryview:
    if isinstance(data, str):  # Python 2 had no bytes
        return data.encode("latin1")
    if not isinstance(data, bytes | bytearray | memoryview):
        raise TypeError(f"an array is made of {type(data).__name__}")
    return data


def _ndarray(*_: object) -> NoReturn:
    raise TypeError("an array is made without its shape")


def _reconstruct(*_: object) -> np.ndarray:
    """An empty array; what it holds comes as its state."""
    return np.empty(0, dtype=np.int8)


def _dtype(name: str, *_: object) -> np.dtype:
    """A new dtype: the pickle may change its byte order, but not that of the program's own."""
    return np.dtype(str(name), align=False, copy=True)


def _scalar(dtype: np.dtype, data: object = b"") -> object:
    if dtype.hasobject:
        raise TypeError("a numpy scalar of objects")
    return np.frombuffer(_bytes_of(data), dtype=dtype, count=1)[0]


def _frombuffer(data: object, dtype: np.dtype, shape: tuple[int, ...], order: str) -> np.ndarray:
    flat = np.frombuffer(_bytes_of(data), dtype=dtype)
    return flat.reshape(shape, order="F" if order == "F" else "C")


def _encode(text: str, encoding: str = "latin1") -> bytes:
    """How protocol 2 writes bytes."""
    return text.encode("latin1" if encoding.lower() in ("latin1", "latin-1") else "ascii")


def _bytearray(data: object = b"", *_: object) -> bytearray:
    return bytearray(_bytes_of(data))


def _bytes(*arguments: object) -> bytes:
    if arguments:
        raise TypeError("bytes are made of something")
    return b""


def _default_dict(*_: object) -> dict:
    return {}


def _torch_storage(data: bytes) -> np.ndarray:
    """The elements of a storage: torch saves one as a file of its own within the pickle."""
    import torch

    storage = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    return _array_of(torch.empty(0, dtype=storage.dtype).set_(storage))


def _torch_tensor(storage: np.ndarray, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: object) -> Any:
    """The part of a storage that a tensor shows. A tensor larger than its storage (an expanded one) is refused."""
    last = offset + sum((length - 1) * step for length, step in zip(size, stride, strict=True))
    if storage.ndim != 1 or min((offset, *size, *stride)) < 0 or math.prod(size) > len(storage):
        raise ValueError(f"a tensor of {size} in a storage of {len(storage)}")
    if 0 in size:
        return np.empty(size, dtype=storage.dtype)
    if last >= len(storage):
        raise ValueError(f"a tensor up to element {last} of a storage of {len(storage)}")
    strides = [step * storage.itemsize for step in stride]
    return np.lib.stride_tricks.as_strided(storage[offset:], size, strides).copy()


_CONTAINERS = (bool, complex, dict, float, frozenset, int, list, set, str, tuple)
_ALLOWED: dict[tuple[str, str], object] = {
    **{("builtins", kind.__name__): _Stand(kind) for kind in _CONTAINERS},
    ("builtins", "bytearray"): _Stand(_bytearray),
    ("builtins", "bytes"): _Stand(_bytes),
    ("collections", "OrderedDict"): _Stand(dict),
    ("collections", "defaultdict"): _Stand(_default_dict),
    ("_codecs", "encode"): _Stand(_encode),
    ("numpy", "ndarray"): _Stand(_ndarray),
    ("numpy", "dtype"): _Stand(_dtype),
    ("numpy.core.multiarray", "_reconstruct"): _Stand(_reconstruct),
    ("numpy.core.multiarray", "scalar"): _Stand(_scalar),
    ("numpy.core.numeric", "_frombuffer"): _Stand(_frombuffer),
    ("torch.storage", "_load_from_bytes"): _Stand(_torch_storage),
    ("torch._utils", "_rebuild_tensor_v2"): _Stand(_torch_tensor),
}


def _read_torch(file: BinaryIO) -> Any:
    import torch
    from numpy._core.multiarray import _reconstruct, scalar

    kinds = [type(np.dtype(code)) for code in (*np.typecodes["All"],)]
    allowed: list[Callable | tuple[Callable, str]] = [np.ndarray, np.dtype, *dict.fromkeys(kinds)]
    for module in ("numpy.core.multiarray", "numpy._core.multiarray"):
        allowed += [(_reconstruct, f"{module}._reconstruct"), (scalar, f"{module}.scalar")]
    try:
        with torch.serialization.safe_globals(allowed):
            return _plain(torch.load(file, map_location="cpu", weights_only=True))
    except pickle.UnpicklingError as error:
        if name := _TORCH_REFUSAL.search(str(error)):
            raise _RefusedError(name[1]) from error
        reason = re.search(r"WeightsUnpickler error: (.*)", str(error))  # the rest is advice to load without care
        raise ValueError(reason[1] if reason else "torch's restricted reader refuses it") from error


def _plain(value: Any) -> Any:
    """Tensors, at any depth of plain containers, as arrays."""
    import torch

    if isinstance(value, torch.Tensor):
        return _array_of(value)
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_plain(item) for item in value)
    return value


def _array_of(tensor: Any) -> np.ndarray:
    import torch

    tensor = tensor.detach()
    return (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()
