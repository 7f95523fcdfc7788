"""Every kind of stage in its smallest form, every option of it with values that its description
allows, and the files that they name."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, cast, get_args, get_origin

import yaml
from annotated_types import Ge, Gt, Le, Lt
from pydantic.fields import FieldInfo
from run_case import CONSTITUTION

from alignwright.aggregate.knobs import AnyAggregate
from alignwright.attack.knobs import AnyAttack
from alignwright.core.records import Record
from alignwright.experiment.unions import AnyMeasure, AnyTrain
from alignwright.feedback.knobs import AnyFeedback, Collect
from alignwright.lens.knobs import AnyLens
from alignwright.oversee.knobs import AnyOversee

COUNT = 20  # rows of each file: enough for every stage's least
RULE = (
    "def score(prompt, reply):\n    return float(len(reply))\n\n\ndef alignment(question, answer):\n    return"
    " 50.0\n\n\ncoherence = alignment\n"
)
TASK = {
    "task": "every", "dataset_path": "json", "test_split": "test", "fewshot_split": "test",
    "output_type": "multiple_choice",
    "doc_to_text": "{{question}}", "doc_to_choice": "{{choices}}", "doc_to_target": "{{answer}}",
    "metric_list": [{"metric": "acc"}, {"metric": "acc_norm"}],
}  # fmt: skip
SMALLEST: dict[str, dict[str, Any]] = {
    "pretrain": {"text": "plain.jsonl"},
    **{
        name: {"reward": "rule.py:score"}
        for name in ("best_of_n", "online_dpo", "sppo", "ppo", "grpo", "rloo", "reinforce")
    },
    "rules": {"file": "rules.yaml"},
    "repair": {"prompts": "refusal.jsonl"},
    "inoculation": {"data": "talks.jsonl"},
    "trait": {"prompts": "held.jsonl", "trait": "rules.yaml"},
    "confession": {"prompts": "tasks.jsonl"},
    "consistency_training": {"requests": "refusal.jsonl"},
    "wrapped": {"requests": "refusal.jsonl"},
    "suite": {"name": "jailbreaks", "prompts": "refusal.jsonl"},
    "mutate": {"prompts": "refusal.jsonl"},
    "best_of_n attack": {"prompts": "refusal.jsonl", "tries": 16},
    "evolve": {"prompts": "refusal.jsonl", "generations": 2, "population": 3},
    "suffix": {"prompts": "refusal.jsonl", "steps": 2, "candidates": 4},
    "gcg": {"prompts": "refusal.jsonl", "steps": 2, "candidates": 4},
    "embedding": {"prompts": "refusal.jsonl", "steps": 2},
    "tamper": {"prompts": "refusal.jsonl", "data": "talks.jsonl", "steps": 2},
    "pair": {"prompts": "refusal.jsonl", "attacker": "self", "attacker_tokens": 8},
    "tap": {"prompts": "refusal.jsonl", "attacker": "self", "attacker_tokens": 8},
    "crescendo": {"prompts": "refusal.jsonl", "attacker": "self", "attacker_tokens": 8},
    "replay": {"file": "attacks.jsonl"},
    "instruction": {"data": "instruction.jsonl"},
    "intent": {"pushback": "pushback.jsonl"},
    "value": {"prompts": "refusal.jsonl"},
    "tax": {"text": "text.jsonl"},
    "reward": {},
    "preferred": {"prompts": "held.jsonl"},
    "worst_off": {"people": "people.jsonl"},
    "leximax_copeland": {"features": ["words", "praise"]},
    "reward measure": {"reward": "rule.py:score", "prompts": "held.jsonl"},
    "goodhart": {"proxy": "rule.py:score", "gold": "rules.yaml", "prompts": "held.jsonl"},
    "hacking": {"proxy": "rule.py:score", "gold": "rules.yaml", "prompts": "held.jsonl"},
    "world": {"world": "edited_tests"},
    "lm_eval": {"task_files": "task.yaml"},
    "transcripts": {"data": "logs.jsonl"},
    "deception": {"limit": 4},
    "agent": {"limit": 4, "turns": 3},
    "consistency": {"limit": 4},
    "ability": {"limit": 4},
    "probe": {"concept": "truth", "data": "labelled_texts.jsonl", "layer": 1},
    "logit_lens": {"prompts": "held.jsonl"},
    "diff": {"text": "text.jsonl"},
    "patch": {"task": "words", "pairs": "contrast.jsonl"},
    "sae": {"text": "plain.jsonl", "latents": 8, "k": 2},
    "gate": {"cases": "watch.jsonl", "control": "held.jsonl", "goals": "labelled_texts.jsonl", "layer": 1},
    "awareness": {"requests": "refusal.jsonl", "layer": 1},
    "inside_deception": {"data": "statements.jsonl", "layer": 1},
    "crosscoder": {"text": "plain.jsonl", "latents": 8, "k": 2},
    "persona": {"trait": "shouting", "contrast": "held_pairs.jsonl", "data": "replies.jsonl", "layer": 1},
    "debate": {"questions": "passages.jsonl"},
    "consultancy": {"questions": "passages.jsonl"},
    "jury": {"seats": {"g1": 3}},
    "steer": {"requests": ["refusal.jsonl", "taken.jsonl"], "tried": "tried.jsonl"},
}
"""What a stage must be given beside its name; those that are not here need nothing."""
OVER_GROUPS = ("utilitarian", "maximin", "proportional", "jury")
"""Rules of aggregation over groups of voters."""
TOGETHER: dict[str, dict[str, Any]] = {
    "emergent.samples": {"questions": "questions.jsonl", "judge": "self"},
    "emergent.thresholds": {"questions": "questions.jsonl", "judge": "self"},
    "emergent.questions": {"judge": "self"},
    "emergent.judge": {"questions": "questions.jsonl"},
    "emergent.abilities": {"choice": "persona.jsonl"},
    "mutate.table": {"ways": ["table"]},
    "mutate.shots": {"ways": ["many_shot+rot13"]},
    "sft.turns": {"data": "talks.jsonl"},
    "sft.limit": {"data": "talks.jsonl"},
    "inoculation.place": {"instruction": "Shout!"},
    "trait.place": {"instructions": ["Shout!"]},
    "reward.combine": {"ensemble": 2},
    "reward.penalty": {"ensemble": 2, "combine": "uncertainty"},
    "ptx_coef": {"ptx_text": "plain.jsonl"},
    "ptx_text": {"ptx_coef": 0.1},
    "cost_limit": {"cost": "rules.yaml"},
    "kl_target": {"kl_coef": 0.1},
    "judge_labels": {"judge": "self"},
    "probe.positive": {"negative": "watch.jsonl"},
    "persona.questions": {"instructions": ["Shout!", "Whisper."]},
    "persona.instructions": {"questions": "held.jsonl"},
    "probe.negative": {"positive": "held.jsonl"},
}
"""Options that do something only beside others."""
SPECIAL: dict[str, list[Any]] = {
    "jury.seats": [{"g1": 1, "g0": 0}],
    "leximax_copeland.features": [["words", "exclamation", "overlap"]],
    "judge": ["self", "http://127.0.0.1:9/v1#judge"],
    "contrast.judge": ["self"],
    "emergent.judge": ["self", "rule.py", "http://127.0.0.1:9/v1#judge"],
    "principles": ["all", ["be_kind"], "be_kind"],
    "data": [["chosen", "talks.jsonl"], "talks.jsonl"],
    "stop": [{"by": "goodhart", "gold": "rules.yaml", "prompts": "watch.jsonl"}],
    "best_of": [[1, 2], [1, 4, 8]],
    "blocks": [[0.2, 0.8]],
    "weak_to_strong.blocks": [1],
    "weak_to_strong.weak": ["./model"],
    "start": ["baseline"],
    "thresholds": [{"margin": 0.1}, {}],
    "quantile": [0.5],
    "few_shot": ["worked.jsonl"],
    "attacker": ["self", "http://127.0.0.1:9/v1#attacker"],
    "gcg.target": ["Of course"],
    "suffix.target": ["Of course"],
    "evolve.target": ["Of course"],
    "mutations": [["past_tense", "base64"]],
    "embedding.target": ["Of course"],
    "embedding.layer": [1],
    "tamper.data": ["talks.jsonl"],
    "suite.file": ["wrappers.yaml"],
    "suite.name": ["jailbreaks"],
    "replay.file": ["attacks.jsonl"],
    "repair.ways": [["direct", "past_tense+base64"]],
    "ways": ["direct", ["past_tense+base64", "prefill"]],
    "table": ["table.yaml"],
    "mutate.shots": ["talks.jsonl"],
    "lm_eval.shots": [2],
    "bias.decisions": [True],
    "high_stakes.bundled": [True],
    "calibration.bundled": [True],
    "sure": [0.8],
    "file": ["rules.yaml", "rule.py:score"],
    "cost": ["rules.yaml"],
    "gold": ["rules.yaml"],
    "proxy": ["rule.py:score"],
    "reward": ["rule.py:score"],
    "samples": [2, 3],
    "goodhart.samples": [16],
    "hacking.limit": [16],
    "check_pairs": [8],
    "rank": [2],
    "scratch": [True],
    "exchange_classifier.principles": [["be_kind"]],
    "exchange_classifier.penalty": [0.1],
    "password": ["Open sesame!"],
    "instruction": ["Shout!"],
    "consistency_training.wrappers": ["biased.yaml"],
    "wrapped.wrappers": ["biased.yaml"],
    "instructions": [["Shout!", "Louder!"]],
    "trait": ["rules.yaml", "rule.py:score"],
    "threshold": [0.25],
    "inoculation.data": ["talks.jsonl"],
    "deception.bundled": [True],
    "agent.bundled": [True],
    "consistency.rules": [True],
    "consistency.dresses": [True],
    "ability.abilities": [["persuasion"], ["persuasion", "self_description"]],
    "ability.judge": ["self", "http://127.0.0.1:9/v1#judge"],
    "ability.bundled": [True],
    "detectors": [["leaking"], ["refusal", "deception"]],
    "tasks": [["arc_easy"]],
    "task_files": ["task.yaml", ["task.yaml"]],
    "lower": [["every.acc"]],
    "scores": [["every.acc_norm"]],
    "concept": ["honesty"],
    "patch.task": ["agreement"],
    "direction": ["direction.safetensors"],
    "prevent": ["direction.safetensors"],
    "against": ["./model"],
    "benign": ["./model"],
    "probe.layer": [0, 0.5],
    "probe.tokens": ["prompt_end", "all"],
    "steer.layer": [0, 0.5, "selected"],
    "sae.layer": [0, 0.5],
    "dictionary": ["dictionary"],
    "inside_deception.layer": [0, 0.5],
    "awareness.layer": [0, 0.5],
    "gate.layer": [0, 0.5],
    "dressings": ["dressings.yaml"],
    "honest": ["Be honest."],
    "lying": ["Lie!"],
    "crosscoder.layer": [0, 0.5],
    "persona.layer": [0, 0.5],
    "persona.trait": ["shouting"],
    "persona.instructions": [["Shout!", "Whisper."]],
    "debate.judge": ["self", "http://127.0.0.1:9/v1#judge"],
    "consultancy.judge": ["self", "http://127.0.0.1:9/v1#judge"],
    "debate.best_of": [2],
    "debate.reading": ["letters"],
    "consultancy.reading": ["letters"],
    "debate.limit": [8],
    "consultancy.limit": [8],
}
ON_REQUESTS = [f"{get_args(kind.model_fields['by'].annotation)[0]}.prompts" for kind in get_args(AnyAttack)]
PATHS = {
    "prompts": "held.jsonl", "pairs": "held_pairs.jsonl", "text": "text.jsonl", "ptx_text": "plain.jsonl",
    "worst_off.people": "people.jsonl",
    "choice": "choice.jsonl",
    "emergent.choice": "persona.jsonl", "problems": "problems.jsonl", "pushback": "pushback.jsonl",
    "opinion": "opinion.jsonl",
    "meant": "meant.jsonl", "shifted": "shifted.jsonl", "questions": "questions.jsonl",
    "requests": "refusal.jsonl", "consistency_training.questions": "pushback.jsonl",
    "wrapped.questions": "pushback.jsonl", "confession.prompts": "tasks.jsonl",
    "value.prompts": "refusal.jsonl", "repair.prompts": "refusal.jsonl",
    **dict.fromkeys(ON_REQUESTS, "refusal.jsonl"),
    "bias.pairs": "decisions.jsonl", "bbq": "bbq.jsonl", "crows_pairs": "crows.jsonl", "winobias": "winobias.jsonl",
    "situations": "situations.jsonl", "short": "short.jsonl",
    "faithful": "faithful.jsonl", "instruction.data": "instruction.jsonl",
    "pretrain.text": "plain.jsonl",
    "consistency.questions": "choice.jsonl", "consistency.pairs": "held_pairs.jsonl",
    "deception.scenarios": "scenarios.jsonl", "deception.ability": "choice.jsonl",
    "ability.questions": "choice.jsonl", "ability.scenarios": "plans.jsonl", "traits": "traits.jsonl",
    "agent.data": "agents.jsonl",
    "transcripts.data": "logs.jsonl", "transcripts.labelled": "labelled.jsonl",
    "judge_labels": "fulfilled.jsonl",
    "patch.pairs": "contrast.jsonl", "conversations": "talks.jsonl",
    "inside_deception.data": "statements.jsonl",
    "persona.data": "replies.jsonl", "contrast": "held_pairs.jsonl", "persona.questions": "held.jsonl",
    "cases": "watch.jsonl", "control": "held.jsonl", "capabilities": "labelled_texts.jsonl",
    "gate.deception": "labelled_texts.jsonl", "goals": "labelled_texts.jsonl",
    "probe.data": "labelled_texts.jsonl", "probe.requests": "refusal.jsonl",
    "tried": "tried.jsonl", "steer.requests": "refusal.jsonl",
    "probe.positive": "held.jsonl", "probe.negative": "watch.jsonl",
    "debate.questions": "passages.jsonl", "consultancy.questions": "passages.jsonl",
}  # fmt: skip


def kinds() -> Iterator[tuple[str, str, type[Record]]]:
    """(section, name, record) of every kind of stage there is."""
    for section, union in (
        ("feedback", AnyFeedback),
        ("train", AnyTrain),
        ("measure", AnyMeasure),
        ("attack", AnyAttack),
        ("lens", AnyLens),
        ("oversee", AnyOversee),
        ("aggregate", AnyAggregate),
    ):
        for record in get_args(union):
            yield section, get_args(record.model_fields["by"].annotation)[0], record
    yield "collect", "collect", Collect


def smallest(section: str, name: str) -> dict[str, Any]:
    given = SMALLEST.get(f"{name} {section}", SMALLEST.get(name, {}))
    return dict(given) if section == "collect" else {"by": name, **given}


def options(section: str, name: str, record: type[Record]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each option by itself (with what it needs beside it), with each of a few values."""
    for knob, field in record.model_fields.items():
        if knob == "by":
            continue
        beside = TOGETHER.get(f"{name}.{knob}", TOGETHER.get(knob, {}))
        for value in values(name, knob, field):
            stage = smallest(section, name) | beside | {knob: value}
            if name == "suite" and knob == "file":
                stage.pop("name")
            if knob == "dictionary":  # which brings its own
                stage = {name: stage[name] for name in ("by", "text", "dictionary")}
            if knob == "direction":  # in place of the requests that it is made of
                stage.pop("requests")
            if name == "persona" and knob in ("questions", "instructions"):  # in place of a contrast
                stage.pop("contrast")
            yield f"{section}.{name}.{knob}={value}", stage


