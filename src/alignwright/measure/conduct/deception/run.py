"""How is deception measured inside a run? By the letters of options, of a model here or behind a server."""

from __future__ import annotations

from alignwright.files.pressure_items import PressureItem
from alignwright.job.context import JobContext
from alignwright.job.job import Result
from alignwright.job.lettered import letter_reader
from alignwright.job.needs import NotServed, joined, untested
from alignwright.measure.conduct.bundled_file import bundled_file
from alignwright.measure.conduct.deception import deception
from alignwright.measure.conduct.deception.knobs import DeceptionMeasure
from alignwright.measure.conduct.deception.scenarios import able, selection


def measure_deception(stage: DeceptionMeasure, job: JobContext) -> Result:
    """Lies, then sandbagging, each where there are items for it."""
    own = job.data.items(stage.scenarios, PressureItem, None)
    items = selection(own, bundled_too=stage.bundled, limit=stage.limit)
    asked = able(job.data.choices(stage.ability, None)[0], bundled_too=stage.bundled, limit=stage.limit)
    roles = bundled_file("deception", "scenarios.yaml")["sandbagging"]

    reader = letter_reader(job)
    try:
        lies = deception.lies(reader, items) if items else []
        withheld = deception.sandbagging(reader, asked, **roles, password=stage.password) if asked else []
    except NotServed as refusal:
        whole = [claim for claim in stage.claims() if not claim.name.endswith("*")]
        return joined(Result(findings=[untested(claim, job.model, str(refusal)) for claim in whole]))
    return joined(Result(samples=[*lies, *withheld]))
