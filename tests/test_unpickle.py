"""The restricted pickle reader: what bodies hold is read, what runs code is refused unrun."""

import collections
import copyreg
import io
import os
import pickle
import sys
import types
import zipfile

import numpy as np
import pytest
from scipy import sparse

from diffjax import unpickle


class _Evil:
    """Makes a folder when an ordinary reader opens it."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.fixture
def chumpy(monkeypatch):
    """Stand-ins for chumpy's classes that pickle as the real ones do."""
    modules = {name: types.ModuleType(name) for name in _CLASSES}
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
        for class_name in _CLASSES[name]:
            kind = type(class_name, (), {"__module__": name})
            setattr(module, class_name, kind)
    monkeypatch.setitem(sys.modules, "chumpy", types.ModuleType("chumpy"))
    return modules


_CLASSES = {"chumpy.ch": ("Ch",), "chumpy.reordering": ("Select",), "chumpy.ch_ops": ("add",)}


def _object(kind, **state):
    value = kind()
    value.__dict__.update(state)
    return value


def _ch(chumpy, array):
    """chumpy keeps the numbers in x, beside sets and caches."""
    return _object(chumpy["chumpy.ch"].Ch, x=array, _dirty_vars={"x"}, _itr=None, _status="new")


def _smpl(chumpy, rng, verts=7):
    tree = np.zeros((2, 24), np.uint32)
    tree[0, 0] = 2**32 - 1
    return {
        "v_template": rng.normal(size=(verts, 3)),
        "shapedirs": _ch(chumpy, rng.normal(size=(verts, 3, 300))),
        "posedirs": _ch(chumpy, rng.normal(size=(verts, 3, 207))),
        "J_regressor": sparse.random(24, verts, 0.4, "csc", rng=np.random.default_rng(3)),
        "weights": rng.random((verts, 24)),
        "kintree_table": tree,
        "f": np.zeros((5, 3), np.uint32),
        "bs_style": "lbs",
        "J": _object(chumpy["chumpy.ch_ops"].add, a=1, b=2),
    }


def _dump(tmp_path, value, protocol=2):
    path = tmp_path / "model.pkl"
    path.write_bytes(pickle.dumps(value, protocol))
    return path


@pytest.mark.parametrize("protocol", range(6))
def test_an_smpl_file_is_read_without_chumpy_or_scipy(tmp_path, chumpy, rng, protocol, monkeypatch):
    stored = _smpl(chumpy, rng)
    path = _dump(tmp_path, stored, protocol)
    for name in _CLASSES:
        monkeypatch.setitem(sys.modules, name, None)  # An import would now fail.
    arrays = unpickle.load_smpl_pickle(path)
    assert set(arrays) == set(unpickle.SMPL_KEYS)
    np.testing.assert_array_equal(arrays["v_template"], stored["v_template"])
    np.testing.assert_array_equal(arrays["shapedirs"], stored["shapedirs"].x)
    np.testing.assert_array_equal(arrays["J_regressor"], stored["J_regressor"].toarray())
    assert arrays["kintree_table"][0, 0] == 4294967295
    assert all(type(array) is np.ndarray for array in arrays.values())


def test_an_expression_of_chumpy_is_refused_where_it_is_needed(tmp_path, chumpy, rng):
    stored = _smpl(chumpy, rng)
    stored["v_template"] = stored["J"]
    with pytest.raises(ValueError, match=r"field v_template: .*chumpy\.ch_ops\.add"):
        unpickle.load_smpl_pickle(_dump(tmp_path, stored))


def test_a_selection_of_chumpy_is_evaluated(tmp_path, chumpy, rng):
    whole = rng.normal(size=(4, 5))
    chosen = np.array([3, 0, 7, 19, 2, 2])
    select = chumpy["chumpy.reordering"].Select
    stored = {
        "shaped": _object(select, a=_ch(chumpy, whole), idxs=chosen, preferred_shape=(2, 3)),
        "flat": _object(select, a=_ch(chumpy, whole), idxs=chosen),
    }
    found = unpickle.load_pickle(_dump(tmp_path, stored))
    np.testing.assert_array_equal(found["flat"], whole.ravel()[chosen])
    np.testing.assert_array_equal(found["shaped"], whole.ravel()[chosen].reshape(2, 3))


@pytest.mark.parametrize("module", ["csc", "_csc", "csr", "_csr"])
def test_sparse_matrices_become_dense(tmp_path, module):
    kind = sparse.csc_matrix if "csc" in module else sparse.csr_matrix
    repeated = sparse.coo_matrix(([1.0, 2.0, 4.0], ([0, 0, 2], [1, 1, 0])), (3, 2))
    data = pickle.dumps([kind(repeated), kind((2, 4))], 0)
    data = data.replace(b"scipy.sparse._cs", f"scipy.sparse.{module[:-1]}".encode())
    (tmp_path / "m.pkl").write_bytes(data)
    full, empty = unpickle.load_pickle(tmp_path / "m.pkl")
    np.testing.assert_array_equal(full, [[0, 3], [0, 0], [4, 0]])
    np.testing.assert_array_equal(empty, np.zeros((2, 4)))


