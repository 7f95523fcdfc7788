"""Does KTO learn from single labels, a reply to each prompt, as the formula of its paper says,
and from nothing else that it should not?"""

from __future__ import annotations

import io
import json
import math
import random
from pathlib import Path

import pytest
import torch
from real_data import real
from rich.console import Console
from run_case import make_project
from spec_case import jsonl
from tiny import make_tiny

from alignwright.core.records import Comparison, Conversation, Labelled, Preference, Prompt
from alignwright.experiment.check import check
from alignwright.experiment.load import load as load_spec
from alignwright.files.errors import SpecError
from alignwright.files.sources import read_judged, read_pairs
from alignwright.model.adapters import add_lora, trainable_parameters
from alignwright.model.load import load
from alignwright.model.local_model import LocalModel
from alignwright.run.align import Request, align
from alignwright.run.doctor import examine
from alignwright.run.progress import View
from alignwright.train.knobs_pairs import Kto
from alignwright.train.kto import KtoObjective
from alignwright.train.pairs import preference_rows
from alignwright.train.preference import preference

STAGE = Kto(
    by="kto",
    beta=0.5,
    desirable=1.2,
    undesirable=0.8,
    epochs=3,
    rank=4,
    lr=0.01,
    batch_tokens=200,
    max_tokens=300,
    checkpoint_every=9,
)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny(tmp_path_factory.mktemp("tiny"))


def trainee(tiny: Path) -> LocalModel:
    policy = load(tiny)
    add_lora(policy, rank=4, seed=1)
    return policy


def labelled(prompt: str, reply: str, good: bool) -> Labelled:
    return Labelled(prompt=Prompt(conversation=Conversation.user(prompt)), reply=reply, good=good)


def singles(count: int, *, coins: bool = False) -> list[Labelled]:
    """A prompt each: a reply with a z is good, one without is bad; or the labels are coins."""
    rng = random.Random(4)
    made: list[Labelled] = []
    for i in range(count):
        good = i % 2 == 0
        letters = [rng.choice("abcdef") for _ in range(5)]
        letters[2] = "z" if good else letters[2]
        made.append(labelled(f"question {i}", "".join(letters), rng.random() < 0.5 if coins else good))
    return made


def logprob(policy: LocalModel, one: Labelled, reply: str | None = None) -> float:
    with torch.no_grad():
        return policy.logprobs([one.prompt.conversation], [[one.reply if reply is None else reply]])[0][0].total


def test_the_loss_of_single_labels_is_the_papers(tiny: Path, tmp_path: Path) -> None:
    """Four good and two bad, none with a counterpart: the loss, the reference point and what is
    logged against plain log-probabilities."""
    given = [labelled(f"q{i}", f"reply {i} " + "x" * i, i not in (1, 4)) for i in range(6)]
    start, policy = load(tiny), trainee(tiny)
    found = KtoObjective(policy, preference_rows([], policy.chat, 300, tmp_path, given), STAGE)
    for replies in found.references.values():
        replies.compute_reference([tuple(range(6))])
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in trainable_parameters(policy):
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
    ratios = [logprob(policy, one) - logprob(start, one) for one in given]
    others = [policy.chat.decode(row.replies[0]) for row in found.mismatched.rows]
    assert all(other != one.reply for other, one in zip(others, given, strict=True)), (
        "the reference point is from replies to other prompts"
    )
    mean = (
        sum(logprob(policy, one, other) - logprob(start, one, other) for one, other in zip(given, others, strict=True))
        / 6
    )
    z = max(0.0, mean)

    def sigmoid(x: float) -> float:
        return 1 / (1 + math.exp(-x))

    losses = [
        1.2 * (1 - sigmoid(0.5 * (r - z))) if one.good else 0.8 * (1 - sigmoid(0.5 * (z - r)))
        for r, one in zip(ratios, given, strict=True)
    ]
    batch = tuple(range(6))
    found.begin([batch])
    with torch.no_grad():
        loss, _ = found.loss(batch)
    assert found.num_units(batch) == 6.0
    assert float(loss) == pytest.approx(sum(losses), abs=1e-4)
    logged = found.summary()
    assert logged["kl"] == pytest.approx(z, abs=1e-4)
    assert logged["chosen_logratio"] == pytest.approx(
        sum(r for r, one in zip(ratios, given, strict=True) if one.good) / 4, abs=1e-4
    )
    assert logged["rejected_logratio"] == pytest.approx(
        sum(r for r, one in zip(ratios, given, strict=True) if not one.good) / 2, abs=1e-4
    )
    assert max(abs(r) for r in ratios) > 0.05, "the policy has moved, or nothing was compared"


