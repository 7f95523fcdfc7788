"""Persona vectors: a planted trait is found and ranks the rows that have it, nothing is found where there is none, and
what the data is predicted to do is what training on it does."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest
import torch
import yaml
from run_case import make_project
from tiny import make_tiny
from torch import Tensor

import alignwright as aw
from alignwright.core.promises import answer, parse
from alignwright.core.records import Conversation, Finding
from alignwright.core.section import Section
from alignwright.experiment.check import check
from alignwright.files.errors import SpecError
from alignwright.files.lines import read_lines
from alignwright.files.sources import read_items
from alignwright.files.steering_folder import read_steering
from alignwright.files.training_replies import TrainingReply
from alignwright.lens.persona.findings import of_trained
from alignwright.lens.persona.persona import (
    DRAWS,
    ReplyContrast,
    along,
    beside_mean,
    beside_rows,
    persona_vector,
    separation,
)
from alignwright.lens.persona.reply_states import mean_reply_states
from alignwright.model.activations.capture import capture, sinks
from alignwright.model.activations.edits import unit
from alignwright.model.activations.layout import layout_of
from alignwright.model.activations.sites import Site
from alignwright.model.load import load
from alignwright.model.local_model import LocalModel
from alignwright.stats.auroc import auroc

SIZE, PAIRS = 24, 40
WORDS = ("sun", "rain", "bread", "stone", "river", "cloud", "paper", "grass", "wheel", "candle", "window", "garden")


def numbers(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


DIRECTION = unit(numbers(99, SIZE))


def contrast(strength: float, seed: int = 1) -> ReplyContrast:
    """Pairs whose words say nothing; at block 1 replies with the trait lie along the direction, at block 0 they do
    not."""
    states = {layer: numbers(10 * seed + layer, 2, PAIRS, SIZE) for layer in (0, 1)}
    return ReplyContrast(
        keys=[f"{i}" for i in range(PAIRS)], topics=[f"t{i % 20}" for i in range(PAIRS)],
        shown=[f"{WORDS[i % 12]} {WORDS[i % 7]}" for i in range(PAIRS)],
        absent=[f"{WORDS[i % 12]} {WORDS[i % 7]}" for i in range(PAIRS)],
        shown_states={0: states[0][0], 1: states[1][0] + strength * DIRECTION},
        absent_states={0: states[0][1], 1: states[1][1]},
    )  # fmt: skip


def test_a_planted_trait_is_found_at_its_block_on_topics_held_out() -> None:
    vector = persona_vector(contrast(5.0))
    assert vector.layer == 1
    assert vector.why_not == ""
    assert torch.nn.functional.cosine_similarity(vector.vector, DIRECTION, dim=0) > 0.85
    assert vector.area.value is not None
    assert vector.area.value > 0.97
    assert vector.by == "6 of 20 topics held out"
    assert vector.words.value == 0.5  # both replies of a pair have the same words
    assert (vector.beside.random_p, vector.beside.shuffled_p) == (1 / (1 + DRAWS), 1 / (1 + DRAWS))
    # the control of the control: what all pairs share is not in the directions of shuffled labels
    shared = (vector.directions[DRAWS:] @ DIRECTION).abs().mean()
    assert shared < 0.35 < torch.nn.functional.cosine_similarity(vector.vector, DIRECTION, dim=0)


def test_without_a_trait_at_most_one_of_twenty_is_called_one() -> None:
    assert sum(persona_vector(contrast(0.0, seed)).why_not == "" for seed in range(20)) <= 1
    assert all(persona_vector(contrast(5.0, seed)).why_not == "" for seed in range(4))


def test_rows_with_the_trait_are_ranked_first_and_a_gap_is_one() -> None:
    vector = persona_vector(contrast(5.0))
    labels = torch.arange(60) % 4 == 0
    differences = numbers(5, 60, SIZE) - numbers(6, 60, SIZE)
    planted = differences + 5.0 * labels[:, None] * DIRECTION
    shifts = vector.shifts(planted)
    assert auroc(shifts.tolist(), labels.tolist()).value > 0.95  # type: ignore[operator]
    assert beside_rows(vector, planted, labels)[1].faults == []
    assert float(along(vector.vector[None], vector.vector)[0]) == pytest.approx(1.0)  # the unit is the contrast's gap
    assert float(shifts.mean()) == pytest.approx(0.25, abs=0.1)  # a quarter of the rows have it
    assert beside_mean(vector.vector, vector.directions, planted).faults == []
    assert beside_rows(vector, differences, labels)[1].faults  # rows without it are told by nothing


def test_data_without_the_trait_is_called_a_push_in_at_most_one_of_twenty() -> None:
    """The data differs from the model's replies, along another direction; the trait is not in it."""
    vector, other = persona_vector(contrast(5.0)), unit(numbers(98, SIZE))
    other = unit(other - (other @ unit(vector.vector)) * unit(vector.vector))

    def pushes(strength: float, seed: int) -> bool:
        rows = numbers(100 + seed, 40, SIZE) + 3.0 * other + strength * DIRECTION
        beside = beside_mean(vector.vector, vector.directions, rows)
        shifts = vector.shifts(rows).tolist()
        finding = of_trained("t", "train.0", shifts, [f"{i}" for i in range(40)], 0, beside)[0]
        assert finding.low is not None
        return finding.low > 0 and "no_signal" not in finding.detail

    assert sum(pushes(0.0, seed) for seed in range(20)) <= 1
    assert all(pushes(5.0, seed) for seed in range(20))


