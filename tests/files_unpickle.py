"""Small files of the kinds that `diffjax.unpickle` reads, each with a trivial converter."""

import pickle

import joblib
import made
import numpy as np
import torch

from diffjax import unpickle

CONTENT = {
    "pose": np.arange(72.0).reshape(1, 72),
    "betas": np.ones((1, 10), np.float32),
    "name": "sequence",
    "people": [{"id": 1, "box": np.zeros(4)}, {"id": 2, "box": np.ones(4)}],
    "empty": np.zeros((0, 3)),
    "texts": np.array(["a", "bc"]),
    "objects": np.array([{"a": 1}, None], dtype=object),
}


def case(path, read):
    """A converter that reads, and writes what it read as text."""

    def convert(out):
        out.write_text(repr(read(path)))

    return made.Case(convert, [path])


def plain(protocol):
    def make(folder):
        path = folder / "plain.pkl"
        path.write_bytes(pickle.dumps(CONTENT, protocol))
        return case(path, unpickle.load_pickle)

    return make


def of_joblib(compress):
    def make(folder):
        joblib.dump(CONTENT, folder / "joblib.pkl", compress=compress)
        return case(folder / "joblib.pkl", unpickle.load_pickle)

    return make


def of_torch(folder):
    tensors = {"a": torch.arange(12.0).reshape(3, 4).t(), "b": [torch.ones(2).half()], "n": 3}
    torch.save(tensors | {"c": torch.ones(3).bfloat16()}, folder / "tensors.pt")
    return case(folder / "tensors.pt", unpickle.load_torch)


def npz(save):
    def make(folder):
        save(folder / "arrays.npz", **CONTENT)
        return case(folder / "arrays.npz", unpickle.load_npz)

    return make


def npy(folder):
    np.save(folder / "array.npy", CONTENT["pose"])
    return case(folder / "array.npy", unpickle.load_npy)


def objects(folder):
    np.save(folder / "objects.npy", CONTENT["objects"], allow_pickle=True)
    return case(folder / "objects.npy", unpickle.load_npy)


CASES = {
    "pickle-0": plain(0),
    "pickle-2": plain(2),
    "pickle-4": plain(4),
    "pickle-5": plain(5),
    "joblib": of_joblib(0),
    "joblib-zlib": of_joblib(("zlib", 3)),
    "joblib-xz": of_joblib(("xz", 3)),
    "joblib-bz2": of_joblib(("bz2", 3)),
    "torch": of_torch,
    "npz": npz(np.savez),
    "npz-deflated": npz(np.savez_compressed),
    "npy": npy,
    "npy-objects": objects,
}
