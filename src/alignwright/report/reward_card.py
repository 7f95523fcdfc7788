"""What must somebody know who is handed a reward model and nothing else?

A model card with the front matter that the Hugging Face Hub reads (a text classifier with one
label), the verdict on the model first, what was measured of it, and the one call that gives its
score.
"""

from __future__ import annotations

import yaml

from alignwright.core import wording
from alignwright.core.records import Finding
from alignwright.report import names
from alignwright.report.card import front_matter
from alignwright.report.results import RunResults
from alignwright.report.text import markdown

_CALL = """```python
from transformers import AutoModelForSequenceClassification, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained(FOLDER)
model = AutoModelForSequenceClassification.from_pretrained(FOLDER).eval()
messages = [{"role": "user", "content": "..."}, {"role": "assistant", "content": "..."}]
inputs = tokenizer.apply_chat_template(messages, return_dict=True, return_tensors="pt")
score = model(**inputs).logits[0, 0]
```"""


def reward_stage(case: RunResults) -> str | None:
    """The last stage that trained a reward model; None where there is none."""
    stages = [finding.stage for finding in case.findings if _is_level(finding)]
    return stages[-1] if stages else None


def reward_card(case: RunResults, stage: str) -> str:
    """The card of the reward model that a stage trained."""
    findings = [
        finding
        for finding in case.findings
        if finding.stage == stage and finding.claim.startswith("reward.") and finding.axis == "feedback"
    ]
    return "\n\n".join([_front(case), _opening(case), _verdict(findings), _table(findings), _use(), _limits()]) + "\n"


def _front(case: RunResults) -> str:
    kind = {"pipeline_tag": "text-classification", "tags": ["alignwright", "reward-model", "bradley-terry"]}
    return f"---\n{yaml.safe_dump(front_matter(case) | kind, sort_keys=False, allow_unicode=False)}---"


def _opening(case: RunResults) -> str:
    head = case.header
    over = f"{markdown(names.base(head.model))} (effort {markdown(head.effort)}, seed {head.seed})"
    words = f"A reward model over {over}: it scores a reply to a conversation"
    return (
        f"# {markdown(head.name)}, reward model\n\n{words}; a difference of two scores is the log-odds that the first"
        " reply is preferred."
    )


def _verdict(findings: list[Finding]) -> str:
    level = next((finding for finding in findings if _is_level(finding)), None)
    note = level.note if level else "nothing was measured"
    refused = level is not None and level.detail.get("refused")
    head = "## ✕ Refused: no better than length or chance" if refused else "## What it is worth"
    return f"{head}\n\n{markdown(note)}."


def _table(findings: list[Finding]) -> str:
    lines = [
        "## Measured on pairs kept apart",
        "",
        "| What | Value | 95% interval | Pairs | Note |",
        "|---|---|---|---|---|",
    ]
    for finding in findings:
        what = finding.claim.removeprefix("reward.").replace("_", " ") + (
            f", against: {finding.against}" if finding.against else ""
        )
        value = wording.number(finding.value, finding.unit, change=finding.against is not None)
        note = "" if _is_level(finding) else finding.note
        lines.append(
            f"| {markdown(what)} | {markdown(value)} | {markdown(wording.interval(finding))} | {finding.n} |"
            f" {markdown(note)} |"
        )
    return "\n".join(lines)


def _use() -> str:
    return (
        f"## Use\n\n{_CALL}\n\nThe chat template here ends where the assistant's turn ends, at the token that the score"
        " is read at: a template that writes a line break behind it would give another score. Rows of a batch are"
        " padded behind their ends. In an Alignwright spec, name the run's folder: `reward: ./runs/NAME`."
    )


def _limits() -> str:
    return (
        "## Limits\n\nIt knows what the votes on its pairs were for, length and habits of the voters among it."
        " Optimised against, it will be gamed: hold a judge apart that training never sees."
    )


def _is_level(finding: Finding) -> bool:
    return finding.claim == "reward.accuracy" and finding.against is None and finding.axis == "feedback"
