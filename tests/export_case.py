"""A run of a few seconds whose adapter changes its tiny model visibly, for tests of what leaves a run."""

from __future__ import annotations

import json
from pathlib import Path

from run_case import make_project

import alignwright as aw

SPEC = """
name: small
seed: 1
effort: demo
model: ./model
train:
- {by: sft, data: chats.jsonl, epochs: 2, rank: 4, lr: 0.05, batch_tokens: 200}
measure:
- {by: tax, text: [text.jsonl]}
promises:
- tax.bits_per_byte < 90
"""


def project(folder: Path, text: str = SPEC) -> Path:
    """The small project with another spec; returns the spec's file."""
    spec = make_project(folder)
    chats = [
        {"messages": [{"role": "user", "content": f"say {i}"}, {"role": "assistant", "content": f"well, {i} {i}"}]}
        for i in range(12)
    ]
    (folder / "chats.jsonl").write_text("".join(json.dumps(row) + "\n" for row in chats))
    spec.write_text(text)
    return spec


def aligned(spec: Path) -> aw.Run:
    return aw.align(spec, runs=spec.parent / "runs", quiet=True)