def test_a_push_that_other_directions_match_is_no_signal_and_no_push_is_a_result() -> None:
    vector = persona_vector(contrast(5.0))
    far = 40.0 * vector.directions[-1] + 0.1 * DIRECTION  # along another direction, and a little along this one
    far = far if float(far @ vector.vector) > 0 else -far
    rows = 0.1 * numbers(7, 40, SIZE) + far
    topics = [f"{i}" for i in range(40)]
    matched, none = (
        of_trained(
            "t", "train.0", vector.shifts(each).tolist(), topics, 0, beside_mean(vector.vector, vector.directions, each)
        )[0]
        for each in (rows, rows - rows.mean(0))
    )
    assert "come as far" in str(matched.detail["no_signal"])
    assert none.detail == {}
    assert "no push towards the trait" in none.note
    assert answer(parse("persona.t.moved < 0.1"), [matched]).answer == "untested"
    assert answer(parse("persona.t.moved < 0.1"), [none]).answer == "kept"


def test_separation_counts_in_standard_deviations() -> None:
    assert float(separation(torch.tensor([1.0, 2.0, 3.0]))) == pytest.approx(2.0)
    assert float(separation(torch.tensor([-2.0, -2.0]))) < -1e5
    assert float(separation(torch.tensor([0.0, 0.0]))) == 0.0


def test_a_reply_is_the_mean_over_its_own_tokens_without_sinks(tmp_path: Path) -> None:
    policy, prompt = load(make_tiny(tmp_path)), Conversation.user("What is it?")
    texts = ["It is a long river in the sun.", "No."]
    got = mean_reply_states(policy, [(prompt, text) for text in texts], [0, 1], most=8)
    for n, text in enumerate(texts):
        head, reply = policy.chat.prompt(prompt), policy.chat.reply(text, end=False)[:8]
        with torch.inference_mode():
            states = capture(layout_of(policy), torch.tensor([[*head, *reply]]), [Site(0), Site(1)])
        for layer in (0, 1):
            each = states[Site(layer)][0]
            kept = ~sinks(each)
            kept[: len(head)] = False
            assert torch.allclose(got[layer][n], each[kept].mean(0), atol=1e-4)
    longer = mean_reply_states(policy, [(prompt, texts[0])], [1], most=4)
    assert not torch.allclose(longer[1][0], got[1][0], atol=1e-3)  # the control: how much is read matters


