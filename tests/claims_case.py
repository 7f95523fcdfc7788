"""Every claim that any stage makes: what the claims of a run are taken from in tests without a run."""

from __future__ import annotations

from alignwright.attack.knobs import Mutate, Replay, Suite
from alignwright.core.claims import Claim
from alignwright.core.stage import Stage
from alignwright.feedback.knobs import Contrast, JudgeVote
from alignwright.measure.conduct.bias.knobs import BiasMeasure
from alignwright.measure.conduct.calibration.knobs import CalibrationMeasure
from alignwright.measure.conduct.high_stakes.knobs import HighStakesMeasure
from alignwright.measure.emergent.knobs import EmergentMeasure
from alignwright.measure.goodhart.knobs import GoodhartMeasure
from alignwright.measure.hacking.knobs import HackingMeasure
from alignwright.measure.harness.knobs import LmEvalMeasure
from alignwright.measure.knobs import Instruction, IntentMeasure, RewardMeasure, TaxMeasure, ValueMeasure
from alignwright.train.knobs import RewardModel
from alignwright.worlds.knobs import CLAIMS as OF_WORLDS

FILES = ("x.jsonl",)
MEASURES: tuple[Stage, ...] = (
    Instruction(by="instruction", data=FILES, faithful=FILES),
    IntentMeasure(by="intent", pushback=FILES, opinion=FILES, meant=FILES),
    ValueMeasure(by="value", prompts=FILES, pairs=FILES),
    TaxMeasure(by="tax", text=FILES, choice=("x.jsonl", "y.jsonl"), problems=FILES, prompts=FILES),
    RewardMeasure(by="reward", reward="reward", prompts=FILES),
    EmergentMeasure(by="emergent", choice=FILES, questions=FILES, judge="self"),
    GoodhartMeasure(by="goodhart", proxy="a.py:f", gold="a.py:g", prompts=FILES, shifted=FILES),
    HackingMeasure(by="hacking", proxy="a.py:f", gold="a.py:g", prompts=FILES),
    BiasMeasure(by="bias", bbq=FILES, crows_pairs=FILES, winobias=FILES),
    HighStakesMeasure(by="high_stakes"),
    CalibrationMeasure(by="calibration", choice=FILES),
    LmEvalMeasure(by="lm_eval", tasks=("arc_easy",)),
)
OTHERS: tuple[Stage, ...] = (
    Suite(by="suite", name="jailbreaks", prompts=FILES),
    Mutate(by="mutate", prompts=FILES),
    Replay(by="replay", file=FILES),
    Contrast(by="contrast"),
    JudgeVote(by="judge"),
    RewardModel(by="reward"),
)
CLAIMS: tuple[Claim, ...] = (*(claim for stage in (*MEASURES, *OTHERS) for claim in stage.claims()), *OF_WORLDS)
