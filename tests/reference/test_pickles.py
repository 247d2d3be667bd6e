import builtins
import io
import os
import pickle
import warnings
from collections import OrderedDict, defaultdict
from pathlib import Path

import numpy as np
import pytest
import torch

from mme2e.errors import UserError
from mme2e.reference.pickles import read_pickle

PLAIN = {
    "a": [1, 2.5, None, True, (b"bytes", b"", "text"), {1, 2}, frozenset({3}), bytearray(b"x"), 1 + 2j],
    -7: OrderedDict(b=2**70),
}


class Runs:
    def __init__(self, function, *arguments):
        self.function, self.arguments = function, arguments

    def __reduce__(self):
        return self.function, self.arguments


def write(folder: Path, value: object, protocol: int = 4) -> Path:
    path = folder / "file.pkl"
    path.write_bytes(pickle.dumps(value, protocol))
    return path


@pytest.mark.parametrize("protocol", range(6))
def test_plain_containers_come_as_they_are(tmp_path: Path, protocol: int):
    value = {**PLAIN, "d": defaultdict(list, x=[1])}
    assert read_pickle(write(tmp_path, value, protocol)) == {**PLAIN, "d": {"x": [1]}}


ARRAYS = [
    np.arange(6, dtype=np.float32).reshape(2, 3),
    np.asfortranarray(np.arange(6).reshape(2, 3)),
    np.arange(3, dtype=">f8"),
    np.zeros((0, 4)),
    np.array(3.5),
    np.array(["Ses01F_impro01_F000", "-x_1"]),
    np.array([True, False]),
]


@pytest.mark.parametrize("protocol", range(2, 6))
def test_arrays_and_scalars(tmp_path: Path, protocol: int):
    values = [*ARRAYS, np.float32(1.5), np.str_("a"), np.int64(-3)]
    for value, read in zip(values, read_pickle(write(tmp_path, values, protocol)), strict=True):
        assert (read.dtype.kind, read.dtype.itemsize) == (value.dtype.kind, value.dtype.itemsize)
        np.testing.assert_array_equal(read, value)


@pytest.mark.parametrize("protocol", range(2, 6))
def test_arrays_of_objects(tmp_path: Path, protocol: int):
    value = np.array([None, "x", np.arange(3), {"k": [1]}], dtype=object)
    read = read_pickle(write(tmp_path, value, protocol))
    assert read.dtype == object
    assert read[0] is None
    assert (read[1], read[3]) == ("x", {"k": [1]})
    np.testing.assert_array_equal(read[2], np.arange(3))


