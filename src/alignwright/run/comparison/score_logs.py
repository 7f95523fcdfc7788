"""Which scores, item by item, lie in a run's folder or in another tool's log?

Of a run the last model's are read, claim by claim in the reported direction, from the stages that
measured or attacked it, each held against the ledger.
"""

from __future__ import annotations

from pathlib import Path

from alignwright.core.claims import Claim
from alignwright.core.records import SampleResult
from alignwright.files.garak_report import read_garak_report
from alignwright.files.inspect_log import read_inspect_log
from alignwright.files.jailbreak_artifact import read_artifact
from alignwright.files.lm_eval_log import read_samples_file, read_samples_folder
from alignwright.files.score_log import ItemScore, ScoredClaim, ScoreLog
from alignwright.report.results import read
from alignwright.run.comparison.paired import kind_of
from alignwright.run.stored_samples import stored_samples
from alignwright.run.sweep.members import check_one_run


def read_scores(path: Path) -> ScoreLog:
    """Every score in a log. FileNotFoundError or ValueError, with what to do, where there is none."""
    if not path.exists():
        raise FileNotFoundError(f"{path}: there is no such run or log")
    kind = kind_of(path)
    if kind is None:
        raise ValueError(
            f"{path}: neither a run folder, a log of Inspect (.eval, .json), lm-eval's samples (samples_*.jsonl,"
            " or a folder of them, as lm-eval --log_samples writes), a report of garak, nor an artifact of"
            " JailbreakBench"
        )
    if kind == "inspect":
        return read_inspect_log(path)
    if kind == "garak":
        return read_garak_report(path)
    if kind == "jailbreakbench":
        return read_artifact(path)
    if kind == "lm_eval":
        return read_samples_folder(path) if path.is_dir() else read_samples_file(path)
    return _run_scores(path)


def _run_scores(run: Path) -> ScoreLog:
    check_one_run(run)
    results = read(run)
    if not results.stages:
        raise ValueError(f"{run}: nothing was measured in it")
    stage, groups = results.stages[-1], dict[str, list[SampleResult]]()
    for sample in stored_samples(run, stage):
        groups.setdefault(sample.claim, []).append(sample)
    claims = tuple(
        _scored(name, samples, claim, name.rpartition(".")[0] in groups)
        for name, samples in groups.items()
        if (claim := results.record(name)) is not None
    )
    unknown = sorted(name for name in groups if results.record(name) is None)
    notes = [f"{run}: scores are those of its last model, {results.inside(stage)}"]
    notes += [f"{run}: no stage of the run makes the claim {name}: left out" for name in unknown]
    notes += [
        f"{run}: {finding.claim} has no scores: {finding.detail['untested']}"
        for finding in results.findings
        if finding.stage == stage and "untested" in finding.detail
    ]
    return ScoreLog(str(run), "run", claims, tuple(notes))


def _scored(name: str, samples: list[SampleResult], claim: Claim, is_part: bool) -> ScoredClaim:
    scores = [
        ItemScore(
            sample.item,
            sample.item,
            None if sample.value is None else sample.value if claim.counts == "pass" else 1.0 - sample.value,
            sample.cluster,
            sample.prompt.last.content if sample.prompt else "",
            sample.reply if sample.prompt else sample.reason,
            sample.reason,
        )
        for sample in samples
    ]
    return ScoredClaim(name, scores, claim.better, claim.unit, claim.within, is_part)