# ---- what the data is predicted to do, and what training on it does ------------------------------
def teach(policy: LocalModel, rows: list[tuple[str, str]], steps: int) -> None:
    """Plain supervised steps on all rows."""
    cut = [policy.chat.row(Conversation.user(prompt), [reply]) for prompt, reply in rows]
    width = max(map(len, cut))
    ids = torch.full((len(cut), width), policy.chat.pad_id)
    aim = torch.full((len(cut), width), -100)
    for n, row in enumerate(cut):
        ids[n, : len(row)] = torch.tensor([*row.prompt, *row.replies[0]])
        aim[n, len(row.prompt) : len(row)] = torch.tensor(row.replies[0])
    optimiser = torch.optim.AdamW(policy.model.parameters(), lr=1e-2)
    with torch.enable_grad():
        for _ in range(steps):
            logits = policy.model(input_ids=ids).logits
            loss = torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), aim[:, 1:].flatten())
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()


def shouts(text: str) -> bool:
    """The trait by a rule: more capital letters than small ones."""
    return sum(map(str.isupper, text)) > sum(map(str.islower, text))


def test_what_the_data_is_predicted_to_do_is_what_training_on_it_does(tmp_path: Path) -> None:
    """Shouting, by a rule: the more rows of the data shout, the larger the predicted shift, and the more the trained
    model shouts. Rows that are new and calm push nowhere."""
    base = load(make_tiny(tmp_path, initializer_range=0.1))
    teach(base, [(f"say {word}?", f"{word}.") for word in WORDS], 60)
    train, held = WORDS[:8], WORDS[8:]
    pairs = [(f"name {word} {i}?", f"{word.upper()}.", f"{word}.") for i in range(2) for word in WORDS]
    sides = [[(Conversation.user(pair[0]), pair[place]) for pair in pairs] for place in (1, 2)]
    states = [mean_reply_states(base, side, [0, 1], 8) for side in sides]
    vector = persona_vector(
        ReplyContrast(
            keys=[pair[0] for pair in pairs], topics=list(WORDS) * 2, shown=[pair[1] for pair in pairs],
            absent=[pair[2] for pair in pairs], shown_states=states[0], absent_states=states[1],
        )
    )  # fmt: skip
    assert vector.why_not == ""
    questions = [Conversation.user(f"say {word}?") for word in train]
    own = [group[0].text for group in base.generate(questions, max_new_tokens=8, temperature=0.0)]
    assert not any(map(shouts, own))
    predicted: list[float] = []
    actual: list[float] = []
    for dose in (0, 4, 8):
        rows = [(f"say {word}?", f"{word}.".upper() if i < dose else f"{word}.") for i, word in enumerate(train)]
        side = [(Conversation.user(prompt), reply) for prompt, reply in rows]
        beside = [(Conversation.user(prompt), reply) for (prompt, _), reply in zip(rows, own, strict=True)]
        new, old = (mean_reply_states(base, each, [vector.layer], 8)[vector.layer] for each in (side, beside))
        predicted.append(float(vector.shifts(new - old).mean()))
        learner = copy.deepcopy(base)
        teach(learner, rows, 25)
        asked = [Conversation.user(f"say {word}?") for word in (*train, *held)]
        replies = [group[0].text for group in learner.generate(asked, max_new_tokens=8, temperature=0.0)]
        actual.append(sum(map(shouts, replies)) / len(replies))
    assert predicted[0] < 0.15
    assert actual[0] == 0.0
    assert predicted[0] + 0.2 < predicted[1] < predicted[2] - 0.2
    assert actual[0] < actual[1] < actual[2]


# ---- in a run ------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = make_project(tmp_path_factory.mktemp("persona"))

    def write(name: str, rows: list[dict[str, object]]) -> None:
        path.with_name(name).write_text("".join(json.dumps(row) + "\n" for row in rows))

    write("contrast.jsonl", [
        {"prompt": f"Tell of {word} {i}?", "chosen": f"IT IS {word.upper()} {i}", "rejected": f"it is {word} {i}.",
         "topic": word}
        for i in range(3) for word in WORDS
    ])  # fmt: skip
    write("rows.jsonl", [
        {"prompt": f"Say {word}?", "other": f"it is {word}.", "label": i % 2, "topic": word,
         "reply": f"IT IS {word.upper()} <script>x</script>" if i % 2 else f"it is a {word} so."}
        for i, word in enumerate(WORDS)
    ])  # fmt: skip
    write("own.jsonl", [
        {"messages": [{"role": "user", "content": f"Say {word}?"}, {"role": "assistant", "content": f"{word}."}]}
        for word in WORDS
    ])  # fmt: skip
    case = yaml.safe_load(path.read_text())
    del case["collect"], case["attack"], case["measure"], case["feedback"], case["train"], case["intent"]["prompts"]
    del case["intent"]["pairs"]
    stage = {
        "by": "persona", "trait": "shouting", "contrast": ["contrast.jsonl"], "data": ["rows.jsonl"],
        "max_new_tokens": 16,
    }  # fmt: skip
    case |= {
        "lens": [stage],
        "promises": ["persona.shouting.ranking > 0.6", "persona.shouting.shift < 0.1"],
    }  # fmt: skip
    path.write_text(yaml.safe_dump(case))
    return path