def test_single_labels_teach_what_is_good(tiny: Path, tmp_path: Path) -> None:
    """Held-out replies with a z become likelier beside those without, and with coins for labels
    they do not."""
    rises = []
    for coins in (False, True):
        policy, start = trainee(tiny), load(tiny)
        where = tmp_path / str(coins)
        where.mkdir()
        preference(policy, singles(120, coins=coins), STAGE, seed=0, folder=where)
        fresh = [
            labelled(f"other {i}", f"ab{letter}{'de'[i % 2]}f", letter == "z") for i in range(6) for letter in "zc"
        ]
        gaps = [(logprob(policy, one) - logprob(start, one)) * (1 if one.good else -1) for one in fresh]
        rises.append(sum(gaps) / 6)
    assert rises[0] > 1.0
    assert abs(rises[1]) < 0.5 * rises[0]


def test_a_step_without_good_replies_says_so_by_saying_nothing_of_them(tiny: Path, tmp_path: Path) -> None:
    policy = trainee(tiny)
    found = KtoObjective(policy, preference_rows([], policy.chat, 300, tmp_path, singles(4)), STAGE)
    for replies in found.references.values():
        replies.compute_reference([(0, 1, 2, 3)])
    found.begin([(1, 3)])
    with torch.no_grad():
        found.loss((1, 3))
    assert "rejected_logratio" in found.summary()
    assert not {"chosen_logratio", "margin"} & found.summary().keys()


def test_pairs_and_single_labels_are_learnt_together(tiny: Path, tmp_path: Path) -> None:
    pair = Preference(prompt=Prompt(conversation=Conversation.user("both")), chosen="yes", rejected="no", strength=0.75)
    made = preference_rows([pair], trainee(tiny).chat, 300, tmp_path, singles(3))
    objective = KtoObjective(trainee(tiny), made, STAGE)
    assert [[(e.good, e.weight) for e in row] for row in objective.examples] == [
        [(0.75, 1.0), (0.25, 1.0)],
        [(1.0, 1.0)],
        [(0.0, 1.0)],
        [(1.0, 1.0)],
    ]


@pytest.mark.parametrize(("good", "said"), [(True, "labelled good.*by sft"), (False, "labelled bad.*good ones")])
def test_labels_of_one_kind_are_refused(tiny: Path, tmp_path: Path, good: bool, said: str) -> None:
    policy = trainee(tiny)
    given = [one.model_copy(update={"good": good}) for one in singles(4)]
    with pytest.raises(ValueError, match=said):
        KtoObjective(policy, preference_rows([], policy.chat, 300, tmp_path, given), STAGE)


# ---- from the file to the model ------------------------------------------------------------------
ROWS = [
    {"prompt": f"tell about {i}", "completion": "kind" if i % 3 else "rude", "label": bool(i % 3)} for i in range(12)
]