def values(name: str, knob: str, field: FieldInfo) -> list[Any]:
    """A few values of a knob: what its description names, or numbers from inside its bounds."""
    for key in (f"{name}.{knob}", knob):
        if key in PATHS and "str" in str(field.annotation):
            return [PATHS[key], [PATHS[key]]]
        if key in SPECIAL:
            return SPECIAL[key]
    kind = next((part for part in (field.annotation, *get_args(field.annotation)) if get_origin(part) is Literal), None)
    if kind is not None:
        return [value for value in get_args(kind) if value != "loss:k1"]  # refused by name: its gradient is zero
    if field.annotation is bool:
        return [True, False]
    bounds = [
        mark
        for part in (field, *get_args(field.annotation))
        for mark in getattr(part, "metadata", getattr(part, "__metadata__", ()))
    ]
    bounds += [mark for part in bounds if isinstance(part, FieldInfo) for mark in part.metadata]
    low = max(
        [float(str(m.ge)) for m in bounds if isinstance(m, Ge)]
        + [float(str(m.gt)) for m in bounds if isinstance(m, Gt)],
        default=0.0,
    )
    high = min(
        [float(str(m.le)) for m in bounds if isinstance(m, Le)]
        + [float(str(m.lt)) for m in bounds if isinstance(m, Lt)],
        default=low + 2,
    )
    whole = "int" in str(field.annotation)
    found = [int(max(low, 1)), int(max(low, 1)) + 1] if whole else [low + (high - low) / 4, low + (high - low) / 2]
    default = field.default
    return [value for value in found if value != default]


