"""Files that want something else than to be read: `corpus(canary)` has the bytes of each.

Whoever runs what a file asks for makes the folder `canary`.
"""

import bz2
import gzip
import io
import json
import lzma
import os
import pickle
import struct
import zipfile
import zlib

import joblib
import numpy as np

from diffjax.unpickle import bounds

HUGE = bounds.FREE + (4 << 20)
"""Unpacked bytes of the bombs: beyond what any file may unpack to."""


class Reducing:
    """An object whose pickle is the call it was made from."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def fragment(value, protocol=2):
    """What a pickle does to push `value`, without its beginning and end."""
    return pickle.dumps(value, protocol)[2:-1]


def named(module, name):
    return f"c{module}\n{name}\n".encode()


def call(module, name, *arguments):
    """A pickle that calls a function by its name."""
    return b"\x80\x02" + named(module, name) + fragment(arguments) + b"R."


def stacked(module, name, *arguments):
    """The same, with names from the stack (protocol 4)."""
    names = b"".join(b"\x8c" + bytes([len(n)]) + n.encode() for n in (module, name))
    return b"\x80\x04" + names + b"\x93" + fragment(arguments) + b"R."


def calls(canary):
    """Pickles that call what no data file needs."""
    folder, shell = str(canary), f"mkdir {canary}"
    found = {
        f"{module}.{name}": call(module, name, *arguments)
        for module, name, *arguments in (
            ("os", "system", shell),
            ("posix", "system", shell),
            ("nt", "system", shell),
            ("os", "mkdir", folder),
            ("os", "popen", shell),
            ("subprocess", "Popen", ["mkdir", folder]),
            ("subprocess", "check_output", ["mkdir", folder]),
            ("pty", "spawn", ["mkdir", folder]),
            ("builtins", "eval", f"__import__('os').mkdir({folder!r})"),
            ("builtins", "exec", f"import os; os.mkdir({folder!r})"),
            ("__builtin__", "eval", f"__import__('os').mkdir({folder!r})"),
            ("builtins", "open", folder, "w"),
            ("io", "open", folder, "w"),
            ("io", "FileIO", folder, "w"),
            ("builtins", "__import__", "antigravity"),
            ("builtins", "compile", "1", "x", "eval"),
            ("builtins", "getattr", "x", "__class__"),
            ("builtins", "map", "x", "y"),
            ("builtins", "type", "x", (), {}),
            ("builtins", "print", folder),
            ("builtins", "range", 10**18),
            ("builtins", "bytearray", 10**12),
            ("operator", "attrgetter", "system"),
            ("operator", "methodcaller", "system", shell),
            ("functools", "partial", "x"),
            ("functools", "reduce", "x", []),
            ("itertools", "repeat", 0),
            ("codecs", "decode", b"x", "zip"),
            ("codecs", "open", folder, "w"),
            ("runpy", "run_path", folder),
            ("runpy", "_run_code", f"import os; os.mkdir({folder!r})", {}),
            ("timeit", "timeit", "1", f"__import__('os').mkdir({folder!r})"),
            ("importlib", "import_module", "antigravity"),
            ("pathlib", "Path.mkdir", folder),
            ("shutil", "rmtree", folder),
            ("ctypes", "CDLL", folder),
            ("copyreg", "add_extension", "os", "system", 77),
            ("copyreg", "__newobj__", "x"),
            ("pickle", "loads", pickle.dumps(Reducing(os.mkdir, folder))),
            ("_pickle", "loads", b"N."),
            ("joblib", "load", folder),
            ("joblib.numpy_pickle", "NDArrayWrapper", folder, None),
            ("numpy", "load", folder, None, True),
            ("numpy", "fromfile", folder),
            ("numpy", "save", folder, [1]),
            ("numpy", "ndarray.tofile", folder),
            ("numpy", "memmap", folder, "u1", "w+", 0, 10),
            ("numpy.core.multiarray", "fromfile", folder),
            ("numpy.core.multiarray", "__builtins__.get", "eval"),
            ("numpy._core.multiarray", "frompyfunc", "x", 1, 1),
            ("numpy.testing._private.utils", "runstring", f"import os; os.mkdir({folder!r})", {}),
            ("numpy.f2py.crackfortran", "myeval", f"__import__('os').mkdir({folder!r})"),
            ("scipy.sparse._csc", "np.load", folder),
            ("scipy.io", "loadmat", folder),
            ("chumpy.ch", "Ch.__init__.__globals__", folder),
            ("chumpy.ch os", "system", shell),
            ("torch", "load", folder),
            ("torch.hub", "load", folder, "x"),
            ("torch.jit", "load", folder),
            ("torch.serialization", "load", folder),
            ("torch.utils.collect_env", "run", shell),
            ("torch._utils", "_rebuild_parameter", 1, True, {}),
            ("torch.storage", "_load_from_bytes", pickle.dumps(Reducing(os.mkdir, folder))),
            ("__main__", "Anything"),
        )
    }
    return found | calls_in_disguise(folder, shell)


def calls_in_disguise(folder, shell):
    evil = fragment(Reducing(os.mkdir, folder))
    array = pickle.dumps(np.array([Reducing(os.mkdir, folder)], dtype=object), 2)
    stream = io.BytesIO()
    joblib.dump({"a": np.array([Reducing(os.mkdir, folder)], dtype=object)}, stream)
    return {
        "posix.system of the stack": stacked("posix", "system", shell),
        "os.system by INST": b"(S'" + shell.encode() + b"'\nios\nsystem\n.",
        "os.system by OBJ": b"(cos\nsystem\nS'" + shell.encode() + b"'\no.",
        "os.system by NEWOBJ": b"\x80\x02cos\nsystem\n(X\x04\x00\x00\x00truet\x81.",
        "memmap by NEWOBJ": b"\x80\x02cnumpy\nmemmap\n"
        + fragment((folder, "u1", "w+", 0, 10))
        + b"\x81.",
        "eval by protocol 0": f'cbuiltins\neval\n(S\'__import__("os").mkdir("{folder}")\'\ntR.'.encode(),
        "stack names that are no text": b"\x80\x04K\x01K\x02\x93)R.",
        "nested reduce": b"\x80\x02"
        + named("builtins", "getattr")
        + named("os", "system")
        + fragment("x")
        + b"\x86R"
        + fragment((shell,))
        + b"R.",
        "in a dict": b"\x80\x02}X\x01\x00\x00\x00a" + evil + b"s.",
        "as a key": b"\x80\x02}" + evil + b"K\x01s.",
        "in an object array": array,
        "in an object array of joblib": stream.getvalue(),
        "in a dtype": b"\x80\x02cnumpy\ndtype\n" + evil + b"\x85R.",
        "as a state": b"\x80\x02cnumpy\ndtype\nX\x02\x00\x00\x00f8\x85R" + evil + b"b.",
        "as a factory": b"\x80\x02ccollections\ndefaultdict\ncos\nsystem\n\x85R.",
        "called again": b"\x80\x02cnumpy\ndtype\nX\x02\x00\x00\x00f8\x85R)R.",
        "a state for a function": b"\x80\x02c_codecs\nencode\n}X\x08\x00\x00\x00__code__K\x01sb.",
        "a state for a class": b"\x80\x02cnumpy\nndarray\n}X\x01\x00\x00\x00aK\x01sb.",
        "a state with slots": b"\x80\x02cnumpy\nndarray\n)\x81N}X\x01\x00\x00\x00aK\x01s\x86b.",
        "a class as a result": b"cnumpy\nndarray\n.",
        "a function as a result": b"c_codecs\nencode\n.",
        "an extension code": b"\x80\x02\x82\x4d)R.",
        "a long extension code": b"\x80\x02\x84\xff\xff\xff\x7f)R.",
        "a persistent id": b"Pstorage\n.",
        "a persistent id of the stack": b"\x80\x02(X\x07\x00\x00\x00storageK\x01tQ.",
        "a buffer from outside": b"\x80\x05\x97.",
    }


def _deep_nodes(depth):
    """Objects whose state is the next object."""
    new = b"h\x00)\x81"
    return b"cnumpy\nndarray\nq\x00" + new * depth + b"b" * (depth - 1) + b"."


def claims():
    """Pickles that say they are larger than they are, or take more than they give."""
    laughs = b"\x80\x02]q\x00K\x01aK\x01a" + b"".join(
        b"](" + b"h" + bytes([i]) + (b"h" + bytes([i])) * 9 + b"eq" + bytes([i + 1])
        for i in range(40)
    )
    text = b"\x80\x02X\x00\x00\x10\x00" + b"a" * (1 << 20) + b"q\x00](" + b"h\x00" * 20_000 + b"e."
    doubled = b"\x80\x02ccollections\nOrderedDict\nq\x00]q\x01(" + b"".join(
        fragment((i, i)) for i in range(5000)
    )
    copies = doubled + b"e0](" + b"h\x00h\x01\x85R" * 10_000 + b"e."
    return {
        "empty": b"",
        "stop": b".",
        "text": b"hello world",
        "truncated": pickle.dumps({"a": np.arange(100.0)})[:-60],
        "a list in itself": b"]q\x00h\x00a.",
        "a dict in itself": b"\x80\x02}q\x00K\x01h\x00s.",
        "a tuple in itself": b"\x80\x02]q\x00h\x00\x85q\x01a.",
        "billion laughs": laughs + b".",
        "billion laughs of text": text,
        "billion laughs of dicts": b"\x80\x02}q\x00K\x01K\x01s"
        + b"".join(
            b"}q"
            + bytes([i + 1])
            + b"("
            + b"".join(b"K%ch" % j + bytes([i]) for j in range(10))
            + b"u"
            for i in range(40)
        )
        + b".",
        "copies of a dict": copies,
        "deep lists": b"(l" * 10_000 + b"a" * 9_999 + b".",
        "deep tuples": b"\x80\x02)" + b"\x85" * 10_000 + b".",
        "deep dicts": b"\x80\x02" + b"}K\x01" * 5_000 + b"N" + b"s" * 5_000 + b".",
        "a deep key": b"\x80\x02})" + b"\x85" * 50_000 + b"K\x01s.",
        "deep objects": _deep_nodes(5_000),
        "a key that is a list": b"\x80\x02}]K\x01s.",
        "a set of dicts": b"\x80\x04\x8f(}\x90.",
        "a key without a value": b"\x80\x02}(K\x01u.",
        "many marks": b"(" * 10_000 + b".",
        "far memo": b"\x80\x02Nr\xff\xff\xff\xff" * 3 + b"h\x07.",
        "far memo by line": b"Np99999999999\n.",
        "what was never kept": b"\x80\x02h\x07.",
        "a long number": b"\x80\x02\x8b" + struct.pack("<i", 2**31 - 1) + b"\x01.",
        "a negative length": b"\x80\x02\x8b\xff\xff\xff\xff.",
        "a number of 100 bytes": b"\x80\x02\x8a\x64" + b"\x7f" * 100 + b".",
        "a number of many digits": b"I" + b"9" * 100_000 + b"\n.",
        "bytes": b"\x80\x03B\xff\xff\xff\x7fab.",
        "bytes of 8 bytes' length": b"\x80\x04\x8e" + struct.pack("<Q", 2**62) + b".",
        "a byte array": b"\x80\x05\x96" + struct.pack("<Q", 2**40) + b".",
        "text of 8 bytes' length": b"\x80\x04\x8d" + struct.pack("<Q", 2**63 - 1) + b".",
        "text of Python 2": b"\x80\x02T\xff\xff\xff\x7f.",
        "a frame": b"\x80\x04\x95" + struct.pack("<Q", 2**63 - 1) + b"N.",
        "half a character": b"\x80\x02X\x03\x00\x00\x00\xed\xa0\x80.",
        "text that is not Unicode": b"\x80\x02X\x02\x00\x00\x00\xff\xfe.",
        "text without quotes": b"Shello\n.",
        "an empty stack": b"0000.",
        "protocol 255": b"\x80\xffN.",
        "added to a tuple": b"\x80\x02)K\x01a.",
        "items of a list": b"\x80\x02]K\x01K\x02s.",
    } | arrays()


def state(shape, code, raw, order="<", flags=None):
    """A pickle of an array with the given shape, dtype code and content."""
    dtype = b"cnumpy\ndtype\n" + fragment((code, 0, 1)) + b"R"
    dtype += fragment((3, order, None, None, None, -1, -1, 0) if flags is None else flags) + b"b"
    new = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
    data = fragment(raw, 2) if not isinstance(raw, bytes) else _bytes_2(raw)
    return b"\x80\x02" + new + b"(K\x01" + fragment(shape) + dtype + b"\x89" + data + b"tb."


def _bytes_2(raw):
    return b"T" + struct.pack("<I", len(raw)) + raw


def arrays():
    sparse = {"indptr": np.zeros(2, int), "indices": np.zeros(0, int), "data": np.zeros(0)}
    return {
        "huge shape": state((2**40, 2**40), "f8", b"12345678"),
        "large shape": state((2**33,), "u1", b"12345678"),
        "negative shape": state((-1, -8), "u1", b"12345678"),
        "shape of text": state(("a",), "u1", b"1"),
        "shape that wraps to nothing": state((2**32, 2**32), "u1", b""),
        "huge shape of nothing": state((2**60, 0), "f8", b""),
        "many axes": state((1,) * 100, "u1", b"1"),
        "texts of no letters": state((2**40,), "S0", b""),
        "text that no letter has": state((1,), "U1", b"\xff\xff\xff\x7f"),
        "objects from bytes": state((1,), "O8", b"AAAAAAAA", "|"),
        "objects in disguise": state((1,), "O8", b"AAAAAAAA", "|", (3, "|", None, None, None, 8, 1, 0)),
        "a structure": state((1,), "V8", b"AAAAAAAA", "|", (3, "|", None, ("f",), {}, 8, 1, 0)),
        "a time": state((1,), "M8", b"AAAAAAAA"),
        "a long double": state((1,), "f16", b"A" * 16),
        "an array in its own shape": b"\x80\x02cnumpy\nndarray\n)\x81q\x00(K\x01h\x00NNNtb.",
        "an array in itself": b"\x80\x02cnumpy\nndarray\n)\x81q\x00(K\x01K\x01\x85cnumpy\ndtype\n"
        b"U\x01O\x85R\x89]h\x00atb.",
        "a scalar that is an object": b"\x80\x02cnumpy.core.multiarray\nscalar\ncnumpy\ndtype\n"
        b"U\x01O\x85R}\x86R.",
        "a sparse matrix without end": _node("scipy.sparse._csc", "csc_matrix", sparse | {"_shape": (2**50, 2**50)}),
        "a sparse matrix of one row": _node("scipy.sparse._csr", "csr_matrix", sparse | {"_shape": (1, 2**40)}),
        "a sparse matrix that steps back": _node(
            "scipy.sparse._csr",
            "csr_matrix",
            {"_shape": (2, 2), "indptr": np.array([0, 2**40, 0]), "indices": np.zeros(0, int), "data": np.zeros(0)},
        ),
        "a selection outside": _node("chumpy.reordering", "Select", {"a": np.zeros(2), "idxs": np.array([9])}),
        "an expression": _node("chumpy.ch_ops", "add", {"a": 1, "b": 2}),
        "joblib: huge shape": _wrapper((2**40, 2**40)),
        "joblib: negative shape": _wrapper((-5,)),
        "joblib: no shape": _wrapper(None),
        "joblib: objects cut": _wrapper((1,), "O"),
    }  # fmt: skip


def _node(module, name, values):
    return b"\x80\x02" + named(module, name) + b")\x81" + fragment(values) + b"b."


def _wrapper(shape, code="f8"):
    values = {
        "shape": shape,
        "order": "C",
        "dtype": np.dtype(code),
        "numpy_array_alignment_bytes": 16,
    }
    return _node("joblib.numpy_pickle", "NumpyArrayWrapper", values)


def npy(header, data=b"", version=1):
    """A `.npy` file with the header as given."""
    text = header.encode() + b"\n"
    return (
        b"\x93NUMPY"
        + bytes([version, 0])
        + struct.pack("<H" if version == 1 else "<I", len(text))
        + text
        + data
    )


def described(descr="'<f8'", shape="(1,)"):
    return f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}"


def single_arrays(canary):
    """`.npy` files."""
    evil = pickle.dumps(np.array([Reducing(os.mkdir, str(canary))], dtype=object), 2)
    return {
        "npy: huge shape": npy(described(shape="(1099511627776, 1099511627776)"), b"12345678"),
        "npy: more than there is": npy(described(shape="(1000000,)"), b"12345678"),
        "npy: less than there is": npy(described(shape="(1,)"), b"1" * 4096),
        "npy: negative shape": npy(described(shape="(-1,)"), b"12345678"),
        "npy: huge shape of nothing": npy(described(shape="(4611686018427387904, 0)")),
        "npy: shape of digits": npy(described(shape=f"({'9' * 5000},)"), b"12345678"),
        "npy: a header that calls": npy(
            f"{{'descr': __import__('os').mkdir({str(canary)!r}), 'fortran_order': False, 'shape': (1,), }}"
        ),
        "npy: a deep header": npy("(" * 5000, version=1),
        "npy: a header without end": b"\x93NUMPY\x02\x00\xff\xff\xff\x7f{",
        "npy: a structure": npy(described("[('a', '<f8')]"), b"12345678"),
        "npy: objects": npy(described("'|O'"), evil),
        "npy: more objects than there are": npy(described("'|O'", "(2, 3)"), pickle.dumps(np.array([None], object), 2)),
        "npy: a list for objects": npy(described("'|O'"), pickle.dumps([1])),
        "npy: a version to come": npy(described(), b"12345678").replace(b"NUMPY\x01", b"NUMPY\x09"),
        "npy: cut": npy(described(shape="(4,)"), b"1234"),
    }  # fmt: skip


def zipped(members, method=zipfile.ZIP_STORED):
    """A zip of (name, bytes)."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, data in members:
            info = zipfile.ZipInfo(name)
            info.compress_type = method
            archive.writestr(info, data)
    return stream.getvalue()