def test_a_pickle_of_python_2(tmp_path: Path):
    # {"x": numpy.array([1.0])} as Python 2 and numpy 1 wrote it
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR(I1\n(I1\ntcnumpy\ndtype\n(S'f8'\n"
        b"I0\nI1\ntR(I3\nS'<'\nNNNI-1\nI-1\nI0\ntbI00\nS'\\x00\\x00\\x00\\x00\\x00\\x00\\xf0?'\ntb"
    )
    path = tmp_path / "old.pkl"
    path.write_bytes(b"(dS'x'\n" + array + b"s.")
    np.testing.assert_array_equal(read_pickle(path)["x"], [1.0])


TENSORS = [
    torch.arange(6.0).reshape(2, 3),
    torch.arange(6).reshape(2, 3).T[1:],
    torch.zeros(0, 4),
    torch.tensor(7),
    torch.ones(3, dtype=torch.bfloat16),
    torch.ones(2, requires_grad=True),
]


@pytest.mark.parametrize("protocol", [2, 4, 5])
@pytest.mark.parametrize("saver", ["pickle", "zip", "legacy"])
def test_tensors_come_as_arrays(tmp_path: Path, saver: str, protocol: int):
    path = tmp_path / "file.pt"
    value = {"t": TENSORS, "n": (np.arange(2.0), "x")}
    if saver == "pickle":
        with warnings.catch_warnings(action="ignore"):  # torch's own TypedStorage
            path.write_bytes(pickle.dumps(value, protocol))
    else:
        torch.save(value, path, _use_new_zipfile_serialization=saver == "zip")
    read = read_pickle(path)
    np.testing.assert_array_equal(read["n"][0], [0, 1])
    for tensor, array in zip(TENSORS, read["t"], strict=True):
        assert isinstance(array, np.ndarray)
        np.testing.assert_array_equal(array, tensor.detach().float().numpy())


@pytest.mark.parametrize("protocol", range(6))
def test_code_is_not_run_and_named(tmp_path: Path, protocol: int):
    proof = tmp_path / "proof"
    path = write(tmp_path, {"a": Runs(os.system, f"touch {proof}")}, protocol)
    with pytest.raises(UserError, match=rf"{path} would load {os.system.__module__}.system, which is not allowed"):
        read_pickle(path)
    assert not proof.exists()


@pytest.mark.parametrize("zipped", [True, False])
def test_code_in_a_file_of_torch_is_not_run(tmp_path: Path, zipped: bool):
    proof, path = tmp_path / "proof", tmp_path / "file.pt"
    torch.save({"a": Runs(os.system, f"touch {proof}")}, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(UserError, match=r"would load \w+\.system, which is not allowed"):
        read_pickle(path)
    assert not proof.exists()


def test_code_in_a_storage_is_not_run(tmp_path: Path):
    proof, inner = tmp_path / "proof", io.BytesIO()
    torch.save(Runs(os.system, f"touch {proof}"), inner, _use_new_zipfile_serialization=False)
    with pytest.raises(UserError):
        read_pickle(write(tmp_path, Runs(torch.storage._load_from_bytes, inner.getvalue())))
    assert not proof.exists()


@pytest.mark.parametrize("function", [builtins.eval, getattr, builtins.open, np.load, torch.load, io.open])
def test_other_functions_are_refused(tmp_path: Path, function):
    with pytest.raises(UserError, match="which is not allowed"):
        read_pickle(write(tmp_path, Runs(function, "1")))


def test_a_class_of_another_library_is_refused_by_name(tmp_path: Path):
    with pytest.raises(UserError, match=r"would load pathlib\.\w+, which"):
        read_pickle(write(tmp_path, Path("x")))


@pytest.mark.parametrize(
    "content",
    [
        b"cnumpy\ndtype\n}S'__call__'\nI1\nsb.",  # sets an attribute of an allowed function
        b"cbuiltins\nlist\n)\x81.",  # makes an object without calling
        b"Pnowhere\n.",  # an object from outside
        b"cnumpy.core.multiarray\nscalar\n(cnumpy\ndtype\n(S'O8'\ntRI1\ntR.",
        b"cbuiltins\nbytearray\n(I999999999999\ntR.",
    ],
)
def test_tricks_are_refused(tmp_path: Path, content: bytes):
    path = tmp_path / "trick.pkl"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"trick\.pkl"):
        read_pickle(path)


def test_a_tensor_larger_than_its_storage_is_refused(tmp_path: Path):
    with warnings.catch_warnings(action="ignore"):
        path = write(tmp_path, torch.ones(1).expand(1000))
    with pytest.raises(UserError, match="storage of 1"):
        read_pickle(path)


@pytest.mark.parametrize("kept", [0, 1, 10, 200, -1])
def test_a_truncated_file_is_named(tmp_path: Path, kept: int):
    path = write(tmp_path, {"a": np.arange(100.0)})
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(UserError, match=rf"{path} is damaged or no pickle: \w"):
        read_pickle(path)


def test_a_truncated_file_of_torch_is_named(tmp_path: Path):
    path = tmp_path / "file.pt"
    torch.save({"a": torch.ones(100)}, path)
    path.write_bytes(path.read_bytes()[:400])
    with pytest.raises(UserError, match="is damaged or no pickle"):
        read_pickle(path)


def test_text_and_nothing_are_no_pickles(tmp_path: Path):
    (tmp_path / "a.pkl").write_text("id,label\n")
    with pytest.raises(UserError, match="is damaged or no pickle"):
        read_pickle(tmp_path / "a.pkl")
    with pytest.raises(UserError, match="cannot be read: No such file"):
        read_pickle(tmp_path / "b.pkl")