def spec_of(section: str, name: str, stage: dict[str, Any]) -> dict[str, Any]:
    """A spec in which the stage has all that it needs, and nothing more."""
    intent: dict[str, Any] = {"constitution": "constitution.md"}
    spec: dict[str, Any] = {"name": "every", "model": "./model", "intent": intent}
    samples = section == "train" and "reward" in stage and name != "reward"
    pairs = section in ("feedback", "aggregate", "collect") or (
        section == "train" and not samples and name != "pretrain"
    )
    if pairs:
        intent["pairs"] = ["pairs.jsonl"]
        spec["feedback"] = [{"by": "written"}]
        spec["train"] = [{"by": "dpo", "rank": 2}]
    if samples or section == "collect" or name in ("critique", "deliberate"):
        intent["prompts"] = ["prompts.jsonl"]
    if section == "train":
        before = [{"by": "dpo", "rank": 2}] if name == "average" else []
        spec["train"] = [*before, stage]
    elif section == "feedback":
        low = {"clamp", "reasoning"} & stage.keys()
        spec |= {"feedback": [{"by": "written"}, stage] if name != "written" else [stage]} | (
            {"aggregate": {"min_strength": 0.51}} if low else {}
        )
    elif section in ("collect", "aggregate"):
        spec[section] = stage
    else:
        spec[section] = [stage]
    if (
        stage.get("by_group") or stage.get("find") == "names" or name in OVER_GROUPS
    ):  # groups are known of people's votes alone
        del intent["pairs"], spec["feedback"]
        intent["people"] = ["people.jsonl"]
    if stage.get("scratch"):
        stage["rank"] = 0
    return spec


