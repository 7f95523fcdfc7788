"""What does each look inside do? One match over the stages of `lens`."""

from __future__ import annotations

from typing import assert_never

from alignwright.job.context import JobContext
from alignwright.job.job import Result
from alignwright.lens.awareness.knobs import AwarenessStage
from alignwright.lens.awareness.run import measure_awareness
from alignwright.lens.crosscoder.knobs import CrosscoderStage
from alignwright.lens.crosscoder.run import measure_crosscoder
from alignwright.lens.diff.knobs import DiffStage
from alignwright.lens.diff.run import measure_diff
from alignwright.lens.gate.knobs import GateStage
from alignwright.lens.gate.run import measure_gate
from alignwright.lens.inside_deception.knobs import InsideDeceptionStage
from alignwright.lens.inside_deception.run import measure_inside_deception
from alignwright.lens.knobs import AnyLens
from alignwright.lens.logit_lens.knobs import LogitLensStage
from alignwright.lens.logit_lens.run import measure_logit_lens
from alignwright.lens.patch.knobs import PatchStage
from alignwright.lens.patch.run import measure_patch
from alignwright.lens.persona.knobs import PersonaStage
from alignwright.lens.persona.run import measure_persona
from alignwright.lens.probe.knobs import ProbeStage
from alignwright.lens.probe.run import measure_probe
from alignwright.lens.sae.knobs import SaeStage
from alignwright.lens.sae.run import measure_sae
from alignwright.lens.steer.knobs import SteerStage
from alignwright.lens.steer.run import measure_steer


def run(stage: AnyLens, job: JobContext) -> Result:
    """Look into the job's model."""
    match stage:
        case ProbeStage():
            return measure_probe(stage, job)
        case LogitLensStage():
            return measure_logit_lens(stage, job)
        case SteerStage():
            return measure_steer(stage, job)
        case PatchStage():
            return measure_patch(stage, job)
        case SaeStage():
            return measure_sae(stage, job)
        case DiffStage():
            return measure_diff(stage, job)
        case InsideDeceptionStage():
            return measure_inside_deception(stage, job)
        case AwarenessStage():
            return measure_awareness(stage, job)
        case GateStage():
            return measure_gate(stage, job)
        case CrosscoderStage():
            return measure_crosscoder(stage, job)
        case PersonaStage():
            return measure_persona(stage, job)
        case _ as never:
            assert_never(never)