def test_a_file_is_read_whole(tmp_path: Path) -> None:
    both = [{"prompt": "p", "completion": "good", "label": True}, {"prompt": "p", "completion": "bad", "label": False}]
    read = read_judged(jsonl(tmp_path / "kto.jsonl", *ROWS, *both))
    assert [type(row) for row in read.rows] == [Comparison] + [Labelled] * 12
    assert read.numbers[1:] == tuple(range(1, 13))
    (note,) = read.notes
    assert note.startswith("8 replies labelled good and 4 labelled bad have no counterpart")
    assert len(read_pairs(tmp_path / "kto.jsonl").rows) == 1
    with pytest.raises(SpecError, match="'kto' alone learns from single labels"):
        read_pairs(jsonl(tmp_path / "single.jsonl", *ROWS))


def spec(folder: Path, stages: str, rows: list[dict[str, object]] = ROWS, measure: str = "") -> Path:
    make_project(folder)
    jsonl(folder / "labels.jsonl", *rows)
    path = folder / "kto.yaml"
    path.write_text(
        "name: singles\nmodel: ./model\nintent: {pairs: [labels.jsonl]}\nfeedback: [{by: written}]\n"
        f"train: [{stages}]\nmeasure: [{{by: tax, text: [text.jsonl], limit: 4}}{measure}]\n"
    )
    return path


LOOP = "rank: 2, batch_tokens: 120, checkpoint_every: 1"


def test_kto_runs_from_a_spec_whose_prompts_have_a_reply_each(tmp_path: Path) -> None:
    path = spec(tmp_path, f"{{by: kto, {LOOP}}}")
    assert any("examples of kto by themselves" in line for line in check(path).lines)
    said = io.StringIO()
    run = align(Request(path, runs=tmp_path / "runs"), View(Console(file=said, width=200)))
    (stage,) = [folder for folder in (run / "stages").iterdir() if "-train." in folder.name]
    assert json.loads((stage / "doctor.json").read_text())["rows"] == 12
    assert (stage / "adapter" / "adapter_model.safetensors").is_file()
    assert "weight of good replies over that of bad ones: 2" in said.getvalue()


def test_other_methods_still_need_pairs_and_say_so(tmp_path: Path) -> None:
    for stages in (f"{{by: dpo, {LOOP}}}", f"{{by: kto, {LOOP}}}, {{by: dpo, {LOOP}}}", f"{{by: reward, {LOOP}}}"):
        with pytest.raises(SpecError, match=r"nothing can be compared; 'kto' alone learns from single labels"):
            check(spec(tmp_path, stages))


@pytest.mark.parametrize(
    ("good", "words"),
    [(True, "labelled good, .* learn from them by sft"), (False, "labelled bad, .* give good ones as well")],
)
def test_labels_of_one_side_are_refused_before_the_run(tmp_path: Path, good: bool, words: str) -> None:
    path = spec(tmp_path, f"{{by: kto, {LOOP}}}", [{**row, "label": good} for row in ROWS])
    with pytest.raises(SpecError, match=f"train.0.kto: intent.pairs: every one of 12 replies is {words}"):
        examine(load_spec(path))
    path = spec(
        tmp_path, f"{{by: kto, {LOOP}}}", [{**row, "label": good if i else not good} for i, row in enumerate(ROWS)]
    )
    assert examine(load_spec(path))[0].diagnosis is not None


def test_single_labels_are_looked_at_for_contamination(tmp_path: Path) -> None:
    rows = [*ROWS, {"prompt": "say sun", "completion": "sun", "label": True}]
    path = spec(tmp_path, f"{{by: kto, {LOOP}}}", rows, ", {by: tax, prompts: [prompts.jsonl]}")
    with pytest.raises(SpecError, match="the same prompt is trained on"):
        check(path)


@pytest.mark.data
def test_the_demonstration_of_another_trainer_is_read_whole() -> None:
    read = read_judged(real("llamafactory_demo/kto_en_demo.json"))
    alone = [row for row in read.rows if isinstance(row, Labelled)]
    pairs = [row for row in read.rows if isinstance(row, Comparison)]
    assert (len(alone), len(pairs)) == (298, 1)
    assert 140 <= sum(row.good for row in alone) <= 150
