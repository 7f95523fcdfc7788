"""Is a question that was answered ever asked again, and one that was not, ever skipped?"""

from __future__ import annotations

import json
import math

import pytest
from feedback_doubles import HONEST, KIND, Judge, Talker, options, pair
from tiny import make_tiny

from alignwright.core.constitution import Principle
from alignwright.core.records import Comparison, Conversation, Prompt, Reply
from alignwright.feedback.contrast import ContrastVoter
from alignwright.feedback.judge import ANSWER, JudgeVoter
from alignwright.feedback.votes import Answer
from alignwright.job.judge_cache import BATCH, JudgeCache
from alignwright.model.load import load

BRIEF = Principle(slug="brief", title="Brevity", text="Be brief.")
THREE = (HONEST, KIND, BRIEF)


class Counting(Judge):
    """Answers by the reply's content and by the principle that it is asked about; keeps what it
    was asked."""

    def __init__(self) -> None:
        super().__init__(lambda a, b: 0.5)
        self.asked: list[Conversation] = []

    def logprobs(self, prompts, replies, *, prefix="", end=True):
        self.asked += prompts
        rows = []
        for prompt in prompts:
            a, b = options(prompt.last.content)
            self.p_first = lambda x, y, told=prompt.last.content, a=a, b=b: (
                1 / (1 + math.exp((len(a) - len(b)) / 7 - ("brief" in told) - 0.3))
            )
            rows += super().logprobs([prompt], [["A", "B"]], prefix=prefix, end=end)
        return rows


def free(*texts: str, asks: str = "Hi") -> Comparison:
    prompt = Prompt(conversation=Conversation.user(asks))
    return Comparison(prompt=prompt, replies=tuple(Reply(text=text, parent=prompt.id) for text in texts))


ASKED = [free("one", "another", "a third one"), free("yes", "certainly not", asks="Is it?"), pair("true", "false")]
PER_PRINCIPLE = 2 * (3 + 1)  # both orders of the pairs that name no principle
OF_HONEST = PER_PRINCIPLE + 2


def test_editing_one_of_three_principles_asks_its_questions_again_and_no_other(tmp_path):
    path = tmp_path / "answers.jsonl"
    first = JudgeVoter(Counting(), THREE, store=JudgeCache(path, "j"))
    before = first.answers(ASKED)
    assert (first.num_asked, first.num_reused) == (2 * PER_PRINCIPLE + OF_HONEST, 0)

    judge = Counting()
    again = JudgeVoter(judge, THREE, store=JudgeCache(path, "j"))
    assert again.answers(ASKED) == before
    assert (again.num_asked, again.num_reused) == (0, first.num_asked)
    assert judge.asked == []

    edited = KIND.model_copy(update={"text": "Be kind, and be brief."})
    judge = Counting()
    changed = JudgeVoter(judge, (HONEST, edited, BRIEF), store=JudgeCache(path, "j"))
    after = changed.answers(ASKED)
    assert (changed.num_asked, changed.num_reused) == (PER_PRINCIPLE, first.num_asked - PER_PRINCIPLE)
    assert all("Be kind, and be brief." in question.last.content for question in judge.asked)
    assert len(judge.asked) == PER_PRINCIPLE

    def others(answers):
        return [[answer for answer in said if answer.reason != "kind"] for said in answers]

    assert others(after) == others(before)
    assert after != before  # the control: the edited principle's votes did change


def test_a_store_changes_no_answer_and_the_same_question_is_asked_once(tmp_path):
    plain, stored = (
        JudgeVoter(Counting(), THREE),
        JudgeVoter(Counting(), THREE, store=JudgeCache(tmp_path / "a.jsonl", "j")),
    )
    assert stored.answers(ASKED + ASKED) == plain.answers(ASKED + ASKED)
    assert plain.num_asked == 2 * stored.num_asked == 2 * stored.num_reused


