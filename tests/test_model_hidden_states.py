"""Is a reply's state the mean over its own tokens, as a plain forward pass of one reply alone
has it?"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import make_tiny

from alignwright.core.records import Conversation, Prompt
from alignwright.model.hidden_states import reply_states
from alignwright.model.load import load


def test_states_are_those_of_each_reply_by_itself(tmp_path: Path) -> None:
    policy = load(make_tiny(tmp_path), dtype="float32")
    prompts = [Prompt(conversation=Conversation.user(text)) for text in ("say it", "what is this thing?", "nothing")]
    replies = [["it is", "that was what it was", ""], ["a"] * 3 + [f"the model {k}" for k in range(8)], []]
    found = reply_states(policy, prompts, replies)
    assert [len(rows) for rows in found] == [3, 11, 0]
    for prompt, said, rows in zip(prompts, replies, found, strict=True):
        for text, state_H in zip(said, rows, strict=True):
            row = policy.chat.row(prompt.conversation, [text])
            with torch.no_grad():
                hidden_TH = policy.model(
                    torch.tensor([[*row.prompt, *row.replies[0]]]), output_hidden_states=True
                ).hidden_states[-1][0]
            assert state_H == pytest.approx(hidden_TH[len(row.prompt) - 1 : -1].mean(0).numpy(), abs=1e-5)
    assert np.abs(found[1][0] - found[1][1]).max() < 1e-5  # the same words, the same state
    assert np.abs(found[1][0] - found[1][3]).max() > 1e-3  # the control: others have others
