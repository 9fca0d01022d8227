"""Sets larger than memory: any rows from any layout, the same refusals, and memory that does not grow."""

import dataclasses
import subprocess
import sys

import numpy as np
import pytest
import tiny

from diffjax.data import records, shards

COUNT = 23


@pytest.fixture(scope="module")
def people():
    return tiny.annotations(COUNT)


@pytest.fixture(scope="module")
def stored(people, tmp_path_factory):
    """The same people in every layout that NumPy writes."""
    directory = tmp_path_factory.mktemp("stored")
    arrays = records.arrays_of(people)
    records.write(directory / "plain.npz", people)
    records.write_shards(directory / "shards", people, rows=5)
    np.savez_compressed(directory / "packed.npz", **arrays)
    doubles = {"pred_pose": np.asfortranarray(arrays["pred_pose"])}
    doubles |= {name: arrays[name].astype(np.float64) for name in ("pred_betas", "labels2d")}
    np.savez(directory / "other.npz", **(arrays | doubles))
    return directory


LAYOUTS = ("plain.npz", "shards", "packed.npz", "other.npz")


def assert_equal(found, wanted):
    for name, value in records.arrays_of(wanted).items():
        np.testing.assert_array_equal(getattr(found, name), value, err_msg=name)
        assert np.asarray(getattr(found, name)).dtype.kind == np.asarray(value).dtype.kind
    assert records.arrays_of(found).keys() == records.arrays_of(wanted).keys()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_any_rows_are_those_of_the_whole(layout, people, stored):
    source = shards.open_set(stored / layout)
    assert source.count == COUNT
    assert_equal(source.head, records.take(people, slice(0, 0)))
    for first, last in [(0, COUNT), (3, 9), (20, COUNT), (4, 16), (0, 1)]:
        assert_equal(source.read(first, last), records.take(people, slice(first, last)))
    index = np.array([0, 11, 1, 12, 2, 13, 22, 0])
    assert_equal(source.take(index), records.take(people, index))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("rows", [1, 7, 100])
def test_the_pieces_are_the_whole(layout, rows, people, stored):
    found = list(shards.pieces(stored / layout, rows))
    assert max(records.count(piece) for piece in found) == min(rows, COUNT)
    assert_equal(records.concatenate(found), people)


def test_a_set_in_memory_is_a_source_too(people):
    source = shards.of_set(people, "demo")
    assert_equal(source.read(2, 5), records.take(people, slice(2, 5)))
    other = dataclasses.replace(people, pred_betas=people.pred_betas + 1)
    assert shards.of_set(other, "demo").digest != source.digest


def test_the_digest_is_of_what_is_held(people, stored, tmp_path):
    digest = shards.open_set(stored / "plain.npz").digest
    records.write(tmp_path / "copy.npz", people)
    assert shards.open_set(tmp_path / "copy.npz").digest == digest
    other = dataclasses.replace(people, pred_betas=people.pred_betas + np.float32(1e-3))
    records.write(tmp_path / "copy.npz", other)
    assert shards.open_set(tmp_path / "copy.npz").digest != digest


def test_joined_shards_are_the_file_to_the_byte(people, stored, tmp_path):
    files = records.shards_of(stored / "shards")
    shards.join(files, tmp_path / "joined.npz")
    assert (tmp_path / "joined.npz").read_bytes() == (stored / "plain.npz").read_bytes()
    shards.join(files, tmp_path / "less.npz", leave_out=["cam_t"])
    assert_equal(records.read(tmp_path / "less.npz"), tiny.without(people, "cam_t"))
    assert len(list(tmp_path.iterdir())) == 2


BAD_HEADERS = {
    "short": (
        {"keypoints2d": np.zeros((3, 17, 3), np.float32)},
        r"keypoints2d: wanted shape \(23,",
    ),
    "typo": ({"keypoint2d": np.zeros(3)}, r"keypoint2d: .*did you mean keypoints2d"),
    "pickle": ({"image": np.array([None] * COUNT)}, r"wanted an .npz of plain arrays"),
    "set": ({"keypoints2d_set": "coco"}, r"keypoints2d_set: wanted one of .*did you mean coco17"),
    "empty": ({"pred_pose": np.zeros((0, 24, 3, 3))}, r"pred_pose: wanted at least one person"),
}


