"""Is the judge's score the judge's, and the distance moved the divergence that it says it is?"""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from tiny import make_tiny

from alignwright.core.records import Conversation, Prompt, Reply, Score
from alignwright.measure.findings import level
from alignwright.measure.judge_score import divergence, sample_replies, scores
from alignwright.model.load import load
from alignwright.model.local_model import LocalModel

PROMPTS = [Prompt(conversation=Conversation.user(f"question {i}"), topic=f"t{i % 3}") for i in range(6)]


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> LocalModel:
    return load(make_tiny(tmp_path_factory.mktemp("start")))


@pytest.fixture(scope="module")
def moved(tmp_path_factory: pytest.TempPathFactory) -> LocalModel:
    return load(make_tiny(tmp_path_factory.mktemp("moved"), seed=1))


class Vowels:
    """Counts vowels; says nothing of a reply without a letter."""

    name = "vowels"

    def __call__(self, prompts: Sequence[Prompt], replies: Sequence[Sequence[str]]) -> list[list[Score | None]]:
        return [
            [Score(value=sum(c in "aeiou" for c in text)) if any(c.isalpha() for c in text) else None for text in said]
            for said in replies
        ]


def replies(*texts: str) -> list[Reply]:
    return [Reply(text=text, parent="p", logprob=-1.0, tokens=len(text)) for text in texts]


def test_a_prompts_score_is_the_mean_of_what_the_judge_said_of_its_replies() -> None:
    found = scores(Vowels(), PROMPTS[:3], [replies("aaa", "b"), replies("12", "ae"), replies("3", "4")], {})
    assert [o.value for o in found] == [1.5, 2.0, None]
    assert [o.status for o in found] == ["pass", "pass", "unscored"]
    finding = level(found, stage="baseline", axis="reward", unit="score")
    assert (finding.value, finding.n, finding.unscored) == (1.75, 2, 1)


def test_a_model_has_not_moved_from_itself(start: LocalModel) -> None:
    said = sample_replies(start, PROMPTS, samples=3, max_new_tokens=5, seed=0)
    found = [o for o in divergence(start, PROMPTS, said) if o.value is not None]
    assert found
    assert all(abs(o.value or 0.0) < 1e-3 for o in found)


def test_the_distance_is_the_divergence_of_the_two_models(start: LocalModel, moved: LocalModel) -> None:
    """Of one token the divergence can be enumerated: the mean of many samples comes to it, and
    not to the divergence the other way round."""
    logp = []
    for policy in (moved, start):
        ids = torch.tensor([policy.chat.prompt(PROMPTS[0].conversation)])
        with torch.inference_mode():
            logp.append(policy.model(input_ids=ids).logits[0, -1].double().log_softmax(-1))
    # replies that do not read back as the one token that was drawn are left out, on both sides
    back = torch.tensor([len(moved.chat.reply(moved.chat.decode([i]), end=False)) == 1 for i in range(len(logp[0]))])
    back[moved.chat.end_ids[-1]] = True
    p, q = (x[back] for x in logp)
    weight = p.exp() / p.exp().sum()
    exact, reverse = float((weight * (p - q)).sum()), float(((q.exp() / q.exp().sum()) * (q - p)).sum())
    said = sample_replies(moved, PROMPTS[:1], samples=4000, max_new_tokens=1, seed=0)
    (found,) = divergence(start, PROMPTS[:1], said)
    error = 4 * float((weight * (p - q - exact).square()).sum().sqrt()) / 4000**0.5
    assert found.value == pytest.approx(exact, abs=error)
    assert abs(exact - reverse) > 2 * error  # the check can tell the two apart


def test_a_reply_that_does_not_read_as_it_was_drawn_is_left_out(start: LocalModel) -> None:
    said = [[Reply(text="the", parent="p", logprob=-3.0, tokens=9)] for _ in PROMPTS]
    found = divergence(start, PROMPTS, said)
    assert {o.status for o in found} == {"unscored"}
    told = "0 of 1 replies read by the start model; 1 read back as other tokens than those that were sampled"
    assert all(o.reason.startswith(told) for o in found)
    silent = divergence(start, PROMPTS[:1], [[Reply(text="the", parent="p", logprob=None, tokens=1)]])
    assert silent[0].reason == "0 of 1 replies read by the start model; the speaker gave no log-probability of 1"
    finding = level(found, stage="train.0.sft", axis="reward", unit="nats", better=None)
    assert (finding.value, finding.n, finding.unscored) == (None, 0, 6)
    assert finding.note.startswith(f"6 of 6 not scored: {told}")
