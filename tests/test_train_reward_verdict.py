"""Is a reward model that knows only length refused, is one that knows more let through, and does
what is behind it stop, stay out or go on?"""

from __future__ import annotations

import io
import json
import random
from pathlib import Path

import pytest
import torch
import yaml
from rich.console import Console
from run_case import make_project
from spec_case import jsonl
from tiny import make_tiny
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from alignwright.core.promises import PromiseReport
from alignwright.core.records import Conversation, Finding, Preference, Prompt
from alignwright.experiment.cache_key import cache_keys
from alignwright.experiment.check import check
from alignwright.files.errors import SpecError
from alignwright.files.reward_folder import NoReward, reward_folder
from alignwright.model.load import load
from alignwright.model.reward_model import RewardScorer
from alignwright.model.sequence_classifier import ClassifierScorer, ending_with_the_turn
from alignwright.run.align import Request, align, prepare
from alignwright.run.progress import View
from alignwright.train.reward_eval import ScoredPair
from alignwright.train.reward_verdict import (
    HeldoutSplit,
    RewardRefused,
    mark_findings,
    refusal,
    signal_verdict,
    split,
    unseen_source_findings,
)


def pair(i: int, chosen: str, rejected: str, topic: str = "", strength: float = 1.0, principle: str = "") -> Preference:
    prompt = Prompt(conversation=Conversation.user(f"question {i}"), topic=topic, principle=principle)
    return Preference(prompt=prompt, chosen=chosen, rejected=rejected, strength=strength)


def scored_pairs(
    count: int, right: float, longer: float, *, follows: float | None = None, seed: int = 0
) -> list[ScoredPair]:
    """Pairs of which the longer reply is the better one in a share; a model that is right in a
    share, or follows the length in one."""
    rng = random.Random(seed)
    made: list[ScoredPair] = []
    for i in range(count):
        is_longer = i < longer * count
        chosen, rejected = ("aaaa", "bb") if is_longer else ("aa", "bbbb")
        wins = (rng.random() < follows) == is_longer if follows is not None else i * 7919 % count < right * count
        made.append(ScoredPair(pair(i, chosen, rejected), 1.0 if wins else -1.0))
    return made


# ---- the verdict ---------------------------------------------------------------------------------
def test_a_model_that_follows_length_is_refused_where_length_is_often_right() -> None:
    found = signal_verdict(scored_pairs(600, 0, 0.68, follows=0.93), [pair(0, "longer", "short")])
    assert not found.signal
    assert "no better than length" in found.reason
    assert "prefers the longer one in 9" in found.reason
    knows = signal_verdict(scored_pairs(600, 0.8, 0.68), [pair(0, "longer", "short")])
    assert knows.signal, "the control: right more often than length is"
    assert "80.0% of 600 held-out pairs, picking the longer reply is right on 68." in knows.reason


def test_chance_is_refused_and_so_are_too_few_pairs() -> None:
    assert "no better than chance" in signal_verdict(scored_pairs(600, 0.5, 0.5), []).reason
    assert "no better than" in signal_verdict(scored_pairs(6, 1.0, 0.5), []).reason
    assert signal_verdict(scored_pairs(60, 1.0, 0.5), []).signal
    assert signal_verdict([ScoredPair(pair(i, "aa", "bb"), 1.0) for i in range(60)], []).signal, (
        "replies of one length: chance is all there is to beat"
    )
    assert "no pair with a vote was kept apart" in signal_verdict([], []).reason


def test_the_rule_of_length_is_that_of_the_training_pairs() -> None:
    """Votes for the shorter reply: the rule picks the shorter, and a model that does nothing
    else does not beat it."""
    shorter = [ScoredPair(pair(i, "aa", "bbbb"), 1.0 if i % 20 else -1.0) for i in range(200)]
    found = signal_verdict(shorter, [pair(0, "short", "much longer")])
    assert not found.signal
    assert "picking the shorter reply is right on 100.0%" in found.reason
    assert signal_verdict(shorter, [pair(0, "much longer", "short")]).signal, (
        "the control: beside a rule that picks the longer one"
    )


