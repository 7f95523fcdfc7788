"""Are sequences that begin alike read as if each stood alone, and what they share only once?"""

from __future__ import annotations

import pytest
import torch
from tiny import make_tiny

from alignwright.core.records import Conversation
from alignwright.model import prefix_tree, shared_prompt_attention
from alignwright.model.load import load
from alignwright.model.local_model import LocalModel
from alignwright.model.prefix_tree import prefix_trees, reply_states
from alignwright.model.tokens import TokenRow

ROWS = [
    TokenRow((5, 6, 7, 8), ((9, 10, 11),)),
    TokenRow((5, 6, 7, 8), ((9, 10, 12, 13, 14),)),
    TokenRow((5, 6, 20), ((9,),)),
    TokenRow((5, 6, 20), ((9, 10),)),
    TokenRow((5, 6, 20), ((9,),)),  # one that is there already
    TokenRow((30, 31), ((32, 33),)),
    TokenRow((5,), ((6, 7, 8, 9),)),  # whose whole is another's beginning
]


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> LocalModel:
    return load(make_tiny(tmp_path_factory.mktemp("tiny")))


def states(policy: LocalModel) -> dict[int, torch.Tensor]:
    by_row: dict[int, torch.Tensor] = {}
    with torch.inference_mode():
        for batch, hidden_NH, *_ in reply_states(policy, ROWS):
            parts = hidden_NH.split([len(ROWS[i].replies[0]) for i in batch])
            by_row |= dict(zip(batch, parts, strict=True))
    return by_row


@pytest.mark.parametrize("budget", [4096, 9, 3])
@pytest.mark.parametrize("native", [True, False])
def test_every_state_is_that_of_a_row_alone(
    policy: LocalModel, monkeypatch: pytest.MonkeyPatch, budget: int, native: bool
) -> None:
    monkeypatch.setattr(policy, "token_budget", budget)
    with monkeypatch.context() as plain:
        plain.setattr(prefix_tree, "can_read", lambda *_: False)
        alone = states(policy)
    if not native:
        for module in (prefix_tree, shared_prompt_attention):
            monkeypatch.setattr(module, "attention_kernels", lambda *_: None)
    together = states(policy)
    assert sorted(together) == sorted(alone) == list(range(len(ROWS)))
    for i, hidden_NH in alone.items():
        torch.testing.assert_close(together[i], hidden_NH, rtol=1e-4, atol=1e-5)


def test_each_distinct_beginning_is_one_token_of_the_tree() -> None:
    sequences = [(*row.prompt, *row.replies[0]) for row in ROWS]
    distinct = {sequence[:length] for sequence in sequences for length in range(1, len(sequence) + 1)}
    (tree,) = prefix_trees(sequences, 4096)
    assert len(tree.ids) == len(distinct) == 17 < sum(map(len, sequences))
    for place, path in zip(tree.places, tree.paths, strict=True):
        assert tuple(tree.ids[i] for i in path) == sequences[place]
        assert [tree.positions[i] for i in path] == list(range(len(path)))


def test_no_tree_has_more_tokens_than_the_budget_and_none_is_lost() -> None:
    sequences = [(1, 2, 3, k, k + 1, k + 2) for k in range(10, 40)]
    trees = list(prefix_trees(sequences, 20))
    assert len(trees) > 1
    assert all(len(tree.ids) <= 20 for tree in trees)
    assert sorted(place for tree in trees for place in tree.places) == list(range(30))
    (alone,) = prefix_trees([tuple(range(50))], 20)
    assert len(alone.ids) == 50


def test_log_probabilities_of_given_texts_are_the_same_as_trees(policy: LocalModel) -> None:
    prompts = [Conversation.user(text) for text in ("Is it so?", "Is it not so?", "What is it?")]
    replies = [["yes", "no", "it is"], ["yes", "no"], ["yes, it is", "yes, it is not"]]
    texts = ["Once upon a time.", "Once upon a hill."]
    plain = policy.logprobs(prompts, replies), policy.text_logprobs(texts)
    with policy.beginnings_shared():
        trees = policy.logprobs(prompts, replies), policy.text_logprobs(texts)
        assert policy.as_trees
    assert not policy.as_trees
    for before, now in zip((*plain[0], plain[1]), (*trees[0], trees[1]), strict=True):
        assert [(each.tokens, each.bytes) for each in now] == [(each.tokens, each.bytes) for each in before]
        assert [each.total for each in now] == pytest.approx([each.total for each in before], rel=1e-5)
