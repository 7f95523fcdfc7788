"""Does a reward model of real votes know more than length, and is it told where it does not?

`ALIGNWRIGHT_DATA=… python benchmarks/reward_judged.py [--quick]` trains the bundled model as a
reward model on pairs of two public files, in the way a spec's `{by: reward}` does: WebGPT
comparisons where `dsp_preferences/webgpt.test.json` is there, else HH-RLHF helpful; and HH-RLHF
harmless, which is at most a third of the pairs and so is the file that is kept out whole. Printed
are its accuracy on prompts kept apart, the length rule's there, how often it prefers the longer
reply, the verdict, and its accuracy and fall on the file kept out.

Beside it stands a control on the same pairs, whose votes are for the longer reply and nothing else:
it must be refused.

One JSON line; exit code 1 when the control is let through.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from alignwright.core.records import Comparison, Finding, Preference
from alignwright.files.models import BUNDLED
from alignwright.files.sources import read_pairs
from alignwright.model.adapters import add_lora
from alignwright.model.load import load
from alignwright.train.knobs import RewardModel
from alignwright.train.reward import reward
from alignwright.train.reward_verdict import refusal

FIRST = ("dsp_preferences/webgpt.test.json", "dsp_preferences/helpful.test.json")
SECOND = "hh_rlhf_harmless"
LONGEST = {True: 300, False: 500}  # characters of a prompt and its two replies together, quick and whole


def main() -> int:
    data, quick = Path(os.environ.get("ALIGNWRIGHT_DATA", "")), "--quick" in sys.argv
    first = next(
        (data / name for name in FIRST if os.environ.get("ALIGNWRIGHT_DATA") and (data / name).is_file()), None
    )
    second = next(iter(sorted((data / SECOND).glob("*.json*"))), None) if first else None
    if first is None or second is None:
        print(json.dumps({"benchmark": "reward_judged", "skipped": "no preference files in ALIGNWRIGHT_DATA"}))
        return 0
    count = 150 if quick else 1200
    pairs = {
        path.name: _pairs(path, share, LONGEST[quick])
        for path, share in ((first, count * 2 // 3), (second, count // 3 - 1))
    }
    files = {p.prompt.conversation.id: name for name, held in pairs.items() for p in held}
    given = [p for held in pairs.values() for p in held]
    began = time.process_time()
    found = _trained(given, files)
    votes_for_length = [
        p if len(p.chosen) >= len(p.rejected) else p.model_copy(update={"chosen": p.rejected, "rejected": p.chosen})
        for p in given
    ]
    control = _trained(votes_for_length, files)
    print(
        json.dumps(
            {
                "benchmark": "reward_judged",
                "pairs": {name: len(held) for name, held in pairs.items()},
                **found,
                "control_votes_for_the_longer": control,
                "cpu_seconds": round(time.process_time() - began, 1),
            }
        )
    )
    return int(control["verdict"] == "signal")


def _pairs(path: Path, count: int, longest: int) -> list[Preference]:
    """So many pairs, evenly spread over the file, a prompt once, none long, the replies not of
    one length."""
    once: dict[str, Comparison] = {}
    for row in read_pairs(path, bad_rows=0.1).rows:
        said = [reply.text for reply in row.replies]
        size = sum(len(m.content) for m in row.prompt.conversation.messages) + sum(map(len, said))
        if size <= longest and len(said[0]) != len(said[1]) and all(text.strip() for text in said):
            once.setdefault(row.prompt.conversation.id, row)
    rows = list(once.values())
    taken = rows if len(rows) <= count else [rows[i * len(rows) // count] for i in range(count)]
    return [Preference(prompt=row.prompt, chosen=row.replies[0].text, rejected=row.replies[1].text) for row in taken]


def _trained(given: Sequence[Preference], files: dict[str, str]) -> dict[str, object]:
    stage = RewardModel(by="reward", epochs=1, rank=16, batch_tokens=1024, max_tokens=320, heldout=0.3, no_signal="use")
    policy = load(BUNDLED)
    add_lora(policy, rank=16, seed=0)
    with tempfile.TemporaryDirectory() as folder:
        _, found = reward(policy, given, stage, seed=0, folder=Path(folder), files=files)
    why = refusal(found)
    return {
        "accuracy": _shown(found, "reward.accuracy", None),
        "beyond_length": _shown(found, "reward.accuracy", "pick the longer reply"),
        "prefers_longer": _shown(found, "reward.longer", None),
        "verdict": "signal" if why is None else "refused",
        "reason": next(f.note for f in found if f.claim == "reward.accuracy" and f.against is None),
        "file_kept_out": _shown(found, "reward.accuracy_elsewhere", None),
        "fall_there": _shown(found, "reward.accuracy_elsewhere", "prompts of known sources"),
    }


def _shown(found: Sequence[Finding], claim: str, against: str | None) -> dict[str, object] | None:
    for finding in found:
        if finding.claim == claim and finding.against == against:
            values = (finding.value, finding.low, finding.high)
            value, low, high = (None if v is None else round(v, 3) for v in values)
            return {"value": value, "low": low, "high": high, "n": finding.n} | (
                {"note": finding.note} if "elsewhere" in claim else {}
            )
    return None


if __name__ == "__main__":
    sys.exit(main())