def test_false_alarms_are_rare() -> None:
    """A model whose picks are the length rule's with coins mixed in is let through at most as
    often as the level says."""
    let_through = sum(
        signal_verdict(scored_pairs(300, 0, 0.6, follows=0.9, seed=seed), [pair(0, "longer", "short")]).signal
        for seed in range(200)
    )
    assert let_through <= 10


def test_the_verdict_stands_in_the_note_and_can_be_read_back() -> None:
    verdict = signal_verdict(scored_pairs(600, 0, 0.68, follows=0.93), [pair(0, "longer", "short")])
    (absent,) = mark_findings((), verdict, stage="s", use_anyway=False)
    assert absent.note.startswith("REFUSED: right on")
    assert refusal([absent]) == verdict.reason
    (used,) = mark_findings((absent.model_copy(update={"note": "before"}),), verdict, stage="s", use_anyway=True)
    assert used.note.endswith("used all the same, as 'no_signal: use' says; before")
    (good,) = mark_findings((absent,), signal_verdict(scored_pairs(600, 0.9, 0.5), []), stage="s", use_anyway=True)
    assert good.note.startswith("has signal: ")
    assert refusal([good]) is None


# ---- sources kept out whole ----------------------------------------------------------------------
def test_whole_topics_are_kept_out_and_none_of_their_prompts_is_trained_on() -> None:
    given = [pair(i, "yes", "no", topic=f"topic {i % 8}") for i in range(80)]
    found = split(given, 0.15, 3, {})
    assert found.kind == "topic"
    assert len(found.unseen_pairs) == 20, "whole topics of ten until a share of .15 is reached"
    assert {p.prompt.topic for p in found.unseen_pairs} == set(found.names)
    assert not {p.prompt.topic for p in (*found.train, *found.heldout)} & set(found.names)
    assert len(found.heldout) == 9
    assert len(found.train) + len(found.heldout) + len(found.unseen_pairs) == 80
    assert split(given[::-1], 0.15, 3, {}).names == found.names, "by name, whatever the order"
    assert not split(given, 0.0, 3, {}).unseen_pairs


def test_principles_and_files_stand_in_for_topics() -> None:
    by_principle = [pair(i, "yes", "no", principle=f"p{i % 6}") for i in range(60)]
    assert split(by_principle, 0.1, 0, {}).kind == "principle"
    plain = [pair(i, "yes", "no") for i in range(60)]
    files = {p.prompt.conversation.id: "one.jsonl" if i < 45 else "two.jsonl" for i, p in enumerate(plain)}
    found = split(plain, 0.1, 0, files)
    assert (found.kind, found.names, len(found.unseen_pairs)) == (
        "file",
        ("two.jsonl",),
        15,
    ), "one.jsonl is more than a third of all"
    assert split(plain, 0.1, 0, {}).kind == ""
    alone = [pair(i, "yes", "no", topic=f"t{i}") for i in range(60)]
    assert split(alone, 0.1, 0, {}).kind == "", "a topic of one prompt is a prompt"


def test_a_fall_on_new_sources_is_told_where_there_is_one() -> None:
    apart = HeldoutSplit([], [], [], "topic", ("cooking",))
    level, change = unseen_source_findings(scored_pairs(100, 0.5, 0.5), scored_pairs(400, 0.9, 0.5), apart, stage="s")
    assert (level.value, level.n) == (0.5, 100)
    assert "topics kept out whole: cooking" in level.note
    assert change.value == pytest.approx(-0.4)
    assert change.high is not None
    assert change.high < -0.25
    assert "right less often where it was never trained" in change.note
    _, same = unseen_source_findings(scored_pairs(100, 0.88, 0.5), scored_pairs(400, 0.9, 0.5), apart, stage="s")
    assert "no fall can be told" in same.note


