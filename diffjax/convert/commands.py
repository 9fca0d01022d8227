"""The table of `scripts/convert.py`: a name for every format, and the function that converts it."""

import functools
import inspect as inspect_module
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tyro

from diffjax.convert import (
    aist,
    bvh,
    coco,
    eft,
    emdb,
    generic,
    h36m,
    halpe,
    hmr2_evaluation,
    humandata,
    inference_result,
    inspect,
    join,
    motion,
    mpi_inf_3dhp,
    neuralannot,
    openpose,
    phalp,
    predictions,
    pw3d,
    scorehmr_cache,
    slahmr,
    smpl,
    smplifyx,
    spin,
    spin_result,
    stcformer,
    to_amass,
    to_csv,
    to_eft,
    to_humandata,
    to_json,
    to_mesh,
    to_neuralannot,
    to_scorehmr_cache,
    to_sequences,
    to_smpl_file,
    to_spin,
    vibe,
    weights,
)

COMMANDS: dict[str, Callable[..., Any]] = {
    "inspect": inspect.inspect,
    # Estimates, with what is known beside them.
    "mmhuman3d": predictions.convert,
    "inference-result": inference_result.convert,
    "scorehmr-cache": scorehmr_cache.convert,
    "spin-result": spin_result.convert,
    "phalp": phalp.convert,
    "slahmr": slahmr.convert,
    "vibe": vibe.convert,
    "smplify-x": smplifyx.convert,
    "generic": generic.convert,
    # Truth, pseudo-truth and evidence.
    "humandata": humandata.convert,
    "spin": spin.convert,
    "hmr2": hmr2_evaluation.convert,
    "3dpw": pw3d.convert,
    "emdb": emdb.convert,
    "mpi-inf-3dhp": mpi_inf_3dhp.convert,
    "h36m": h36m.convert,
    "halpe": halpe.convert,
    "coco": coco.convert,
    "openpose": openpose.convert,
    "eft": eft.convert,
    "neuralannot": neuralannot.convert,
    "join": join.convert,
    # Motion.
    "amass": motion.convert,
    "aist": aist.convert,
    "bvh": bvh.convert,
    # Bodies and weights.
    "smpl": smpl.convert,
    "weights": weights.convert,
    "stcformer": stcformer.convert,
    # Annotation sets to other programs' files.
    "to-humandata": to_humandata.convert,
    "to-spin": to_spin.convert,
    "to-eft": to_eft.convert,
    "to-neuralannot": to_neuralannot.convert,
    "to-scorehmr-cache": to_scorehmr_cache.convert,
    "to-amass": to_amass.convert,
    "to-smpl": to_smpl_file.convert,
    "to-mesh": to_mesh.convert,
    "to-csv": to_csv.convert,
    "to-json": to_json.convert,
    "to-sequences": to_sequences.convert,
}
"""In the order of the help."""


_WRITES = {
    "to-scorehmr-cache": (".npz", ".pkl"),
    "to-eft": (".json",),
    "to-neuralannot": (".json",),
    "to-csv": (".csv",),
    "to-json": (".json",),
}
_WRITES |= dict.fromkeys(("to-mesh", "to-amass", "to-smpl", "amass", "aist", "bvh"), ())
"""What `--out` may end in, where it is not `.npz`; a folder, or names of its own, where it is empty."""


def guarded(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """The command, which refuses to write over what it reads, or to a name that it would refuse in the end."""

    @functools.wraps(function)
    def command(*words: Any, **options: Any) -> Any:
        given = inspect_module.signature(function).bind(*words, **options).arguments
        out = given.get("out")
        if out is not None:
            _check_out(name, Path(out), given)
        return function(*words, **options)

    return command


def _check_out(name: str, out: Path, given: dict[str, Any]) -> None:
    endings = _WRITES.get(name, (".npz",))
    if endings and out.suffix not in endings:
        raise ValueError(f"--out: wanted a name ending in {' or '.join(endings)}, found {out}")
    for option, value in given.items():
        read = value if isinstance(value, tuple | list) else (value,)
        same = [x for x in read if isinstance(x, Path) and x.resolve() == out.resolve()]
        if option != "out" and same:
            raise ValueError(
                f"--out: wanted another file than --{option.replace('_', '-')}, found {out} for both; "
                "what is read would be lost"
            )


def main(description: str) -> None:
    """Runs the command that the shell names."""
    table = {name: guarded(name, function) for name, function in COMMANDS.items()}
    tyro.extras.subcommand_cli_from_dict(table, description=description, args=sys.argv[1:])
