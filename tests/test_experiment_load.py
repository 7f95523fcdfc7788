"""Does a spec file say what it asks for, and does a wrong one say what is wrong, where?"""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest
from spec_case import SPEC, write

from alignwright.attack.knobs_requests import AttackStage, OnRequests, RequestStage
from alignwright.core.stage import Effort, resolved
from alignwright.core.train_stage import TrainStage
from alignwright.experiment.experiment import Experiment, model_stages, promised_claims, resolve_effort, stage_names
from alignwright.experiment.explain import KINDS, RENAMED_KNOBS
from alignwright.experiment.load import SpecError, load
from alignwright.experiment.schema import experiment_schema
from alignwright.experiment.unions import AnyStage
from alignwright.measure.knobs import IntentMeasure
from alignwright.train.knobs import Sft
from alignwright.train.knobs_loop import Training
from alignwright.train.knobs_pairs import Dpo
from alignwright.train.knobs_policy_gradient import PolicyGradient
from alignwright.train.knobs_rollouts import Sampling


def problems(folder: Path, spec: str, *overrides: str) -> tuple[str, ...]:
    """What is wrong, with the folder cut off."""
    with pytest.raises(SpecError) as caught:
        load(write(folder, spec), overrides)
    return tuple(line.replace(f"{folder}/", "") for line in caught.value.problems)


def changed(old: str, new: str) -> str:
    assert old in SPEC
    return SPEC.replace(old, new)


def test_a_right_spec_is_read(tmp_path: Path) -> None:
    spec = load(write(tmp_path))
    assert spec.train[1] == Dpo(by="dpo", beta=0.2, lr=1e-5)  # 1e-5 without a dot is a number
    assert spec.intent.prompts == ("prompts.jsonl",)  # a single path stands for a list of one
    assert spec.path("c.md") == tmp_path / "c.md"
    assert spec.source("hf://a/b:test") == "hf://a/b:test"
    assert spec.id == load(write(tmp_path)).at(Path("/elsewhere")).id  # the folder is no part of its name
    assert model_stages(spec) == ("baseline", "train.0.sft", "train.1.dpo")
    assert stage_names(spec) == (
        *("collect", "feedback.0.written", "feedback.1.contrast", "aggregate.pooled"),
        *("train.0.sft", "train.1.dpo", "attack.0.suite", "measure.0.value", "measure.1.tax"),
    )


RENAMED_IN = (
    *((by, "flip") for by in ("cdpo", "robust_dpo")),
    *((by, old) for by in ("ppo", "grpo", "rloo", "reinforce") for old in ("kl", "mix", "mix_text")),
    *((by, old) for by in ("ppo", "grpo", "rloo") for old in ("clip", "passes", "minibatches")),
    ("grpo", "clip_high"),
    ("ppo", "value_clip"),
    ("ppo", "value"),
)
MEASURES = (
    "instruction, intent, value, tax, reward, preferred, worst_off, emergent, goodhart, hacking, lm_eval, bias,"
    " high_stakes, calibration, consistency, deception, ability, agent, transcripts, trait, wrapped,"
    " confession, world"
)


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("  beta: 0.2", "  betta: 0.2", "14: train.1.dpo.betta: no such field; did you mean 'beta'?"),
        (
            "  beta: 0.2",
            "  stop: {by: goodhart, gold: r.yaml, prompts: held.jsonl, alfa: 0.2}",
            "14: train.1.dpo.stop.alfa: no such field; did you mean 'alpha'?",
        ),
        *(
            (
                "by: dpo\n  beta: 0.2",
                f"by: {by}\n  {old}: 0.2",
                f"14: train.1.{by}.{old}: is now called {RENAMED_KNOBS[old]!r}",
            )
            for by, old in RENAMED_IN
        ),
        # a knob of that name was never here, so nothing is said of a renaming
        (
            "  beta: 0.2",
            "  clip: 0.2",
            (
                "14: train.1.dpo.clip: no such field; choose from epochs, lr, rank, batch_tokens, max_tokens,"
                " checkpoint_every, stop, by, beta, nll"
            ),
        ),
        ("seed: 7", "sede: 7", "2: sede: no such field; did you mean 'seed'?"),
        ("seed: 7", "seed: '7'", "2: seed: wanted a whole number, saw the text '7'"),
        ("seed: 7", "seed: yes", "2: seed: wanted a whole number, saw the text 'yes'"),
        ("  beta: 0.2", "  beta: 0", "14: train.1.dpo.beta: must be greater than 0, saw the number 0"),
        ("by: dpo", "by: dpoo", "13: train.1.by: there is no train 'dpoo'; did you mean 'dpo'?"),
        ("by: tax, text", "text", f"20: measure.1.by: missing; say which kind of measure this is: {MEASURES}"),
        (
            "name: jailbreaks",
            "name: jailbrakes",
            "17: attack.0.suite.name: saw the text 'jailbrakes'; did you mean 'jailbreaks'?",
        ),
        (
            "{by: tax, text: text.txt}",
            "{by: tax}",
            "20: measure.1.tax: measures nothing: give files under 'text', 'choice', 'problems' or 'prompts'",
        ),
        (
            "constitution: c.md",
            "constitution: d.md",
            "4: intent.constitution: there is no file d.md; did you mean 'c.md'?",
        ),
        (
            "[do_not_lie]",
            "[do_not_lye]",
            "10: feedback.1.contrast.principles.0: no principle 'do_not_lye' in c.md; did you mean 'do_not_lie'?",
        ),
        (
            "data: chosen",
            "data: revisions",
            (
                "12: train.0.sft.data: 'revisions' come from feedback {by: critique} or {by: deliberate}, which is not"
                " here"
            ),
        ),
        (
            "value.refusal >",
            "value.refusals >",
            "22: promises.0: nothing here measures 'value.refusals'; did you mean 'value.refusal'?",
        ),
        ("name: small", "name: small\nname: big", "2: name: given twice; the first is on line 1"),
        (
            "{by: written}",
            "written",
            "9: feedback.0.by: a stage is a mapping that begins with 'by', saw the text 'written'; write {by: written}",
        ),
        ("seed: 7", "seed: {7", "3: not valid YAML: expected ',' or '}', but got ':'"),
    ],
)
def test_an_error_points(tmp_path: Path, old: str, new: str, line: str) -> None:
    assert f"spec.yaml:{line}" in problems(tmp_path, changed(old, new))