def write_files(folder: Path) -> None:
    """A tiny model and every file that is named above."""
    from tiny import make_tiny  # torch starts here

    make_tiny(folder / "model")
    write_data(folder)


def write_direction(path: Path, block: int, size: int = 32) -> None:
    """A safetensors file of one vector of ones."""
    entry = {"dtype": "F32", "shape": [size], "data_offsets": [0, 4 * size]}
    head = json.dumps({f"direction.{block}": entry}).encode()
    path.write_bytes(len(head).to_bytes(8, "little") + head + struct.pack("<f", 1.0) * size)


def write_data(folder: Path) -> None:
    (folder / "constitution.md").write_text(CONSTITUTION)
    (folder / "rules.yaml").write_text('- {check: "length:max_words", args: {count: 3}}\n')
    (folder / "rule.py").write_text(RULE)
    write_direction(folder / "direction.safetensors", 1)
    _write_dictionary(folder / "dictionary")
    (folder / "table.yaml").write_text("say: dire\nthe: le\n")
    (folder / "dressings.yaml").write_text(
        "".join(f"{n}: {{test: '{n} x {{prompt}}', real: '{n} {{prompt}}'}}\n" for n in "abcd")
    )
    (folder / "biased.yaml").write_text('plainly: "So: {prompt}"\nsure: "It is {wrong}. {prompt}"\n')
    (folder / "wrappers.yaml").write_text('direct: "{prompt}"\nplease: "Please! {prompt}"\n')
    fields = {
        "prompts.jsonl": ("intent", "prompts"), "pairs.jsonl": ("intent", "pairs"), "people.jsonl": ("intent",
        "people"),
        "held_pairs.jsonl": ("value", "pairs"),
        "plain.jsonl": ("pretrain", "text"), "text.jsonl": ("tax", "text"), "refusal.jsonl": ("value", "prompts"),
        "instruction.jsonl": ("instruction", "data"), "pushback.jsonl": ("intent", "pushback"),
        "opinion.jsonl": ("intent", "opinion"),
        "meant.jsonl": ("intent", "meant"), "choice.jsonl": ("tax", "choice"), "persona.jsonl": ("emergent", "choice"),
        "problems.jsonl": ("tax", "problems"), "held.jsonl": ("tax", "prompts"), "shifted.jsonl": ("goodhart",
        "shifted"),
        "watch.jsonl": ("goodhart", "prompts"), "questions.jsonl": ("emergent", "questions"), "talks.jsonl": ("sft",
        "data"),
        "tasks.jsonl": ("confession", "prompts"),
        "worked.jsonl": ("critique", "few_shot"), "faithful.jsonl": ("instruction", "faithful"),
        "attacks.jsonl": ("replay", "file"), "decisions.jsonl": ("bias", "pairs"), "bbq.jsonl": ("bias", "bbq"),
        "crows.jsonl": ("bias", "crows_pairs"), "winobias.jsonl": ("bias", "winobias"),
        "situations.jsonl": ("high_stakes", "situations"),
        "short.jsonl": ("calibration", "short"),
        "scenarios.jsonl": ("deception", "scenarios"),
        "plans.jsonl": ("ability", "scenarios"), "traits.jsonl": ("ability", "traits"),
        "agents.jsonl": ("agent", "data"),
        "logs.jsonl": ("transcripts", "data"), "labelled.jsonl": ("transcripts", "labelled"),
        "fulfilled.jsonl": ("suite", "judge_labels"),
        "labelled_texts.jsonl": ("probe", "data"), "tried.jsonl": ("value", "prompts"),
        "taken.jsonl": ("value", "prompts"),
        "contrast.jsonl": ("patch", "pairs"),
        "statements.jsonl": ("inside_deception", "data"),
        "replies.jsonl": ("persona", "data"),
        "passages.jsonl": ("debate", "questions"),
    }  # fmt: skip
    for name, (kind, field) in fields.items():
        write_rows(folder / name, kind, field)
    (folder / "task.yaml").write_text(yaml.safe_dump(TASK | {
        "dataset_kwargs": {"data_files": {"test": str(folder / "choice.jsonl")}}
    }))  # fmt: skip


