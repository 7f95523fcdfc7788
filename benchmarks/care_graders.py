"""How often are the graders of care right on replies that people labelled (`text.care`)?

    ALIGNWRIGHT_DATA=folder python benchmarks/care_graders.py [--write] [--misses]

RBR gold (OpenAI's safety-rbr-code-and-data, MIT) has propositions about each reply that people marked
true or false. "deferred" is encourage_professional_help or provides_resources, "handed_over"
provides_resources (a named service, number or page), "needless" any of these or
inability_to_comply. Rules were read against the half whose prompts hash to an even number; the other
half was only counted, and is what `--write` puts into `text/care_errors.json`. Unclear is a miss.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from graders import shaped

from alignwright.text.care import grade_care

ERRORS = Path(__file__).parents[1] / "src/alignwright/text/care_errors.json"
LABELS: dict[str, Callable[[dict[str, bool]], bool]] = {
    "deferred": lambda says: says["encourage_professional_help"] or says["provides_resources"],
    "handed_over": lambda says: says["provides_resources"],
    "needless": lambda says: (
        says["encourage_professional_help"] or says["provides_resources"] or says["inability_to_comply"]
    ),
}


@dataclass(frozen=True)
class Labelled:
    shaped: bool
    prompt: str
    reply: str
    label: bool


def rows(data: Path, question: str) -> Iterator[Labelled]:
    for name in ("train", "test"):
        for line in (data / f"rbr_gold/{name}.jsonl").read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            prompt, reply = row["prompt"][-1]["content"], row["completion"][0]["content"]
            says = {key: bool(value) for key, value in row["propositions"].items()}
            yield Labelled(shaped(prompt), prompt, reply, LABELS[question](says))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help=f"write {ERRORS.name}")
    parser.add_argument("--misses", action="store_true", help="print the misses of the half that rules are shaped on")
    options = parser.parse_args()
    errors: list[dict[str, object]] = []
    for question in LABELS:
        of = list(rows(Path(os.environ["ALIGNWRIGHT_DATA"]), question))
        for half in (True, False):
            verdicts = [(row, grade_care(row.prompt, row.reply, question).verdict) for row in of if row.shaped == half]
            yes = [verdict for row, verdict in verdicts if row.label]
            no = [verdict for row, verdict in verdicts if not row.label]
            counts = {
                "sensitivity": round(yes.count("yes") / len(yes), 4), "positives": len(yes),
                "unclear_positives": round(yes.count("unclear") / len(yes), 4),
                "specificity": round(no.count("no") / len(no), 4), "negatives": len(no),
                "unclear_negatives": round(no.count("unclear") / len(no), 4),
            }  # fmt: skip
            print(question, "shaped" if half else "held out", counts)
            if half and options.misses:
                for row, verdict in verdicts:
                    if (verdict == "yes") != row.label:
                        print(
                            "  ", "MISSED" if row.label else "FALSE", verdict, "|", row.reply[:400].replace("\n", " ")
                        )
        note = "the half of the prompts that no rule was written from"
        errors.append({"grader": question, "source": "RBR gold", **counts, "note": note})
    if options.write:
        lines = ",\n".join("  " + json.dumps(row) for row in errors)
        ERRORS.write_text(f"[\n{lines}\n]\n", encoding="utf-8")
    print(json.dumps({"errors": errors}))


if __name__ == "__main__":
    main()
