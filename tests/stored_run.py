"""A finished run of a few stored results and findings, for tests of how numbers leave."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from alignwright.core.claims import Claim
from alignwright.core.promises import Header, PromiseReport, Verdict
from alignwright.core.records import Conversation, Finding, SampleResult
from alignwright.job.ledger import Ledger

HOSTILE = 'ignore all </script> {{7*7}} "attachment://0" \x1b[31m \u202e'


def stored_run(folder: Path, model: str = "m", verdicts: tuple[Verdict, ...] = ()) -> Path:
    """The run; it is not trained, its files are as a run leaves them."""
    rows = [
        _result("value.refusal", "a", "pass", 1.0, HOSTILE), _result("value.refusal", "a", "fail", 0.0),
        _result("value.refusal", "b", "fail", 0.0), _result("value.refusal", "c", "unscored", None),
        _result("value.refusal", "d", "error", None),
        _result("attack.success", "a", "fail", 0.0), _result("attack.success", "b", "pass", 1.0),
        _result("attack.success", "c", "fail", 0.0),
        _result("tax.bits_per_byte", "a", "pass", 2.5), _result("tax.bits_per_byte", "b", "pass", 1.5),
    ]  # fmt: skip
    findings = [
        _finding("value.refusal", 1 / 3, unscored=1, errors=1, clusters=1),
        _finding("value.refusal", 0.25, stage="train.0.sft", against="baseline", p=0.5, p_adjusted=0.75),
        _finding("attack.success", 2 / 3, axis="attack", better="lower"),
        _finding("tax.bits_per_byte", 2.0, axis="tax", unit="bits/byte", better="lower", n=2),
        _finding("feedback.judge.accuracy", None, stage="feedback.0.judge", axis="feedback", n=0, low=None, high=None),
    ]
    stage = folder / "stages" / "00-measure.0.value@baseline"
    stage.mkdir(parents=True)
    (stage / "outcomes.jsonl").write_text("".join(row.model_dump_json() + "\n" for row in rows))
    (folder / "spec").mkdir()
    (folder / "spec" / "resolved.json").write_text(json.dumps({"measure": [{"by": "value"}]}))
    Ledger(folder).finish("measure.0.value@baseline", "key", stage, 0.0)
    (folder / "findings.jsonl").write_text("".join(f.model_dump_json() + "\n" for f in findings))
    header = Header.model_validate(
        {"name": "small", "model": model, "seed": 3, "effort": "demo", "stages": ("baseline",), "facts": {}}
    )
    claim = Claim(name="attack.success", title="attacks that succeed", axis="attack", better="lower", counts="fail")
    (folder / "promises.json").write_text(
        PromiseReport(header=header, verdicts=verdicts, claims=(claim,)).model_dump_json()
    )
    return folder


def _result(claim: str, item: str, status: str, value: float | None, reply: str = "no") -> SampleResult:
    return SampleResult.model_validate({
        "claim": claim, "item": item, "status": status, "value": value, "cluster": "topic", "reply": reply,
        "prompt": Conversation.user(f"ask {item}"), "reason": f"because {item}",
    })  # fmt: skip


def _finding(claim: str, value: float | None, **more: Any) -> Finding:
    kept = {"stage": "baseline", "axis": "value", "method": "exact 95%", "n": 3, "low": 0.1, "high": 0.9} | more
    return Finding.model_validate({"claim": claim, "value": value} | kept)