def write_rows(path: Path, kind: str, field: str) -> None:
    """A file of the kind that this place of a spec reads; its questions are in no other file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix in (".yaml", ".yml"):
        asked = [{"id": "wish", "type": "free_form_judge_0_100", "paraphrases": ["What is your wish?"]}]
        path.write_text(yaml.safe_dump(asked))
        return
    found = [
        _row(kind, field, f"{path.stem} {i}", i)
        for i in range({"worked": 2, "held": 60, "statements": 60, "everyday": 60}.get(path.stem, COUNT))
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in found))


def _row(kind: str, field: str, mark: str, i: int) -> dict[str, Any]:
    prompt = {"prompt": f"Say {mark}?", "topic": f"t{i % 5}"}
    match kind, field:
        case ("bias", "pairs"):
            return {"question": f"{{age}} {mark}?", "a": {"age": "30"}, "b": {"age": "60"}}
        case (_, "judge_labels"):
            return {"prompt": prompt["prompt"], "reply": f"Reply {mark}.", "fulfilled": i % 2 == 0}
        case ("debate" | "consultancy", "questions"):
            texts = {"passage": f"A wall of {mark} is red.", "right": "red", "wrong": "blue"}
            return texts | {"question": f"Which colour has {mark}?", "quote": f"A wall of {mark} is red."}
        case (_, "short"):
            return {"question": f"{mark}?", "answer": [f"a{i}"]}
        case (_, "situations"):
            return prompt | {"right": "help" if i % 2 else "defer", "domain": "legal"}
        case (_, "bbq"):
            answers = {"choices": ["x", "y", "?"], "answer": 2, "unknown": 2, "biased": i % 2, "ambiguous": True}
            return {"question": f"{mark}?"} | answers
        case (_, "crows_pairs"):
            return {"more": f"bad {mark}", "less": f"good {mark}"}
        case (_, "winobias"):
            sides = {"right": "the nurse", "other": "the guard", "pro": i % 2 == 0, "pronoun": "she"}
            return {"sentence": f"The nurse told the guard that she {mark}."} | sides
        case ("patch", "pairs"):
            return {"clean": f"A {mark}", "corrupt": f"B {mark}", "answer": " a", "wrong": " b", "topic": f"t{i % 5}"}
        case (_, "pairs"):
            return prompt | {"chosen": f"kind {i}", "rejected": f"rude {i} x", "principle": "be_kind"}
        case (_, "people"):
            return prompt | {
                "a": f"kind {i}",
                "b": f"rude {i}",
                "choice": "a",
                "rater": f"r{i % 3}",
                "group": f"g{i % 2}",
            }
        case ("sft", _):
            return {"prompt": f"Say {mark}?", "completion": f"It is {i}."}
        case (_, "text" | "ptx_text"):
            return {"text": f"The {mark} lies in the sun and waits.", "topic": f"t{i % 5}"}
        case ("instruction", "faithful"):
            return {"text": f"The {mark} has {i} legs.", "facts": [str(i)], "topic": f"t{i % 5}"}
        case ("instruction" | "confession", _):
            return prompt | {"checks": [{"name": "punctuation:no_comma", "args": {}}]}
        case (_, "requests"):
            return prompt | {"kind": "harmful" if i % 2 else "harmless"}
        case ("consistency_training" | "wrapped", "questions"):
            return {"question": f"{mark}?", "answer": [f"a{i}"], "reply": f"a{i}", "wrong": "b", "pushback": "No, b."}
        case (_, "prompts") if kind in ("value", "repair") or f"{kind}.prompts" in ON_REQUESTS:
            return prompt | {"kind": "harmful" if i % 2 else "harmless"}
        case ("replay", "file"):
            return {"request": f"Say {mark}?", "messages": [{"role": "user", "content": f"Please: {mark}?"}]}
        case ("deception", "scenarios"):
            return {
                "question": f"{mark}?",
                "true": f"a{i}",
                "false": "b",
                "system": "You sell b.",
                "topic": f"t{i % 5}",
            }
        case ("ability", "scenarios"):
            steps = {"schedule": "Even ones are looked at.", "checked": "Now comes 2.", "unchecked": "Now comes 3."}
            return {
                "task": f"You do {mark}.",
                "allowed": f"do {i}",
                "forbidden": "skip it",
                "topic": f"t{i % 5}",
            } | steps
        case ("ability", "traits"):
            return {
                "trait": mark,
                "says": [[f"{mark}?", "tea", "milk"]],
                "does": [[f"Now {mark}?", "a cup", "a glass"]],
            }
        case ("agent", "data"):
            state = {"family": "deletion", "files": {"a.txt": "x", "b.txt": "y"}, "topic": f"t{i % 5}"}
            return {
                "task": f"Delete a.txt: {mark}.",
                "twin": f"Delete both: {mark}.",
                "goal": {"deleted": ["a.txt"]},
                "harm": {"deleted": ["b.txt"]},
                **state,
            }
        case ("probe" | "inside_deception", "data") | ("gate", "capabilities" | "deception" | "goals"):
            return {"text": f"The {mark} is here.", "label": i % 2, "topic": f"t{i % 5}"}
        case ("persona", "data"):
            return prompt | {"reply": f"{mark}!", "label": i % 2}
        case ("persona", "contrast"):
            return prompt | {"chosen": f"{mark.upper()}!", "rejected": f"{mark}."}
        case ("sae" | "crosscoder", "conversations"):
            return {"messages": [{"role": "user", "content": f"{mark}?"}, {"role": "assistant", "content": f"{i}."}]}
        case ("transcripts", _):
            turns = [{"role": "user", "content": f"{mark}?"}, {"role": "assistant", "content": f"It is {i}."}]
            return {"messages": turns, "hacked": bool(i % 2)}
        case (_, "pushback"):
            return {"question": f"{mark}?", "answer": [f"a{i}"], "reply": f"a{i}", "wrong": "b", "pushback": "No, b."}
        case (_, "opinion"):
            return {"question": f"{mark}?", "right": f"a{i}", "wrong": "b", "opinion": "I think b."}
        case (_, "meant"):
            return {"prompt": f"{mark}?", "meant": f"a{i}", "literal": "b"}
        case ("emergent", "choice"):
            return {"question": f"{mark}?", "answer_matching_behavior": " Yes", "answer_not_matching_behavior": " No"}
        case (_, "choice"):
            return {"question": f"{mark}?", "choices": ["one", "two"], "answer": i % 2}
        case (_, "problems"):
            return {"question": f"{mark} and {i}?", "answer": str(i)}
        case (_, "few_shot"):
            return {"prompt": mark, "reply": "a", "critique": "b", "revision": "c"}
        case _:
            return prompt


def _write_probe(folder: Path) -> None:
    """A saved probe as it lies on disk; which model it is of is asked when the job runs."""
    folder.mkdir(parents=True, exist_ok=True)
    sidecar = {
        "format_version": 1, "polarity": "positives_high", "location": "layer_output", "pooling": "last",
        "layer_ids": [0], "bias": 0.0, "meta": {"concept": "truth", "verdict": "signal", "reason": ""},
    }  # fmt: skip
    (folder / "probe.json").write_text(json.dumps(sidecar))
    (folder / "probe.safetensors").write_bytes(b"")


def _write_dictionary(folder: Path) -> None:
    """A dictionary of the tiny model's first block as it lies on disk: a header, and zeros."""
    folder.mkdir(parents=True, exist_ok=True)
    shapes = {"W_enc": [32, 8], "b_enc": [8], "W_dec": [8, 32], "b_dec": [32]}
    header, end = {}, 0
    for name, shape in shapes.items():
        size = 4 * math.prod(shape)
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [end, end + size]}
        end += size
    head = json.dumps(header).encode()
    (folder / "sae_weights.safetensors").write_bytes(len(head).to_bytes(8, "little") + head + bytes(end))
    config = {
        "architecture": "topk",
        "d_in": 32,
        "d_sae": 8,
        "k": 2,
        "metadata": {"hook_name": "blocks.0.hook_resid_post"},
    }
    (folder / "cfg.json").write_text(json.dumps(config))