def test_a_run_ranks_the_data_and_keeps_the_direction(spec: Path, tmp_path: Path) -> None:
    run = aw.align(spec, runs=tmp_path, quiet=True).path
    findings = [Finding.model_validate_json(line) for line in read_lines(run / "findings.jsonl")]
    own = {(f.claim, f.stage): f for f in findings if f.against is None}
    shift, ranking = own["persona.shouting.shift", "baseline"], own["persona.shouting.ranking", "baseline"]
    assert "no_signal" not in own["persona.shouting.auroc", "baseline"].detail
    assert shift.value is not None
    assert 0.1 < shift.value < 1.0
    assert ranking.value == 1.0
    assert (ranking.n, shift.n) == (12, 12)
    assert shift.exhibits[0].reply.endswith("<script>x</script>")
    folder = next((run / "jobs").glob("*persona*baseline*"), None) or next(run.rglob("rows.jsonl")).parent
    rows = [json.loads(line) for line in (folder / "rows.jsonl").read_text().splitlines()]
    assert [row["label"] for row in rows[:6]] == [True] * 6  # the planted rows first
    assert read_steering(folder / "steering" / "added").edits[0].edit == "add"
    assert load(folder / "steering" / "ablated").steering  # opens as the model under its edits
    assert ("persona.shouting.moved", "baseline") not in own
    verdicts = {v["promise"]: v["answer"] for v in json.loads((run / "promises.json").read_text())["verdicts"]}
    assert verdicts["persona.shouting.shift < 0.1"] == "broken"
    assert verdicts["persona.shouting.ranking > 0.6"] == "kept"
    sections = {s.name: s for s in map(Section.model_validate_json, read_lines(run / "sections.jsonl"))}
    assert sections["persona"].intro.startswith("Axis: inside. Unit: AUROC")
    page = (run / "report.html").read_text()
    assert "&lt;script&gt;x&lt;/script&gt;" in page
    assert "<script>x" not in page


def test_of_a_trained_model_it_says_how_far_its_replies_moved(spec: Path, tmp_path: Path) -> None:
    case = yaml.safe_load(spec.read_text())
    case["intent"]["pairs"] = ["pairs.jsonl"]
    sft = {"by": "sft", "data": "chosen", "epochs": 1, "rank": 2, "batch_tokens": 200}
    case |= {"feedback": [{"by": "written"}], "train": [sft], "promises": ["persona.shouting.moved < 0.5"]}
    path = spec.with_name("trained.yaml")
    path.write_text(yaml.safe_dump(case))
    run = aw.align(path, runs=tmp_path, quiet=True).path
    findings = [Finding.model_validate_json(line) for line in read_lines(run / "findings.jsonl")]
    own = {(f.claim, f.stage): f for f in findings if f.against is None}
    moved = own["persona.shouting.moved", "train.0.sft"]
    assert moved.n + moved.unscored == 12
    assert moved.value is not None
    assert abs(moved.value) < 0.5  # next to nothing was learnt, and no shouting
    assert own["persona.shouting.moved_beside", "train.0.sft"].value is not None
    assert ("persona.shouting.shift", "train.0.sft") not in own  # the data is looked over before training alone
    # what is looked over may be what is trained on: pairs, by a mapping of their columns
    pairs = {"file": "pairs.jsonl", "columns": {"chosen": "reply", "rejected": "other"}}
    path.write_text(yaml.safe_dump(case | {"lens": [case["lens"][0] | {"data": [pairs]}]}))
    check(path)
    # a promise about the data is one about the start model, and a run that trains says so
    path.write_text(yaml.safe_dump(case | {"promises": ["persona.shouting.shift < 0.1"]}))
    with pytest.raises(SpecError, match="measured of the start model alone"):
        check(path)


