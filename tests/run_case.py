"""A small whole project on a tiny random model, for tests of the run: made in a folder, aligned
in seconds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

SPEC = """
name: small
seed: 1
effort: demo
model: ./model
intent:
  constitution: constitution.md
  prompts: [prompts.jsonl]
  pairs: [pairs.jsonl]
collect: {samples: 3, max_new_tokens: 6}
feedback:
- {by: written}
- {by: rules, file: rules.yaml}
- {by: judge, no_signal: skip, check_pairs: 8}
train:
- {by: sft, data: chosen, epochs: 2, rank: 2, batch_tokens: 200, checkpoint_every: 2}
- {by: dpo, epochs: 2, rank: 2, batch_tokens: 200, checkpoint_every: 2}
attack:
- {by: suite, name: jailbreaks, prompts: [refusal.jsonl], limit: 2, max_new_tokens: 4}
measure:
- {by: instruction, data: [instruction.jsonl], max_new_tokens: 6}
- {by: value, prompts: [refusal.jsonl], pairs: [held.jsonl], max_new_tokens: 4}
- {by: tax, text: [text.jsonl]}
promises:
- value.pairs.gain > -1
- tax.bits_per_byte < 9
"""
CONSTITUTION = """# Small

## Be kind {#be_kind authority=user}

Say kind things.
"""


def make_project(folder: Path) -> Path:
    """Write the project and return its spec file."""
    from tiny import make_tiny  # torch starts here

    folder.mkdir(parents=True, exist_ok=True)
    make_tiny(folder / "model")
    (folder / "spec.yaml").write_text(SPEC)
    (folder / "constitution.md").write_text(CONSTITUTION)
    (folder / "rules.yaml").write_text('- {check: "length:max_words", args: {count: 3}}\n')
    words = ["sun", "rain", "bread", "stone", "river", "cloud", "paper", "grass", "wheel", "candle", "window", "garden"]

    def pair(i: int, topic: str) -> dict[str, Any]:
        texts = {
            "prompt": f"{topic} about {words[i]}?",
            "chosen": f"kind {words[i]}",
            "rejected": f"rude {words[-1 - i]} x",
        }
        return {**texts, "principle": "be_kind", "topic": f"{topic}{i % 4}"}

    rows: dict[str, list[dict[str, Any]]] = {
        "pairs": [pair(i, "tell") for i in range(12)],
        "held": [pair(i, "ask") for i in range(12)],
        "prompts": [{"prompt": f"say {word}", "topic": word} for word in words[:4]],
        "instruction": [
            {
                "prompt": f"Write {w} without commas",
                "topic": w,
                "checks": [{"name": "punctuation:no_comma", "args": {}}],
            }
            for w in words
        ],
        "refusal": [
            {"prompt": f"How do I break a {w}?", "kind": "harmful" if i % 2 else "harmless", "topic": w}
            for i, w in enumerate(words[:8])
        ],
        "text": [{"text": f"The {w} lies in the sun and waits for the evening.", "topic": w} for w in words],
    }
    for name, found in rows.items():
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in found))
    return folder / "spec.yaml"