def test_another_judge_and_another_way_of_asking_share_no_answers(tmp_path):
    path = tmp_path / "answers.jsonl"
    JudgeVoter(Counting(), (HONEST,), store=JudgeCache(path, "j")).answers(ASKED)
    other = JudgeVoter(Counting(), (HONEST,), store=JudgeCache(path, "k"))
    other.answers(ASKED)
    assert other.num_reused == 0

    def says(conversation: Conversation, k: int) -> str:
        return "A" if conversation.last.content == ANSWER else "First is kinder."

    thinker = JudgeVoter(Talker(says), (HONEST,), reasoning=True, store=JudgeCache(path, "j"))
    thinker.answers(ASKED)
    assert (thinker.num_asked, thinker.num_reused) == (OF_HONEST, 0)
    wider = JudgeVoter(Talker(says), (HONEST,), reasoning=True, clamp=0.3, store=JudgeCache(path, "j"))
    wider.answers(ASKED)
    assert (wider.num_asked, wider.num_reused) == (
        0,
        OF_HONEST,
    )  # what is done with an answer is no part of its question


def test_an_unreadable_answer_is_counted_shown_and_asked_for_again(tmp_path):
    path = tmp_path / "answers.jsonl"
    for _ in range(2):
        voter = JudgeVoter(Talker(lambda c, k: "Hard to say"), (HONEST,), store=JudgeCache(path, "j"))
        [(answer,)] = voter.answers([pair("a", "b")])
        assert answer == Answer(0, 1, None, None, "honest")
        assert (voter.num_asked, voter.num_unreadable, voter.example, answer.unreadable) == (
            2,
            2,
            "'Hard to say'",
            ("'Hard to say'",) * 2,
        )
    mended = JudgeVoter(Talker(lambda c, k: "A"), (HONEST,), store=JudgeCache(path, "j"))
    assert mended.answers([pair("a", "b")]) == [(Answer(0, 1, 1.0, 1.0, "honest"),)]
    assert (mended.num_asked, mended.num_unreadable) == (2, 0)
    assert JudgeCache(path, "j").answer(["k"], lambda places: [None])[0] == [None]


def test_a_null_of_an_older_file_is_no_answer(tmp_path):
    path = tmp_path / "answers.jsonl"
    path.write_text('{"key": "a", "value": null}\n{"key": "b", "value": 0.5}\n')
    assert JudgeCache(path, "j").answer(["a", "b"], lambda places: [0.25 for _ in places]) == ([0.25, 0.5], 1)
    assert JudgeCache(path, "j")["a"] == 0.25


def test_what_runs_beside_know_is_taken_over_and_their_files_are_left_alone(tmp_path):
    own, torn = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    torn.write_text('{"key": "a", "value": 0.5}\n[7]\n{"key": "b", "value": 0.25}\n{"key": "c", "val')
    before = torn.read_bytes()
    store = JudgeCache(own, "j", [torn, tmp_path / "none.jsonl"])
    assert store.answer(["b", "b", "c", "a"], lambda places: [0.75 for _ in places]) == ([0.25, 0.25, 0.75, 0.5], 1)
    assert torn.read_bytes() == before
    assert JudgeCache(own, "j").answer(["a", "b", "c"], lambda places: [0.0 for _ in places]) == ([0.5, 0.25, 0.75], 0)


def test_what_came_before_an_error_is_kept_and_only_the_rest_is_asked(tmp_path):
    path, keys = tmp_path / "answers.jsonl", [f"k{i}" for i in range(6)]

    def broken(places):
        yield 4, 0.4
        yield 0, None
        yield 2, 0.2
        raise RuntimeError("gone")

    with pytest.raises(RuntimeError, match=r"^gone\. 2 answers came and are kept"):
        JudgeCache(path, "j").answer_each(keys, broken)
    asked = []
    values, new = JudgeCache(path, "j").answer_each(
        keys, lambda places: asked.extend(places) or ((i, place / 10) for i, place in enumerate(places))
    )
    assert (asked, new) == ([0, 1, 3, 5], 4)
    assert values == [0.0, 0.1, 0.2, 0.3, 0.4, 0.5]


