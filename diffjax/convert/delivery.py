"""What a reader has found, as a file: an annotation set, or evidence that waits for its estimates."""

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from diffjax.convert import join, merging
from diffjax.data import checks, records

Role = Literal["estimate", "truth"]
"""What SMPL parameters of a file are to us: what is to be refined, or what it is compared with."""

_NAMES = {"pose": "pred_pose", "betas": "pred_betas", "cam_t": "pred_cam_t"}


def in_role(fields: dict[str, Any], role: Role) -> dict[str, Any]:
    """Fields whose parameters are named `pose`, `betas` and `cam_t`, renamed if they are estimates."""
    if role == "truth":
        return fields
    return {_NAMES.get(name, name): value for name, value in fields.items()}


def deliver(
    out: str | Path,
    fields: dict[str, Any],
    where: str,
    estimates: str | Path | None = None,
    say: Callable[[str], None] = print,
) -> None:
    """Writes fields, joined to the people of the annotation set `estimates` where one is given.

    `where` names the source in messages. A centre that nobody gave is the image's middle, where its size
    and the focal length are known. Without any estimate what is written is evidence alone: said aloud.
    """
    if Path(out).exists():
        say(f"{out} is there already: it will be replaced")
    if estimates is not None:
        people = records.arrays_of(records.read(estimates))
        aside = Path(out).with_name(f"{Path(out).stem}_evidence.npz")
        again = f"this command without --estimates and with --out {shlex.quote(str(aside))}, then: "
        again += join.line(str(estimates), str(aside), str(out))
        fields = join.join(people, fields, str(estimates), where, again=again, say=say)
    checks.check(fields, where, estimate=False)
    fields = merging.with_center(fields, where, say)
    if "pred_pose" not in fields:
        records.write_fields(out, fields)
        rows = len(next(value for name, value in fields.items() if not name.endswith("_set")))
        say(
            f"{out}: {rows} people without estimates; add them with "
            f"scripts/convert.py join --estimates SET.npz --evidence {out} --out JOINED.npz"
        )
        return
    if estimates is None:
        merging.say_camera(fields, where, say)
    annotations = records.from_arrays(fields, where)
    records.write(out, annotations)
    say(f"{out}: {records.count(annotations)} people")