# ---- a run ---------------------------------------------------------------------------------------
LOOP = "rank: 8, lr: 0.01, epochs: 4, batch_tokens: 600, heldout: 0.3"
DRAW = "rank: 8, prompts: 2, samples: 2, max_new_tokens: 4, epochs: 1"


def planted(kind: str, count: int = 240) -> list[dict[str, str]]:
    """z: the better reply has a z, and both are as long; longer: it is the longer one, and
    nothing else."""
    rng = random.Random(3)

    def word(length: int, letter: str = "") -> str:
        letters = [rng.choice("abcdefghij") for _ in range(length)]
        if letter:
            letters[rng.randrange(length)] = letter
        return "".join(letters)

    made: list[dict[str, str]] = []
    for i in range(count):
        size = rng.randint(3, 7)
        good, bad = (word(size, "z"), word(size)) if kind == "z" else (word(size + 4), word(size))
        made.append({"prompt": f"question {i}", "chosen": good, "rejected": bad, "topic": f"topic {i % 12}"})
    return made


def spec(folder: Path, kind: str, knob: str, more: str = "", rows: int = 240) -> Path:
    make_project(folder)
    jsonl(folder / "votes.jsonl", *planted(kind, rows))
    path = folder / "judge.yaml"
    prompts = "prompts: [prompts.jsonl], " if more else ""
    path.write_text(
        f"name: judge\nmodel: ./model\nintent: {{{prompts}pairs: [votes.jsonl]}}\nfeedback: [{{by: written}}]\n"
        f"train:\n- {{by: reward, no_signal: {knob}, {LOOP}}}\n{more}"
    )
    return path


RLOO = f"- {{by: rloo, reward: reward, {DRAW}}}\n"
RLOO += (
    "measure: [{by: reward, reward: reward, prompts: [instruction.jsonl], limit: 4, max_new_tokens: 4}]\npromises:"
    " [reward.score.gain > 0]\n"
)


def run(path: Path) -> tuple[Path, str]:
    said = io.StringIO()
    return align(Request(path, runs=path.parent / "runs"), View(Console(file=said, width=2000))), said.getvalue()


def findings(folder: Path) -> list[Finding]:
    return [Finding.model_validate_json(line) for line in (folder / "findings.jsonl").read_text().splitlines()]


def test_what_is_behind_a_refused_model_does_not_start(tmp_path: Path) -> None:
    path = spec(tmp_path, "longer", "stop", RLOO)
    with pytest.raises(
        RewardRefused,
        match=r"train\.0\.reward: the reward model was refused: right on .* no better than length.*no_signal: skip",
    ):
        run(path)
    (folder,) = (tmp_path / "runs").iterdir()
    assert not list((folder / "stages").glob("*rloo*"))
    (kept,) = (folder / "stages").glob("*-train.0.reward/findings.jsonl")
    assert "REFUSED" in kept.read_text(), "what was found is on disk"


def test_skipped_it_judges_nothing_and_the_report_is_there(tmp_path: Path) -> None:
    folder, said = run(spec(tmp_path, "longer", "skip", RLOO))
    assert "✕ train reward" in said
    assert "left out, as train.0.reward was refused: right on" in said
    names = {path.name.partition("-")[2] for path in (folder / "stages").iterdir()}
    assert not any("rloo" in name or "measure" in name for name in names)
    answers = PromiseReport.model_validate_json((folder / "promises.json").read_text())
    assert [verdict.answer for verdict in answers.verdicts] == ["untested"]
    assert answers.header.stages == ("baseline",)
    assert "Refused: no better than length or chance" in (folder / "model" / "README.md").read_text()
    assert "✕ refused" in (folder / "report.html").read_text()
    again, told = run(tmp_path / "judge.yaml")
    assert again == folder
    assert "left out, as train.0.reward was refused" in told, "also where it is known from before"