def test_sparse_indices_outside_the_matrix_are_refused(tmp_path):
    matrix = sparse.csc_matrix(np.eye(3))
    matrix.indices[1] = -1
    with pytest.raises(ValueError, match="do not fit"):
        unpickle.load_pickle(_dump(tmp_path, matrix))


_ARRAYS = [
    np.arange(6, dtype=np.float64).reshape(2, 3),
    np.asfortranarray(np.arange(6, dtype=np.int16).reshape(2, 3)),
    np.arange(3, dtype=">f4"),
    np.array(["one", "två"]),
    np.array([b"m", b"f"]),
    np.array([True, False]),
    np.zeros((0, 3)),
    np.array(2.5),
    np.float32(1.25),
    np.uint32(4294967295),
    np.array([[1 + 2j]]),
]


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("core", ["numpy.core", "numpy._core"])
def test_numpy_values_of_every_protocol_and_both_names(tmp_path, protocol, core):
    data = pickle.dumps(_ARRAYS, protocol)
    if protocol < 4:  # Later protocols count the bytes of a name.
        data = data.replace(b"numpy._core", core.encode())
    (tmp_path / "a.pkl").write_bytes(data)
    for found, wanted in zip(unpickle.load_pickle(tmp_path / "a.pkl"), _ARRAYS, strict=True):
        np.testing.assert_array_equal(found, wanted)
        assert found.dtype == wanted.dtype.newbyteorder("=")
        assert type(found) in (np.ndarray, type(wanted))


def test_python_2_text_is_latin1(tmp_path):
    """A Python 2 pickle: str keys, array bytes as a str, old module names."""
    data = (
        b"(dS'key'\ncnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR"
        b"(I1\n(I2\ntcnumpy\ndtype\n(S'u1'\nI0\nI1\ntR(I3\nS'|'\nNNNI-1\nI-1\nI0\ntbI00\n"
        b"S'\\x80\\xff'\ntbsS'object'\nccopy_reg\n_reconstructor\n(cchumpy.ch\nCh\n"
        b"c__builtin__\nobject\nNtR(dS'x'\nF2.5\nsbs."
    )
    (tmp_path / "py2.pkl").write_bytes(data)
    found = unpickle.load_pickle(tmp_path / "py2.pkl")
    np.testing.assert_array_equal(found["key"], np.array([0x80, 0xFF], np.uint8))
    assert found["object"] == 2.5


def test_plain_values_come_back(tmp_path):
    shared = [1, 2]
    value = {
        "a": (None, True, 1.5, "x", b"y", b"", {3}, frozenset({4})),
        "o": collections.OrderedDict(k=1),
        "s": [shared, shared],
        "d": np.array([{"k": 1}, None], dtype=object),
    }
    for protocol in range(6):
        found = unpickle.load_pickle(_dump(tmp_path, value, protocol))
        assert found["a"] == value["a"]
        assert found["o"] == {"k": 1}
        assert found["s"][0] is found["s"][1]
        assert found["d"][0] == {"k": 1}


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("wrap", [lambda e: e, lambda e: {"v_template": [e]}])
def test_an_evil_pickle_is_refused_and_touches_nothing(tmp_path, protocol, wrap):
    target = tmp_path / "touched"
    path = _dump(tmp_path, wrap(_Evil(target)), protocol)
    with pytest.raises(
        ValueError, match=r"model\.pkl: the pickle asks for posix\.mkdir.*nothing was"
    ):
        unpickle.load_pickle(path)
    with pytest.raises(ValueError, match="nothing was run"):
        unpickle.load_smpl_pickle(path)
    assert not target.exists()
    pickle.loads(path.read_bytes())
    assert target.exists()  # The trap does work.


_EVIL_TEXT = {
    "getattr": b"c__builtin__\ngetattr\n(cnumpy\nndarray\nS'tofile'\ntR.",
    "eval": b"c__builtin__\neval\n(S'1'\ntR.",
    "system": b"cos\nsystem\n(S'true'\ntR.",
    "by scipy": b"cscipy.sparse._csc\nos\n(S'true'\ntR.",
    "by numpy": b"cnumpy\nload\n(S'x'\ntR.",
    "dotted": b"\x80\x04\x8c\x05numpy\x8c\x0endarray.tofile\x93.",
}


@pytest.mark.parametrize("name", _EVIL_TEXT)
def test_names_outside_the_list_are_refused_with_the_name(tmp_path, name):
    (tmp_path / "x.pkl").write_bytes(_EVIL_TEXT[name])
    with pytest.raises(ValueError, match=r"asks for .*nothing was run.*numpy\.savez"):
        unpickle.load_pickle(tmp_path / "x.pkl")