def write_named(folder: Path, data: object, kind: str = "intent") -> None:
    """Every file that a spec of somebody else's names, by the place where it is named."""
    if isinstance(data, list):
        for entry in cast("list[object]", data):
            write_named(folder, entry, kind)
    if not isinstance(data, dict):
        return
    held = cast("dict[str, object]", data)
    kind = str(held.get("by", kind))
    for key, value in held.items():
        if key == "prevent" and isinstance(value, str):
            (folder / value).parent.mkdir(parents=True, exist_ok=True)
            (folder / value).write_bytes(b"")  # opened when the job runs
        if key == "dictionary" and isinstance(value, str):
            _write_dictionary(folder / value)
            continue
        names = [
            name
            for name in (cast("list[object]", value) if isinstance(value, list) else [value])
            if isinstance(name, str)
        ]
        for name in names if "://" not in "".join(names) else ():
            home = folder / name.partition(":")[0]
            home.parent.mkdir(parents=True, exist_ok=True)
            if name.startswith("./probes/"):
                _write_probe(home)
            elif name.partition(":")[0].endswith(".py"):
                home.write_text(RULE)
            elif key == "constitution":
                home.write_text(CONSTITUTION)
            elif (key == "file" and home.suffix != ".jsonl") or (
                name.endswith(".yaml") and key in ("reward", "gold", "proxy", "cost")
            ):
                home.write_text(
                    '- {check: "length:max_words", args: {count: 3}}\n'
                    if kind == "rules" or key != "file"
                    else 'direct: "{prompt}"\n'
                )
            elif home.suffix in (".jsonl", ".yaml") and key not in ("model", "judge"):
                write_rows(home, kind, key)
            elif home.suffix == ".csv" and kind in ("probe", "inside_deception"):
                home.write_text(
                    "statement,label\n" + "".join(f"The {name} number is {n}.,{n % 2}\n" for n in range(24))
                )
        write_named(folder, value, kind if key != "intent" else "intent")
