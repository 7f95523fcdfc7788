"""Which looks inside a model are there? The kinds of `lens`, each with its knobs in its own folder."""

from __future__ import annotations

from alignwright.lens.awareness.knobs import AwarenessStage
from alignwright.lens.crosscoder.knobs import CrosscoderStage
from alignwright.lens.diff.knobs import DiffStage
from alignwright.lens.gate.knobs import GateStage
from alignwright.lens.inside_deception.knobs import InsideDeceptionStage
from alignwright.lens.logit_lens.knobs import LogitLensStage
from alignwright.lens.patch.knobs import PatchStage
from alignwright.lens.persona.knobs import PersonaStage
from alignwright.lens.probe.knobs import ProbeStage
from alignwright.lens.sae.knobs import SaeStage
from alignwright.lens.steer.knobs import SteerStage

AnyLens = (
    ProbeStage
    | LogitLensStage
    | SteerStage
    | PatchStage
    | DiffStage
    | SaeStage
    | InsideDeceptionStage
    | AwarenessStage
    | GateStage
    | CrosscoderStage
    | PersonaStage
)
