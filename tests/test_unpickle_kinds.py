"""joblib's files, torch's archives, `.npy` and `.npz`: equal to what their own libraries read."""

import collections
import pickle
import sys
import zipfile

import hostile
import joblib
import numpy as np
import pytest
import torch

from diffjax import unpickle

CONTENT = {
    "rows": np.arange(12.0).reshape(3, 4),
    "columns": np.asfortranarray(np.arange(6, dtype=np.int16).reshape(2, 3)),
    "turned": np.arange(12.0).reshape(3, 4).T,
    "objects": np.array([{"x": 1}, np.ones(2)], dtype=object),
    "big end": np.arange(3, dtype=">f4"),
    "texts": np.array(["ab", "é"]),
    "bits": np.array([True, False]),
    "none": np.zeros((0, 3)),
    "zeros": np.zeros(50_000),
    "one": np.array(2.5),
    "bit": np.array(True),
    "mixed": [np.float32(2), "é", b"x", 1 + 2j, None, (1, 2)],
    "lists": collections.defaultdict(list, {"q": [1]}),
    "ordered": collections.OrderedDict(a=1),
}


def assert_same(found, wanted):
    if isinstance(wanted, dict):
        assert list(found) == list(wanted)
        for key in wanted:
            assert_same(found[key], wanted[key])
    elif isinstance(wanted, list | tuple) or getattr(wanted, "dtype", "") == "O":
        assert len(found) == len(wanted)
        for one, other in zip(found, wanted):
            assert_same(one, other)
    elif isinstance(wanted, torch.Tensor):
        wanted = wanted.detach().float() if wanted.dtype == torch.bfloat16 else wanted.detach()
        np.testing.assert_array_equal(found, wanted.numpy())
        assert found.dtype == wanted.numpy().dtype
        assert found.shape == tuple(wanted.shape)
    else:
        np.testing.assert_array_equal(found, wanted)
        if isinstance(wanted, np.ndarray):
            assert found.dtype == wanted.dtype.newbyteorder("=")
            assert found.flags.writeable


@pytest.mark.parametrize("protocol", [2, 4, 5])
@pytest.mark.parametrize("method", [None, "zlib", "gzip", "bz2", "xz", "lzma", "lz4"])
def test_joblib_writes_what_we_read(tmp_path, method, protocol):
    path = tmp_path / "x.pkl"
    joblib.dump(CONTENT, path, compress=(method, 3) if method else 0, protocol=protocol)
    assert_same(unpickle.load_pickle(path), CONTENT)


def test_joblib_before_1_2_has_no_padding(tmp_path, monkeypatch):
    """Those files lack the alignment, in the array's description and before its bytes."""
    monkeypatch.setattr(
        joblib.numpy_pickle.NumpyArrayWrapper,
        "safe_get_numpy_array_alignment_bytes",
        lambda self: self.__dict__.pop("numpy_array_alignment_bytes", None) and None,
    )
    monkeypatch.setattr(
        joblib.numpy_pickle.NumpyArrayWrapper,
        "__getstate__",
        lambda self: {k: v for k, v in self.__dict__.items() if "alignment" not in k},
        raising=False,
    )
    joblib.dump(CONTENT, tmp_path / "x.pkl")
    assert b"alignment" not in (tmp_path / "x.pkl").read_bytes()
    assert_same(unpickle.load_pickle(tmp_path / "x.pkl"), CONTENT)


def test_lz4_without_its_package_is_refused(tmp_path, monkeypatch):
    joblib.dump(CONTENT, tmp_path / "x.pkl", compress="lz4")
    monkeypatch.setitem(sys.modules, "lz4.frame", None)
    with pytest.raises(ValueError, match=r"x\.pkl: compressed by lz4.*pip install lz4"):
        unpickle.load_pickle(tmp_path / "x.pkl")