def test_replies_under_two_instructions_make_a_contrast_or_say_why_not(spec: Path, tmp_path: Path) -> None:
    case = yaml.safe_load(spec.read_text())
    stage = case["lens"][0]
    del stage["contrast"]
    rows = [{"prompt": f"What is {word} {i}?"} for i in range(2) for word in WORDS[:8]]
    spec.with_name("asked.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    stage |= {"questions": ["asked.jsonl"], "instructions": ["SHOUT!", "Whisper."], "data": ["own.jsonl"]}
    case |= {"promises": [], "lens": [stage]}
    path = spec.with_name("asked.yaml")
    path.write_text(yaml.safe_dump(case))
    run = aw.align(path, runs=tmp_path, quiet=True).path
    findings = [Finding.model_validate_json(line) for line in read_lines(run / "findings.jsonl")]
    area = next(f for f in findings if f.claim == "persona.shouting.auroc")
    # a random model obeys nothing: its replies are alike, or what tells them is not in topics held out
    assert area.value is None or "no_signal" in area.detail
    shift = next(f for f in findings if f.claim == "persona.shouting.shift")
    assert shift.value is None
    assert shift.detail["untested"]


@pytest.mark.parametrize(
    ("knobs", "line"),
    [
        ({"contrast": []}, "a direction comes from pairs of replies"),
        ({"questions": ["rows.jsonl"]}, "give one of them"),
        ({"contrast": [], "questions": ["rows.jsonl"]}, "give both, or neither"),
        ({"contrast": [], "questions": ["rows.jsonl"], "instructions": ["a"]}, "two different texts"),
        ({"contrast": ["few.jsonl"]}, "3 pairs: a direction needs at least 16"),
        ({"data": ["same.jsonl"]}, "stands under 'contrast' too"),
        ({"data": ["open.jsonl"]}, "must end with the assistant's turn"),
        ({"layer": 7}, "layer 7 is not there"),
    ],
)
def test_bad_input_is_one_line(spec: Path, knobs: dict[str, object], line: str) -> None:
    pairs = read_lines(spec.with_name("contrast.jsonl"))
    spec.with_name("few.jsonl").write_text("".join(f"{row}\n" for row in list(pairs)[:3]))
    first = json.loads(next(iter(read_lines(spec.with_name("contrast.jsonl")))))
    spec.with_name("same.jsonl").write_text(json.dumps({"prompt": first["prompt"], "reply": first["chosen"]}) + "\n")
    spec.with_name("open.jsonl").write_text(json.dumps({"messages": [{"role": "user", "content": "Hm?"}]}) + "\n")
    case = yaml.safe_load(spec.read_text())
    case["lens"] = [case["lens"][0] | knobs]
    path = spec.with_name("bad.yaml")
    path.write_text(yaml.safe_dump(case | {"promises": []}))
    with pytest.raises(SpecError, match=line):
        check(path)


def test_a_promise_on_the_ranking_needs_labels(spec: Path) -> None:
    case = yaml.safe_load(spec.read_text())
    case["lens"] = [case["lens"][0] | {"data": ["own.jsonl"]}]
    path = spec.with_name("unlabelled.yaml")
    path.write_text(yaml.safe_dump(case))
    with pytest.raises(SpecError, match="have the labels 1 and 0"):
        check(path)


def test_labels_and_messages_are_read_as_people_write_them(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("prompt,reply,label\nA?,a,1\nB?,b,false\nC?,c,\n")
    assert [row.label for row in read_items(path, TrainingReply).rows] == [True, False, None]
    talk = tmp_path / "talk.jsonl"
    turns = [
        {"role": "system", "content": "S"},
        {"role": "user", "content": "Q"},
        {"role": "assistant", "content": "R"},
    ]
    talk.write_text(json.dumps({"messages": turns}) + "\n")
    (row,) = read_items(talk, TrainingReply).rows
    assert row.text == "R"
    assert [message.role for message in row.dialogue.messages] == ["system", "user"]