def test_every_old_name_is_tried_here_and_is_a_knob_of_nothing() -> None:
    assert {old for _, old in RENAMED_IN} == set(RENAMED_KNOBS)
    kinds = [kind for section in KINDS.values() for kind in section.values() if issubclass(kind, TrainStage)]
    assert not set(RENAMED_KNOBS) & {knob for kind in kinds for knob in kind.model_fields}
    assert set(RENAMED_KNOBS.values()) <= {knob for kind in kinds for knob in kind.model_fields}


def test_all_errors_are_told_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    wrong = changed("seed: 7", "seed: x").replace("beta: 0.2", "beta: x").replace("samples: 2", "samples: 1")
    found = problems(tmp_path, wrong)
    assert [line.split(": ")[1] for line in found] == ["seed", "collect.samples", "train.1.dpo.beta"]


@pytest.mark.parametrize(
    ("old", "new", "word"),
    [
        ("  prompts: prompts.jsonl\n", "", "collect"),
        ("collect: {samples: 2}\n", "", "intent.prompts"),
        ("feedback:\n- {by: written}\n- {by: contrast, principles: [do_not_lie]}\n", "", "train.1.dpo"),
        ("  constitution: c.md\n", "", "feedback.1.contrast"),
        ("[do_not_lie]", "[]", "feedback.1.contrast.principles"),
        ("train:\n- {by: sft, data: chosen}\n- by: dpo\n  beta: 0.2\n  lr: 1e-5\n", "", "promises.1"),
        ("- tax.bits_per_byte < 0.02", "- value.refusal > 30%", "promises"),
        ("- tax.bits_per_byte < 0.02", "- feedback.contrast.accuracy.gain > 0", "promises.1"),
        ("principles: [do_not_lie]", "judge: 'http://localhost:1/v1'", "feedback.1.contrast.judge"),
    ],
)
def test_an_option_without_effect_is_an_error(tmp_path: Path, old: str, new: str, word: str) -> None:
    assert word in [line.split(": ")[1] for line in problems(tmp_path, changed(old, new))]


def test_overrides_win_and_their_errors_name_them(tmp_path: Path) -> None:
    path = write(tmp_path)
    spec = load(
        path, ["train.1.beta=5e-1", "train.1.dpo.lr=0.001", "intent.bad_rows=0.1", "effort=full", "collect.limit=3"]
    )
    assert spec.train[1] == Dpo(by="dpo", beta=0.5, lr=0.001)
    assert (spec.intent.bad_rows, spec.effort, spec.collect and spec.collect.limit) == (0.1, "full", 3)
    assert spec.at(Path()) != load(path).at(Path())
    assert problems(tmp_path, SPEC, "train.1.betta=1") == (
        "--set train.1.betta=1: train.1.dpo.betta: no such field; did you mean 'beta'?",
    )
    assert problems(tmp_path, SPEC, "train=[{by: cdpo}]", "train.0.flip=0.1") == (
        "--set train.0.flip=0.1: train.0.cdpo.flip: is now called 'label_smoothing'",
    )
    assert problems(tmp_path, SPEC, "train.7.beta=1") == (
        "--set train.7.beta=1: train has 2 entries, counted from 0; there is no '7'",
    )
    assert "write PATH=VALUE" in problems(tmp_path, SPEC, "beta")[0]


def test_yaml_is_data_only(tmp_path: Path) -> None:
    assert (
        "is not read here" in problems(tmp_path, SPEC + "x: !!python/object/apply:os.getcwd []\n".replace("[]", "a"))[0]
    )
    assert "contains itself" in problems(tmp_path, SPEC + "x: &a [*a]\n")[0]