def test_arrays_in_files_beside_it_are_refused(tmp_path):
    """joblib before 0.10 kept each array in an own file, which it opened with allow_pickle."""
    data = hostile.call("joblib.numpy_pickle", "NDArrayWrapper", "x_01.npy", None)
    (tmp_path / "x.pkl").write_bytes(data)
    with pytest.raises(ValueError, match=r"joblib.*save it again with joblib >= 0\.10"):
        unpickle.load_pickle(tmp_path / "x.pkl")


def test_keys_that_are_bytes_become_text(tmp_path):
    """`encoding="bytes"` writes them so again; values stay what they are."""
    (tmp_path / "x.pkl").write_bytes(pickle.dumps({b"a": b"b", "c": {b"\xe9": 1}}))
    assert unpickle.load_pickle(tmp_path / "x.pkl") == {"a": b"b", "c": {"é": 1}}
    (tmp_path / "x.pkl").write_bytes(pickle.dumps({b"a": 1, "a": 2}))
    with pytest.raises(ValueError, match="two keys are a"):
        unpickle.load_pickle(tmp_path / "x.pkl")


def test_a_factory_of_a_defaultdict_is_not_called(tmp_path):
    (tmp_path / "x.pkl").write_bytes(pickle.dumps(collections.defaultdict(dict, a=1)))
    assert type(unpickle.load_pickle(tmp_path / "x.pkl")) is dict


def tensors():
    layer, base = torch.nn.Linear(3, 2), torch.arange(24.0)
    return {
        "turned": base.reshape(4, 6).t(),
        "every second": base[2:9:2],
        "parameter": layer.weight,
        "state": layer.state_dict(),
        "half": torch.randn(3).half(),
        "bfloat16": torch.randn(4).bfloat16(),
        "whole": torch.arange(3),
        "bits": torch.tensor([True, False]),
        "bytes": torch.ones(2, dtype=torch.uint8),
        "none": torch.zeros(0, 3),
        "one": torch.tensor(3.0),
        "expanded": torch.ones(1, 3).expand(4, 3),
        "complex": torch.ones(2, dtype=torch.complex64),
        "nested": {"deep": [torch.ones(2), (torch.zeros(1),)]},
        "number": 1,
        "text": "s",
        "array": np.ones(3),
    }


def test_torch_saves_what_we_read(tmp_path):
    """Views, strides, shared storages, parameters, every type."""
    wanted = tensors()
    torch.save(wanted, tmp_path / "x.pt")
    assert_same(unpickle.load_torch(tmp_path / "x.pt"), wanted)


def test_big_endian_archives_are_read(tmp_path):
    swapped = np.arange(2, dtype=">f4").tobytes()
    (tmp_path / "x.pt").write_bytes(hostile.saved(hostile.tensor(), (swapped,), b"big"))
    np.testing.assert_array_equal(unpickle.load_torch(tmp_path / "x.pt"), np.float32([0, 1]))


def test_sizes_and_types_of_torch_are_tuples_and_text(tmp_path):
    torch.save(
        {"s": torch.Size([1, 2]), "t": torch.float32, "d": torch.device("cuda", 1)}, tmp_path / "x"
    )
    assert unpickle.load_torch(tmp_path / "x") == {"s": (1, 2), "t": "torch.float32", "d": "cuda:1"}