def _set(data, offset, value):
    """`value` at `offset` of the central directory's first entry."""
    at = data.index(b"PK\x01\x02") + offset
    return data[:at] + value + data[at + len(value) :]


def archives(canary):
    """`.npz` and other zip files."""
    good = npy(described(), b"12345678")
    whole = zipped([("a.npy", good), ("b.npy", good)])
    return {
        "npz: nothing": zipped([]),
        "npz: no arrays": zipped([("readme.txt", b"hello")]),
        "npz: a zip in it": zipped([("a.npy", zipped([("a.npy", good)]))]),
        "npz: objects": zipped([("a.npy", single_arrays(canary)["npy: objects"])]),
        "npz: huge shape": zipped([("a.npy", single_arrays(canary)["npy: huge shape"])]),
        "npz: a structure": zipped([("a.npy", single_arrays(canary)["npy: a structure"])]),
        "npz: climbs": zipped([("../a.npy", good)]),
        "npz: climbs from within": zipped([("x/../../a.npy", good)]),
        "npz: climbs by backslashes": zipped([("..\\a.npy", good)]),
        "npz: from the root": zipped([("/a.npy", good)]),
        "npz: a drive": zipped([("C:/a.npy", good)]),
        "npz: a name with an end": zipped([("a.npy", good), ("bXb.npy", good)]).replace(
            b"bXb", b"b\0b"
        ),
        "npz: the same name twice": whole.replace(b"b.npy", b"a.npy"),
        "npz: encrypted": _set(whole, 8, b"\x01\x00"),
        "npz: another compression": _set(whole, 10, b"\x63\x00"),
        "npz: says it is larger": _set(whole, 24, b"\xff\xff\xff\x7f"),
        "npz: packed larger than the file": _set(whole, 20, b"\xff\xff\xff\x7f\xff\xff\xff\x7f"),
        "npz: elsewhere": _set(whole, 42, b"\xff\xff\xff\x00"),
        "npz: overlapping": _overlapping(good),
        "npz: a changed number": whole.replace(b"12345678", b"12345679", 1),
        "npz: cut": whole[: len(whole) // 2],
        "npz: no directory": whole[: whole.index(b"PK\x01\x02")],
        "npz: bzip2": zipped([("a.npy", good)], zipfile.ZIP_BZIP2),
    } | tensors(canary)


def _overlapping(data):
    """Many entries of a directory for one content."""
    whole = zipped([(f"{i:02d}.npy", data * 1) for i in range(2)])
    start, end = whole.index(b"PK\x01\x02"), whole.index(b"PK\x05\x06")
    entry = whole[start : start + 46 + 6]
    directory = b"".join(entry[:46] + f"{i:02d}.npy".encode() for i in range(50))
    tail = whole[end : end + 8] + struct.pack("<HHII", 50, 50, len(directory), start) + b"\0\0"
    return whole[:start] + directory + tail


def saved(program, storages=(b"12345678",), order=b"little"):
    """A `.pt` archive whose data.pkl is `program`."""
    members = [("x/data.pkl", program), ("x/byteorder", order), ("x/version", b"3\n")]
    return zipped(members + [(f"x/data/{i}", raw) for i, raw in enumerate(storages)])


def tensor(shape=(2,), stride=(1,), offset=0, count=2, key="0", kind="FloatStorage"):
    """The program of one tensor."""
    storage = (
        b"(U\x07storage"
        + named("torch", kind)
        + fragment(key)
        + fragment("cpu")
        + fragment(count)
        + b"tQ"
    )
    rest = fragment(offset) + fragment(shape) + fragment(stride)
    return b"\x80\x02" + named("torch._utils", "_rebuild_tensor_v2") + b"(" + storage + rest + b"\x89}tR."  # fmt: skip


def tensors(canary):
    evil = pickle.dumps(Reducing(os.mkdir, str(canary)), 2)
    return {
        "pt: calls": saved(evil),
        "pt: a module": saved(call("torch.nn.modules.linear", "Linear")),
        "pt: _load_from_bytes": saved(call("torch.storage", "_load_from_bytes", evil)),
        "pt: a rebuilt function": saved(
            call("torch._utils", "_rebuild_device_tensor_from_numpy", 1)
        ),
        "pt: a rebuilt type": saved(call("torch._tensor", "_rebuild_from_type_v2", evil, 1)),
        "pt: a shared file": saved(
            call("torch.multiprocessing.reductions", "rebuild_storage_filename", 1)
        ),
        "pt: a function as a tensor": saved(call("torch._utils", "_rebuild_tensor_v2", 1, 2, 3, 4)),
        "pt: outside its storage": saved(tensor(shape=(3,))),
        "pt: an offset outside": saved(tensor(offset=1)),
        "pt: a negative offset": saved(tensor(offset=-1)),
        "pt: a negative stride": saved(tensor(stride=(-1,), offset=1)),
        "pt: far strides": saved(tensor(shape=(2, 2), stride=(2**61, 2**61))),
        "pt: one number seen often": saved(tensor(shape=(2**20, 2**20), stride=(0, 0))),
        "pt: huge shape of nothing": saved(tensor(shape=(2**40, 0), stride=(1, 1))),
        "pt: shape of text": saved(tensor(shape="ab")),
        "pt: more numbers than bytes": saved(tensor(count=4, shape=(4,))),
        "pt: no such storage": saved(tensor(key="../../etc/passwd")),
        "pt: a storage by another name": saved(tensor(key=7)),
        "pt: no storages": saved(tensor(), storages=()),
        "pt: unknown byte order": saved(tensor(), order=b"middle"),
        "pt: two programs": zipped([("x/data.pkl", b"N."), ("y/data.pkl", b"N.")]),
        "pt: of old": b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.",
    }


def texts():
    """JSON, CSV and others that are text."""
    return {
        "json: deep": b"[" * 200_000 + b"]" * 200_000,
        "json: deep dicts": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
        "json: never closed": b'{"a": [1, 2, {"b": ',
        "json: NaN": b'{"a": NaN, "keypoints": [NaN, NaN]}',
        "json: infinite": b"[1e99999, -1e99999]",
        "json: a number of many digits": b"[" + b"9" * 100_000 + b"]",
        "json: not Unicode": b'{"a": "\xff\xfe"}',
        "json: half a character": b'{"a": "\\ud800"}',
        "json: a zero byte": b'{"a": 1}\x00',
        "json: an empty list": b"[]",
        "json: an empty dict": b"{}",
        "json: nothing": b"null",
        "json: a number": b"1",
        "json: text": b'"text"',
        "json: a list of lists": json.dumps([[[]]] * 5).encode(),
        "json: keys that are objects": json.dumps({str(i): {} for i in range(20)}).encode(),
        "json: keys that are null": json.dumps(dict.fromkeys(map(str, range(20)))).encode(),
        "csv: formulas": b"=cmd|' /C calc'!A0,1\n" * 10,
        "bvh: no end": b"HIERARCHY\nROOT hips\n{\n" * 5000,
        "bvh: many frames": b"MOTION\nFrames: 99999999999\nFrame Time: 0\n1 2 3\n",
        "xml: entities": b'<!DOCTYPE a [<!ENTITY x "xx">]><a>&x;</a>',
        "hdf5: a header alone": b"\x89HDF\r\n\x1a\n" + b"\0" * 600,
        "matlab: a header alone": b"MATLAB 5.0 MAT-file" + b" " * 105 + b"\x00\x01IM" + b"\0" * 64,
        "matlab: a huge element": b"MATLAB 5.0 MAT-file" + b" " * 105 + b"\x00\x01IM"
        + struct.pack("<II", 14, 2**31) + b"\0" * 99,
        "zeros": b"\0" * 4096,
        "ones": b"\xff" * 4096,
    }  # fmt: skip


def packed(canary):
    """Compressed files with something in them."""
    evil = pickle.dumps(Reducing(os.mkdir, str(canary)), 2)
    return {
        "zlib: calls": zlib.compress(evil),
        "gzip: calls": gzip.compress(evil),
        "bz2: calls": bz2.compress(evil),
        "xz: calls": lzma.compress(evil),
        "lzma: calls": lzma.compress(evil, lzma.FORMAT_ALONE),
        "zlib: cut": zlib.compress(pickle.dumps(list(range(9999))))[:-99],
        "xz: cut": lzma.compress(pickle.dumps(list(range(9999))))[:-99],
        "gzip: damaged": gzip.compress(pickle.dumps(list(range(9999))))[:-8] + b"12345678",
        "xz: a large dictionary": b"\x5d\x00\x00\xff\xff" + b"\xff" * 8 + b"\0" * 64,
        "gzip in gzip": gzip.compress(gzip.compress(evil)),
        "joblib of old": b"ZF0x10               x\x9c",
    }


def corpus(canary):
    """The bytes of every hostile file, by what it tries."""
    return (
        calls(canary)
        | claims()
        | single_arrays(canary)
        | archives(canary)
        | texts()
        | packed(canary)
    )


def bombs():
    """Small files that unpack to `HUGE` and more."""
    zeros = b"\0" * HUGE
    array = npy(described("'|u1'", f"({HUGE},)"), zeros)
    packer = zlib.compressobj(1, zlib.DEFLATED, -15)
    del zeros
    data = packer.compress(array) + packer.flush()
    return {
        "bomb: npz": _deflated("a.npy", data, array),
        "bomb: zlib": zlib.compress(b"\x80\x02" + b"}" * HUGE, 1),
        "bomb: many dicts": zlib.compress(b"\x80\x02" + b"}" * (bounds.FREE // 8), 1),
        "bomb: gzip in many parts": gzip.compress(b"]" * (HUGE // 50), 1) * 50,
        "bomb: pt": _deflated("x/data.pkl", data, array),
    }


def _deflated(name, data, array):
    """A zip of one member that is deflated already."""
    encoded, crc = name.encode(), zlib.crc32(array)
    common = struct.pack(
        "<HHHHHIIIHH", 20, 0, 8, 0, 0x21, crc, len(data), len(array), len(encoded), 0
    )
    local = b"PK\x03\x04" + common + encoded + data
    entry = b"PK\x01\x02" + struct.pack("<H", 20) + common + b"\0" * 14 + encoded
    return local + entry + b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, 1, 1, len(entry), len(local), 0)  # fmt: skip