def test_any_text_is_read_or_refused_in_words(tmp_path: Path) -> None:
    """Random damage never ends in another error than a SpecError that names the file."""
    rng = random.Random(0)
    pieces = [
        "{",
        "}",
        "[]",
        ":",
        "- ",
        "\n",
        "  ",
        "null",
        "3",
        "'",
        "&a ",
        "*a",
        "by",
        "!!int",
        "\t",
        ">",
        "#",
        "tuple[",
        "x: ",
    ]
    path = write(tmp_path)
    said: list[str] = []
    for _ in range(200):
        place = rng.randrange(len(SPEC))
        path.write_text(SPEC[:place] + rng.choice(pieces) + SPEC[place + rng.choice([0, 1, 5, 15]) :])
        try:
            load(path)
        except SpecError as error:
            said += error.problems
    assert len(said) > 200
    assert all(line.startswith(f"{path}:") for line in said)


def test_effort_fills_every_open_knob_and_nothing_else(tmp_path: Path) -> None:
    spec = load(write(tmp_path), ["train.0.rank=3"])
    for effort in ("demo", "study", "full"):
        parts = dict(spec) | {"effort": effort}
        filled = resolve_effort(Experiment.model_validate(parts).at(tmp_path))
        stages: list[AnyStage] = [*filled.feedback, *filled.train, *filled.attack, *filled.measure]
        values = [value for stage in stages for _, value, _ in stage.marked(Effort)]
        assert values
        assert None not in values
        assert filled.collect is not None
        assert filled.collect.samples == 2  # what was written stays
        assert isinstance(filled.train[0], Sft)
        assert filled.train[0].rank == 3
        assert resolve_effort(filled) == filled
    with pytest.raises(ValueError, match="resolve_effort"):
        resolved(spec.train[1].rank)


def test_effort_grows() -> None:
    marks = [
        mark
        for kind in get_args(AnyStage)
        for field in kind.model_fields.values()
        for mark in field.metadata
        if isinstance(mark, Effort)
    ]
    assert len(marks) > 50
    assert all(mark.demo <= mark.study <= mark.full for mark in marks)


def test_no_stage_has_more_than_eight_knobs_and_all_are_described() -> None:
    """Of its own: the knobs of the loop, of sampling and of rollouts, and those of attacks, are each said
    once, in the records that methods share. So are the knobs that looks inside name alike: the
    block, the tokens, how much is read, and a harmless fine-tuning as the control."""
    looks = {"benign", "layer", "limit", "tokens"}
    kinds = {name: kind for name, kind in experiment_schema()["$defs"].items() if "properties" in kind}
    shared = {*Training.model_fields}, {*Sampling.model_fields}, {*PolicyGradient.model_fields}
    assert [len(shared[0]), len(shared[1] - shared[0]), len(shared[2] - shared[1])] == [6, 7, 7]
    attacks = [{*record.model_fields} - {"by"} for record in (OnRequests, RequestStage, AttackStage)]
    for kind in kinds.values():
        knobs = {name: field for name, field in kind["properties"].items() if name != "by"}
        common = next((group for group in (*reversed(shared), *attacks) if group <= set(knobs)), set[str]())
        assert len(set(knobs) - common - looks) <= 8
        assert all(field.get("description") for field in knobs.values())
    assert {"Dpo", "Contrast", "TaxMeasure", "Suite"} <= set(kinds)


def test_claims_match_by_prefix_only_where_declared(tmp_path: Path) -> None:
    spec = load(write(tmp_path))

    def is_promised(name: str) -> bool:
        return any(claim.covers(name) for claim in promised_claims(spec))

    assert is_promised("value.pairs.do_not_lie")
    assert is_promised("attack.success.base64")
    assert is_promised("feedback.contrast.accuracy")
    assert not is_promised("feedback.judge.accuracy")
    assert not is_promised("value.refusal.x")
    assert not is_promised("instruction.format")
    assert spec.train[0].claims() == ()
    opinion = IntentMeasure(by="intent", opinion=("opinion.jsonl",))
    assert [claim.name for claim in opinion.claims()] == ["intent.opinion", "intent.opinion_flips"]


def test_the_package_is_light() -> None:
    heavy = "torch transformers datasets pyarrow scipy matplotlib numpy huggingface_hub"
    code = (
        f"import sys, alignwright.experiment.check, alignwright.experiment.schema; print("
        f"[name for name in {heavy.split()!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("value", "tag"), [("!!float x", "float"), ("!!float nan", "float"), ("!!bool x", "bool"), ("!!bool ''", "bool")]
)
def test_a_tag_that_its_value_is_not_is_told_with_its_line(tmp_path: Path, value: str, tag: str) -> None:
    """The first was Python's own error, and `!!bool yes` was false."""
    with pytest.raises(SpecError, match=rf"spec\.yaml:2: seed: '.*' is no {tag}; write a plain value"):
        load(write(tmp_path, SPEC.replace("seed: 7", f"seed: {value}")))
    assert load(write(tmp_path, SPEC.replace("beta: 0.2", "beta: !!float 0.2"))).train[1].beta == 0.2