def test_used_all_the_same_it_is_said_wherever_it_is_reported(tmp_path: Path) -> None:
    folder, said = run(spec(tmp_path, "longer", "use", RLOO))
    assert "✕ train reward" in said
    (level,) = [f for f in findings(folder) if f.claim == "reward.accuracy" and f.against is None]
    assert level.note.startswith("REFUSED: ")
    assert "used all the same, as 'no_signal: use' says" in level.note
    scored = [f.note for f in findings(folder) if f.claim == "reward.score" and f.against is None]
    assert len(scored) == 2
    assert all("judged by a reward model that was REFUSED" in note for note in scored)
    assert "## Refused judges" in (folder / "README.md").read_text()
    assert (folder / "reward" / "config.json").is_file(), "beside the policy in model/"


# ---- what it leaves ------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a reward model with signal, and nothing else."""
    folder, said = run(spec(tmp_path_factory.mktemp("trained"), "z", "stop", rows=300))
    assert "✓ train reward" in said
    assert "has signal: right on" in said
    assert "of topics kept out whole: topic" in said
    return folder


def test_transformers_opens_it_and_gives_our_scores(trained: Path) -> None:
    place = trained / "model"
    tokenizer = AutoTokenizer.from_pretrained(place, local_files_only=True)
    model = AutoModelForSequenceClassification.from_pretrained(place, local_files_only=True)
    assert not [file for file in place.rglob("*") if file.suffix in (".bin", ".pt", ".pkl")]
    (stage,) = (trained / "stages").glob("*-train.0.reward")
    ours = RewardScorer.load(lambda: load(trained.parent.parent / "model"), stage)
    asked, replies = Conversation.user("question 7"), ["abzde", "abcde", "a z", "longer than the others by far"]
    wanted = [score.value for score in ours([Prompt(conversation=asked)], [replies])[0] if score is not None]
    seen: list[float] = []
    for reply in replies:
        messages = [message.model_dump() for message in asked.then("assistant", reply).messages]
        inputs = tokenizer.apply_chat_template(messages, return_dict=True, return_tensors="pt")
        with torch.no_grad():
            seen.append(float(model(**inputs).logits[0, 0]))
    assert seen == pytest.approx(wanted, abs=1e-4)
    assert max(wanted) - min(wanted) > 0.1, "the scores differ, or nothing was compared"
    loaded = ClassifierScorer.load(place)
    assert [score.value for score in loaded([Prompt(conversation=asked)], [replies])[0] if score] == pytest.approx(
        wanted, abs=1e-4
    )


def test_a_line_break_behind_the_turn_would_move_the_score_and_is_cut(trained: Path, tmp_path: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(make_tiny(tmp_path / "plain"), local_files_only=True)
    messages = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "yes <|im_end|> and more"}]
    before = tokenizer.apply_chat_template(messages, tokenize=False)
    assert before.endswith("<|im_end|>\n"), "the trap: the template goes on behind the turn"
    tokenizer.chat_template = ending_with_the_turn(tokenizer.chat_template, "<|im_end|>")
    assert tokenizer.apply_chat_template(messages, tokenize=False) == before.removesuffix("\n")
    opened = tokenizer.apply_chat_template(messages[:1], tokenize=False, add_generation_prompt=True)
    assert opened.endswith("<|im_start|>assistant\n"), "what asks for a reply is left as it was"


def test_its_card_is_true_of_it(trained: Path) -> None:
    for card in (trained / "model" / "README.md", trained / "README.md"):
        text = card.read_text()
        front = yaml.safe_load(text.split("---")[1])
        assert front["pipeline_tag"] == "text-classification"
        assert "reward-model" in front["tags"]
        assert "has signal: right on" in text
        assert "apply_chat_template(messages, return_dict=True" in text
        assert str(trained.parent.parent) not in text
    (stage,) = (trained / "stages").glob("*-train.0.reward")
    for file in (*stage.rglob("*.json"), *stage.rglob("*.md"), *(trained / "model").glob("*.json")):
        assert str(trained.parent.parent) not in file.read_text(), file