def test_torch_of_old_and_other_kinds_are_refused_with_what_to_do(tmp_path):
    torch.save({"a": torch.ones(1)}, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    torch.save({"a": torch.ones(1)}, tmp_path / "new.pt")
    for read in (unpickle.load_torch, unpickle.load_pickle):
        with pytest.raises(ValueError, match=r"old\.pt: .*torch\.save it again"):
            read(tmp_path / "old.pt")
    with pytest.raises(ValueError, match=r"new\.pt: .*is it an \.npz, or a \.pt"):
        unpickle.load_pickle(tmp_path / "new.pt")
    with pytest.raises(
        ValueError, match=r"new\.pt: wanted an \.npz archive of arrays, found a zip of"
    ):
        unpickle.load_npz(tmp_path / "new.pt")
    torch.save(torch.nn.Linear(1, 1), tmp_path / "module.pt")
    with pytest.raises(
        ValueError, match=r"asks for torch\.nn\.modules\.linear\.Linear.*plain tensors"
    ):
        unpickle.load_torch(tmp_path / "module.pt")
    (tmp_path / "x.pkl").write_bytes(pickle.dumps(torch.ones(1)))
    with pytest.raises(ValueError, match=r"asks for torch\._utils.*tensor\.numpy\(\)"):
        unpickle.load_pickle(tmp_path / "x.pkl")


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_npz_is_read_as_numpy_reads_it(tmp_path, save):
    wanted = {k: v for k, v in CONTENT.items() if isinstance(v, np.ndarray) and v.ndim}
    save(tmp_path / "x.npz", **wanted, **{"folder/name": np.ones(2)})
    found = unpickle.load_npz(tmp_path / "x.npz")
    assert_same(found, wanted | {"folder/name": np.ones(2)})
    assert list(unpickle.load_npz(tmp_path / "x.npz", names=["bits", "missing"])) == ["bits"]


@pytest.mark.parametrize("name", [k for k, v in CONTENT.items() if isinstance(v, np.ndarray)])
def test_npy_is_read_as_numpy_reads_it(tmp_path, name):
    np.save(tmp_path / "x.npy", CONTENT[name], allow_pickle=True)
    found = unpickle.load_npy(tmp_path / "x.npy")
    assert_same(found, CONTENT[name] if CONTENT[name].ndim else CONTENT[name].item())


def test_headers_of_python_2_have_long_sides(tmp_path):
    (tmp_path / "x.npy").write_bytes(hostile.npy(hostile.described(shape="(2L, 1L)"), bytes(16)))
    assert unpickle.load_npy(tmp_path / "x.npy").shape == (2, 1)


def test_checking_tells_headers_without_reading(tmp_path):
    path = tmp_path / "x.npz"
    np.savez(path, a=np.zeros((2, 3), np.float32), b=np.array(["x"]))
    headers = unpickle.check_npz(path)
    assert headers["a"].shape == (2, 3)
    assert headers["b"].dtype == np.dtype("<U1")
    np.savez(path, a=np.array([None]))
    with pytest.raises(ValueError, match=r"x\.npz: field a: .*array of objects"):
        unpickle.check_npz(path)
    assert unpickle.check_npz(path, objects=True)["a"].dtype == object
    with pytest.raises(ValueError, match=r"x\.npz: field a: .*array of objects"):
        unpickle.load_npz(path, objects=False)


def test_what_cannot_be_opened_is_a_value_error(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such file"):
        unpickle.load_npy(tmp_path / "none")
    with pytest.raises(FileNotFoundError, match="no such file"):
        unpickle.load_torch(tmp_path)
    for read in (unpickle.load_pickle, unpickle.load_npy, unpickle.load_npz, unpickle.load_torch):
        with pytest.raises(ValueError, match=r"nnn: .*too long"):
            read(tmp_path / ("n" * 5000))


def test_a_name_for_the_terminal_cannot_write_to_it(tmp_path):
    """Control characters of a file are shown, not sent."""
    (tmp_path / "x.pkl").write_bytes(b"cos\x1b[2J\n" + b"y" * 9999 + b"\n.")
    with pytest.raises(ValueError, match=r"asks for 'os\\x1b\[2J\.y+\.\.\.,") as caught:
        unpickle.load_pickle(tmp_path / "x.pkl")
    assert "\x1b" not in str(caught.value)
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("\x1b[2J.npy", b"")
    with pytest.raises(ValueError, match=r"x\.npz: field '\\x1b") as caught:
        unpickle.load_npz(tmp_path / "x.npz")
    assert "\x1b" not in str(caught.value)