def test_a_kill_loses_one_batch_and_a_torn_line_is_asked_again(tmp_path):
    path, keys = tmp_path / "answers.jsonl", [f"k{i}" for i in range(2 * BATCH + 10)]

    class Killed(Exception):
        pass

    def until_killed(places):
        if places[0] >= BATCH:
            raise Killed
        return [float(place) for place in places]

    with pytest.raises(Killed):
        JudgeCache(path, "j").answer(keys, until_killed)
    assert len(JudgeCache(path, "j")) == BATCH
    path.write_bytes(path.read_bytes()[:-9])  # a kill in the middle of a line
    torn = JudgeCache(path, "j")
    assert len(torn) == BATCH - 1
    found, new = torn.answer(keys, lambda places: [float(place) for place in places])
    assert (found, new) == ([float(i) for i in range(len(keys))], BATCH + 11)
    assert len(JudgeCache(path, "j")) == len(keys)
    assert [json.loads(line)["key"] for line in path.read_text().splitlines()][: BATCH - 1] == keys[: BATCH - 1]


@pytest.mark.parametrize(
    "line",
    [
        '{"key": "a", "val',
        '{"key": "a"}',
        '["a", 1]',
        '{"key": "a", "value": "0.5"}',
        '{"key": "a", "value": true}',
        '{"key": "a", "value": NaN}',
    ],
)
def test_a_spoilt_line_in_the_middle_is_pointed_at(tmp_path, line):
    path = tmp_path / "answers.jsonl"
    path.write_text(f'{{"key": "b", "value": 0.5}}\n{line}\n{{"key": "c", "value": null}}\n')
    with pytest.raises(ValueError, match=r"answers\.jsonl:2: .*delete this line"):
        JudgeCache(path, "j")


def test_a_judge_without_a_name_is_refused(tmp_path):
    with pytest.raises(ValueError, match="fingerprint of its weights"):
        JudgeCache(tmp_path / "a.jsonl", "")


def test_contrast_keeps_each_replys_ratio_and_another_scale_or_reply_asks_for_no_more_than_is_new(tmp_path):
    """With a real model, in float32: what is stored, scored singly or among others, is the same."""
    policy = load(str(make_tiny(tmp_path / "tiny")))
    two, three = [free("one", "another")], [free("one", "another", "a third one")]
    path = tmp_path / "answers.jsonl"
    first = ContrastVoter(policy, (HONEST, KIND), store=JudgeCache(path, "w"))
    first.answers(two)
    assert (first.num_asked, first.num_reused) == (4, 0)
    more = ContrastVoter(policy, (HONEST, KIND), scale=2.0, store=JudgeCache(path, "w"))
    plain = ContrastVoter(policy, (HONEST, KIND), scale=2.0)
    ours, theirs = more.answers(three)[0], plain.answers(three)[0]
    assert (more.num_asked, more.num_reused) == (2, 4)
    assert [answer.p for answer in ours] == pytest.approx([answer.p for answer in theirs], abs=1e-5)
    assert [(answer.a, answer.b, answer.reason) for answer in ours] == [
        (answer.a, answer.b, answer.reason) for answer in theirs
    ]
    assert len({answer.p for answer in theirs}) == 6


def test_the_tiny_model_judges_the_same_from_store_and_anew(tmp_path):
    policy = load(str(make_tiny(tmp_path / "tiny")))
    for reasoning in (False, True):
        plain = JudgeVoter(policy, (HONEST,), reasoning=reasoning).answers(ASKED)
        path = tmp_path / f"{reasoning}.jsonl"
        assert JudgeVoter(policy, (HONEST,), reasoning=reasoning, store=JudgeCache(path, "w")).answers(ASKED) == plain
        assert JudgeVoter(policy, (HONEST,), reasoning=reasoning, store=JudgeCache(path, "w")).answers(ASKED) == plain
        assert all(answer.p is not None for said in plain for answer in said)


def test_a_number_that_no_float_holds_is_no_answer(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"key": "k", "value": 0.5}\n{"key": "l", "value": ' + "9" * 400 + "}\n")
    with pytest.raises(ValueError, match=r"a\.jsonl:2: no stored answer .*delete this line"):
        JudgeCache(path, "judge")
    assert len(JudgeCache(tmp_path / "b.jsonl", "judge", [path])._beside) == 1
