"""Other programs' files to ours: python scripts/convert.py smpl --help"""

from pathlib import Path
from typing import Literal

import tyro

from diffjax import checkpoint, config
from diffjax.convert import motion, predictions, scorehmr_cache, smpl, weights
from diffjax.data import records


def mmhuman3d(
    result: Path,
    human_data: Path,
    out: Path,
    body: Path | None = None,
    regressor: Path | None = None,
    gendered_bodies: tuple[Path, Path] | None = None,
    keypoint_set: str | None = None,
    allow_mismatch: bool = False,
) -> None:
    """Joins result_keypoints.json with the HumanData .npz that was evaluated.

    Args:
        result: result_keypoints.json of tools/test.py --work-dir.
        human_data: pw3d_test.npz, mpi_inf_3dhp_test.npz, ...
        out: The annotation set to write, .npz.
        body: Neutral SMPL, .pkl or .npz: checks the cached keypoints.
        regressor: J_regressor_h36m.npy, unless the body file holds one.
        gendered_bodies: Male, then female SMPL: adds the joint truth.
        keypoint_set: Which keypoints to take where the file fills several sets.
        allow_mismatch: Go on where a check fails.
    """
    annotations = predictions.from_mmhuman3d(
        result,
        human_data,
        body_path=body,
        regressor=regressor,
        gendered_bodies=dict(zip(("male", "female"), gendered_bodies)) if gendered_bodies else None,
        keypoint_set=keypoint_set,
        allow_mismatch=allow_mismatch,
    )
    _write(out, annotations)


def convert_scorehmr_cache(
    cache: Path,
    out: Path,
    evaluation: Path | None = None,
    image_size: tuple[float, float] | None = None,
    allow_mismatch: bool = False,
) -> None:
    """Reads ScoreHMR's cached HMR2 predictions.

    Args:
        cache: cache/hmr2b/3dpw_test.npz.
        out: The annotation set to write, .npz.
        evaluation: data/datasets/3dpw_test.npz, whose rows the cache follows.
        image_size: Width and height, where all images share them.
        allow_mismatch: Go on where a check fails.
    """
    annotations = scorehmr_cache.from_scorehmr(
        cache, evaluation, image_size_px=image_size, allow_mismatch=allow_mismatch
    )
    _write(out, annotations)


def amass(
    source: Path,
    out: Path,
    up: Literal["y", "z"] = "z",
    fps: float | None = None,
    source_fps: float | None = None,
) -> None:
    """Turns AMASS-layout motion into 24-joint SMPL motion, y up.

    Args:
        source: A motion .npz or a folder of them.
        out: Folder to write to.
        up: The vertical axis of the source; AMASS has z.
        fps: Frames a second to keep; all without it.
        source_fps: The rate of files that name none.
    """
    motion.convert_motion(source, out, up=up, fps=fps, source_fps=source_fps)


def convert_smpl(source: Path, out: Path, regressor: tuple[str, ...] = ()) -> None:
    """Makes a clean body file of an official SMPL .pkl or .npz.

    Args:
        source: SMPL_NEUTRAL.pkl, basicmodel_m_lbs_10_207_0_v1.1.0.pkl, ...
        out: The body file to write, .npz.
        regressor: NAME=FILE.npy of further keypoints, such as h36m17=J_regressor_h36m.npy.
    """
    for pair in regressor:
        if "=" not in pair:
            raise ValueError(f"--regressor: wanted NAME=FILE.npy, got {pair!r}")
    records.save_arrays(out, smpl.convert_smpl(source, dict(p.split("=", 1) for p in regressor)))
    print(f"{out}: written; the licence of {source} holds for it too")


def convert_weights(source: Path, out: Path) -> None:
    """Reads the DiffAnnot authors' torch checkpoint (needs the extra `convert`).

    Args:
        source: model*.pt or ema_*.pt.
        out: The model to write, .npz, for --parts.denoiser.
    """
    checkpoint.export(out, weights.diffannot_model(source))
    print(f"{out}: written; search with it by --parts.denoiser {out}")


def _write(out: Path, annotations: records.AnnotationSet) -> None:
    records.write(out, annotations)
    print(f"{out}: {records.count(annotations)} people")


def main() -> None:
    commands = {
        "mmhuman3d": mmhuman3d,
        "scorehmr-cache": convert_scorehmr_cache,
        "amass": amass,
        "smpl": convert_smpl,
        "weights": convert_weights,
    }
    tyro.extras.subcommand_cli_from_dict(commands, description=__doc__)


if __name__ == "__main__":
    config.run_main(main)
