"""What the rows of a table depend on: another table of the same facts may go on where one was stopped."""

import dataclasses
from typing import Any

from diffjax.comparison import people
from diffjax.comparison.method import Kit
from diffjax.data import jobs, records
from diffjax.protocols import referee


def of(kit: Kit, sets: people.Sets) -> dict[str, Any]:
    """All that a row depends on."""
    loaded = {"guided": kit.guided.prior, "loop": kit.fitting.prior, "denoiser": kit.denoiser}
    arrays = {name: None if x is None else x.prior for name, x in loaded.items()}
    more = {"body": kit.guided.model, "residuals": kit.guided.error_model, "frontend": kit.frontend}
    more["poses"] = kit.guided.poses
    more["refiner"] = None if kit.refiner is None else (kit.refiner.params, kit.refiner.process)
    return {
        "data": {part: _digest(crowd) for part, crowd in sets._asdict().items()},
        "use": sets.test.use,
        "tuning": kit.tuning,
        "seed": kit.seed,
        "fps": kit.fps,
        "protocol": None if sets.test.referee is None else referee.facts(sets.test.referee),
        "guided": dataclasses.asdict(kit.run.guided),
        "scorehmr": dataclasses.asdict(kit.loop.scorehmr),
        "search": dataclasses.asdict(kit.run.search),
        "parts": {name: jobs.fingerprint(x) for name, x in (arrays | more).items()},
    }


def _digest(crowd: people.Crowd | None) -> str | None:
    return None if crowd is None else jobs.fingerprint(records.arrays_of(crowd.people.annotations))