# ---- named by another spec -----------------------------------------------------------------------
def other(folder: Path, name: str) -> Path:
    make_project(folder)
    path = folder / "other.yaml"
    path.write_text(
        "name: other\nmodel: ./model\nintent: {prompts: [prompts.jsonl]}\n"
        f"train: [{{by: rloo, reward: {name}, {DRAW}}}]\n"
        f"measure: [{{by: reward, reward: {name}, prompts: [instruction.jsonl], limit: 4, max_new_tokens: 4}}]\n"
    )
    return path


def test_another_spec_names_the_run(trained: Path, tmp_path: Path) -> None:
    path = other(tmp_path, str(trained))
    check(path)
    experiment, jobs, _ = prepare(Request(path, runs=tmp_path / "runs"))
    before = cache_keys(experiment, jobs)
    folder, _ = run(path)
    assert [f.stage for f in findings(folder) if f.claim == "reward.score" and f.against is None] == [
        "baseline",
        "train.0.rloo",
    ]
    config = trained / "model" / "config.json"
    text = config.read_text()
    try:
        config.write_text(json.dumps(json.loads(text) | {"note": "another"}))
        after = cache_keys(experiment, jobs)
    finally:
        config.write_text(text)
    assert {name for name in before if before[name] != after[name]} == {job.name for job in jobs}, (
        "its content is part of the key"
    )


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda folder: "./nowhere", "is not there; a judge is reward, feedback"),
        (lambda folder: "./empty", "holds no model"),
        (lambda folder: "./model", r"is LlamaForCausalLM, which gives no score.*whose spec trains \{by: reward\}"),
    ],
)
def test_a_folder_that_is_no_reward_model_is_refused_before_the_run(tmp_path: Path, make: object, said: str) -> None:
    (tmp_path / "empty").mkdir(parents=True)
    with pytest.raises(SpecError, match=said):
        check(other(tmp_path, make(tmp_path)))  # type: ignore[operator]


def test_it_is_no_model_to_be_trained(trained: Path, tmp_path: Path) -> None:
    path = other(tmp_path, "feedback")
    path.write_text(path.read_text().replace("./model", str(trained / "model")))
    with pytest.raises(SpecError, match="is a reward model, which scores replies and writes none"):
        check(path)


def test_without_pairs_kept_apart_nothing_can_follow(tmp_path: Path) -> None:
    path = spec(tmp_path, "z", "stop")
    path.write_text(path.read_text().replace("heldout: 0.3", "heldout: 0"))
    with pytest.raises(SpecError, match="nothing would be known of it and nothing could follow"):
        check(path)
    path.write_text(path.read_text().replace("no_signal: stop", "no_signal: use"))
    check(path)


def test_more_labels_than_one_and_a_refusal_are_told(trained: Path, tmp_path: Path) -> None:
    for name, content in (("two", {"id2label": {"0": "good", "1": "bad"}}), ("refused", {})):
        place = tmp_path / name
        place.mkdir()
        for file in (trained / "model").iterdir():
            (place / file.name).write_bytes(file.read_bytes())
        config = json.loads((place / "config.json").read_text())
        (place / "config.json").write_text(json.dumps(config | content))
    with pytest.raises(SpecError, match="it has 2 labels, and a reward model has one"):
        check(other(tmp_path, "./two"))
    (tmp_path / "refused" / "verdict.json").write_text(json.dumps({"signal": False, "reason": "no better than length"}))
    assert any(
        "./refused was refused where it was trained: no better than length" in line
        for line in check(other(tmp_path, "./refused")).lines
    )


@pytest.mark.parametrize("name", ["#" * 300, "no\0where", "f" * 5000])
def test_a_name_that_no_folder_could_have_is_said_not_to_be_there(tmp_path: Path, name: str) -> None:
    with pytest.raises(NoReward, match="is not there; a judge is reward, feedback"):
        reward_folder(tmp_path / name)