@pytest.mark.parametrize("case", BAD_HEADERS)
def test_a_bad_header_is_refused_before_anything_is_read(case, people, tmp_path):
    change, message = BAD_HEADERS[case]
    np.savez(tmp_path / "bad.npz", **(records.arrays_of(people) | change))
    with pytest.raises(ValueError, match=message) as error:
        shards.open_set(tmp_path / "bad.npz")
    assert str(error.value).startswith(str(tmp_path / "bad.npz"))


def test_bad_values_are_refused_with_the_row(people, tmp_path):
    betas = people.pred_betas.copy()
    betas[20] = np.nan
    arrays = records.arrays_of(dataclasses.replace(people, pred_betas=betas))
    np.savez(tmp_path / "bad.npz", **arrays)
    with pytest.raises(ValueError, match=r"bad.npz: field pred_betas: .*first row 20"):
        list(shards.survey(shards.open_set(tmp_path / "bad.npz")))
    with pytest.raises(ValueError, match=r"bad.npz, rows counted from 16: .*first row 4"):
        list(shards.pieces(tmp_path / "bad.npz", 8))


def test_files_that_are_no_set_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.npz: no such annotation set"):
        shards.open_set(tmp_path / "none.npz")
    (tmp_path / "text.npz").write_text("hello")
    with pytest.raises(ValueError, match=r"text\.npz: wanted an \.npz of plain arrays"):
        shards.open_set(tmp_path / "text.npz")
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    with pytest.raises(ValueError, match=r"field a: wanted a known field"):
        shards.open_set(tmp_path / "other.npz")
    np.savez(tmp_path / "other.npz", global_orient=np.zeros(3), body_pose=np.zeros(3))
    with pytest.raises(ValueError, match=r"found global_orient, .* inspect .*other\.npz$"):
        shards.open_set(tmp_path / "other.npz")


def test_shards_that_are_not_alike_or_not_all_there_are_refused(people, tmp_path):
    records.write_shards(tmp_path / "set", people, rows=12)
    second = tmp_path / "set" / "shard-00001-of-00002.npz"
    last = records.take(people, slice(12, None))
    records.write(second, tiny.without(last, "pose"))
    with pytest.raises(ValueError, match=r"00001.*: wanted the fields of .* only one .* has pose"):
        shards.open_set(tmp_path / "set")
    second.unlink()
    for read in (shards.open_set, records.read):
        with pytest.raises(ValueError, match=r"wanted 2 shards, as their names say, found 1"):
            read(tmp_path / "set")


MEASURE = """
import resource, sys
import cheap
from diffjax.data import shards

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

cheap.pretend()
for name in sys.argv[1:]:
    cheap.main([f"{name}.npz", f"{name}_out.npz", "--rows", "2048"])
    print(peak())
"""


def test_the_memory_does_not_grow_with_the_set(tmp_path):
    """Refined from disk to disk: 36,000 people more are 110 MB more on disk."""
    some = records.arrays_of(tiny.annotations(1000))
    for name, times in (("small", 4), ("large", 40)):
        repeated = {
            k: np.tile(v, (times, *[1] * (np.ndim(v) - 1))) if np.ndim(v) else v
            for k, v in some.items()
        }
        np.savez(tmp_path / f"{name}.npz", **repeated)
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, "small", "large"],
        cwd=tmp_path, capture_output=True, text=True, check=True,
        env={"PYTHONPATH": f"{tiny.__file__.rpartition('/')[0]}", "JAX_PLATFORMS": "cpu", "PATH": ""},
    )  # fmt: skip
    small, large = (float(line) for line in done.stdout.splitlines() if line[0].isdecimal())
    assert large - small < 40