_BROKEN = {
    "empty": b"",
    "cut": pickle.dumps(np.zeros(100))[:60],
    "text": b"hello world",
    "persistent": b"P1\n.",
    "extension": b"\x80\x02\x82\x01.",
    "set on a function": b"c_codecs\nencode\n(dS'a'\nI1\nsb.",
    "set on a class": b"cnumpy\nndarray\n(dS'a'\nI1\nsb.",
    "encoding": b"c_codecs\nencode\n(S'a'\nS'rot13'\ntR.",
    "reconstruct": b"ccopy_reg\n_reconstructor\n(c__builtin__\nset\nc__builtin__\nobject\nNtR.",
    "short data": pickle.dumps(np.zeros(4, np.uint8), 2).replace(b"K\x04\x85", b"K\x05\x85"),
    "no state": b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR.",
    "bare class": b"cnumpy\nndarray\n.",
}


@pytest.mark.parametrize("name", _BROKEN)
def test_broken_files_are_refused_with_their_name(tmp_path, name):
    (tmp_path / "x.pkl").write_bytes(_BROKEN[name])
    with pytest.raises(ValueError, match=r"x\.pkl: "):
        unpickle.load_pickle(tmp_path / "x.pkl")


def test_forged_object_pointers_are_refused(tmp_path):
    """An object dtype whose flags deny it lets plain NumPy take raw bytes for pointers."""
    data = (
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR(I1\n(I1\nt"
        b"cnumpy\ndtype\n(S'O8'\nI0\nI1\ntR(I3\nS'|'\nNNNI-1\nI-1\nI0\ntbI00\nS'AAAAAAAA'\ntb."
    )
    (tmp_path / "x.pkl").write_bytes(data)
    with pytest.raises(ValueError, match="wanted a list of objects"):
        unpickle.load_pickle(tmp_path / "x.pkl")


def test_content_that_refers_to_itself_is_refused(tmp_path):
    value = []
    value.append(value)
    with pytest.raises(ValueError, match="refers to itself"):
        unpickle.load_pickle(_dump(tmp_path, value))
    deep = b"(l" * 100_000 + b"a" * 99_999 + b"."
    (tmp_path / "deep.pkl").write_bytes(deep)
    with pytest.raises(ValueError, match="damaged content"):
        unpickle.load_pickle(tmp_path / "deep.pkl")


def test_object_arrays_of_an_npz_go_through_the_same_door(tmp_path):
    path, target = tmp_path / "h.npz", tmp_path / "touched"
    np.savez(path, smpl={"betas": np.ones((2, 10))}, n=3, x=np.arange(4.0), none=None)
    found = unpickle.load_npz(path)
    np.testing.assert_array_equal(found["smpl"]["betas"], np.ones((2, 10)))
    assert (found["n"], found["none"]) == (3, None)
    np.testing.assert_array_equal(found["x"], np.arange(4.0))
    np.savez(path, smpl=np.array(_Evil(target), dtype=object))
    with pytest.raises(ValueError, match=r"h\.npz: field smpl: the pickle asks for posix\.mkdir"):
        unpickle.load_npz(path)
    assert not target.exists()


def test_files_that_are_not_there_or_no_npz(tmp_path):
    for read in (unpickle.load_pickle, unpickle.load_npz, unpickle.load_smpl_pickle):
        with pytest.raises(FileNotFoundError, match="no such file"):
            read(tmp_path / "none")
    (tmp_path / "x.npz").write_bytes(b"PK")
    with pytest.raises(ValueError, match=r"x\.npz: wanted an \.npz"):
        unpickle.load_npz(tmp_path / "x.npz")
    with pytest.raises(ValueError, match=r"not an SMPL file: shapedirs"):
        unpickle.load_smpl_pickle(_dump(tmp_path, {"v_template": 1}))
    with pytest.raises(ValueError, match="found a list"):
        unpickle.load_smpl_pickle(_dump(tmp_path, []))
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(9))
    with zipfile.ZipFile(tmp_path / "cut.npz", "w") as archive:
        archive.writestr("a.npy", buffer.getvalue()[:-8])
    with pytest.raises(ValueError, match=r"cut\.npz: field a: "):
        unpickle.load_npz(tmp_path / "cut.npz")


def test_the_extension_registry_is_not_used(tmp_path):
    """A registered extension code names a class without naming it in the file."""
    copyreg.add_extension("os", "system", 0x71)
    try:
        (tmp_path / "x.pkl").write_bytes(b"\x80\x02\x82\x71(S'true'\ntR.")
        with pytest.raises(ValueError, match=r"asks for os\.system"):
            unpickle.load_pickle(tmp_path / "x.pkl")
    finally:
        copyreg.remove_extension("os", "system", 0x71)
