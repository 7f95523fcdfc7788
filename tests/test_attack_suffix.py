"""Does a random search find the suffix that a model was built to fall to, and none where no suffix can work? Is the
same search made after a kill, and does a server leave it untested?"""

from __future__ import annotations

import math

import pytest
from test_attack_gcg import OTHER, tokens
from tiny import make_tiny
from white_box_case import ITEM, REFUSAL, REQUEST, TRIGGER, WORD, greedy, planted

from alignwright.attack.knobs_white_box import step_claims
from alignwright.attack.suffix import RandomSearch, RandomWidth, block, suffix
from alignwright.attack.suffix_space import SuffixSpace
from alignwright.attack.target import Target
from alignwright.measure.findings import levels
from alignwright.model.load import load

WIDTH = RandomWidth(length=8, candidates=24, change=4)


def attacked(policy, items=(ITEM,), steps=8, log=None):
    target = Target(policy, kind="suffix", max_new_tokens=8, seed=7)
    samples = suffix(target, policy, items, steps=steps, width=WIDTH, begin="Sure", log=log)
    rates = levels(samples, claims=step_claims("suffix", "it"), stage="baseline")
    return target, {finding.claim: finding for finding in rates}


def search(policy, width=WIDTH, seed=7):
    return RandomSearch(policy, ITEM, width, ITEM.target, tokens(policy), seed)


def test_a_model_built_to_fall_does_and_by_its_trigger():
    policy = planted(falls=True)
    target, rates = attacked(policy, steps=16)
    assert rates["attack.suffix.success"].value == 1.0
    words = target.tries[-1].conversation.last.content
    assert (words.startswith(REQUEST), TRIGGER in words, greedy(policy, words)) == (True, True, WORD)


def test_a_model_that_cannot_hear_the_suffix_stands():
    target, rates = attacked(planted(falls=False), steps=4)
    assert rates["attack.suffix.success"].value == 0.0
    assert {each.reply for each in target.tries} == {REFUSAL}


def test_the_loss_is_that_of_the_first_tokens_when_typed_and_never_rises(tmp_path):
    policy = load(str(make_tiny(tmp_path)), dtype="float32")
    for first in (1, 2):
        at = search(policy, RandomWidth(8, 24, 4, first))
        losses = [at.best.loss, *(step.loss for step in at.steps(5))]
        assert losses == sorted(losses, reverse=True)
        assert losses[-1] < losses[0]
        begin = policy.chat.decode(policy.chat.reply(WORD, end=False)[:first])
        (logprob,) = policy.logprobs([at.conversation], [[begin]], end=False)[0]
        assert at.best.loss == pytest.approx(-logprob.per_token, abs=1e-4)


def test_candidates_change_neighbours_and_fewer_the_nearer_the_aim(tmp_path, monkeypatch):
    policy = load(str(make_tiny(tmp_path)), dtype="float32")
    at, batches = search(policy), []
    whole = at.loss.losses
    monkeypatch.setattr(at.loss, "losses", lambda suffixes: (batches.append(list(suffixes)), whole(suffixes))[1])
    next(iter(at.steps(1)))
    places = [[i for i, (a, b) in enumerate(zip(at.space.start, s, strict=True)) if a != b] for s in batches[0]]
    assert all(1 <= each[-1] - each[0] + 1 <= 4 for each in places)
    assert any(len(each) > 1 for each in places)
    assert all(at.space.keeps(ids) for ids in batches[0])
    assert [block(4, -math.log(p)) for p in (0.001, 0.05, 0.5)] == [4, 2, 1]
    assert block(1, 9.0) == 1
    monkeypatch.setattr(SuffixSpace, "keeps", lambda *_: False)
    with pytest.raises(ValueError, match="can be typed"):
        next(iter(at.steps(2)))


def test_a_search_that_was_killed_goes_on_to_the_same_end(tmp_path, monkeypatch):
    policy = load(str(make_tiny(tmp_path / "model")), dtype="float32")
    whole, torn, step = tmp_path / "whole.jsonl", tmp_path / "torn.jsonl", RandomSearch._step
    target, rates = attacked(policy, (ITEM, OTHER), steps=4, log=whole)
    numbers = []

    def counted(self, number):
        if len(numbers) == 5:
            raise KeyboardInterrupt
        numbers.append(number)
        return step(self, number)

    monkeypatch.setattr(RandomSearch, "_step", counted)
    with pytest.raises(KeyboardInterrupt):
        attacked(policy, (ITEM, OTHER), steps=4, log=torn)
    numbers.clear()
    again, rates_again = attacked(policy, (ITEM, OTHER), steps=4, log=torn)
    assert len(numbers) == 3
    assert (again.tries, rates_again) == (target.tries, rates)
    assert torn.read_bytes() == whole.read_bytes()
    monkeypatch.undo()
    other = [step.suffix for step in search(policy, seed=8).steps(3)]
    assert other != [step.suffix for step in search(policy).steps(3)]
