"""The chunked head is the plain log-softmax, gradients and all."""

from __future__ import annotations

import pytest
import torch

from alignwright.model.logprob import head_logprobs


@pytest.mark.parametrize("chunk", [1, 3, 7, 100])
@pytest.mark.parametrize("trained", [True, False])
@pytest.mark.parametrize("biased", [True, False])
def test_value_and_gradient_are_those_of_the_full_logits(chunk: int, trained: bool, biased: bool) -> None:
    torch.manual_seed(0)
    hidden = torch.randn(7, 5, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(11, 5, dtype=torch.float64, requires_grad=trained)
    bias = torch.randn(11, dtype=torch.float64, requires_grad=trained) if biased else None
    labels, upstream = torch.randint(11, (7,)), torch.randn(7)
    wanted = [t for t in (hidden, weight, bias) if t is not None and t.requires_grad]
    full = torch.nn.functional.linear(hidden, weight, bias).log_softmax(-1).gather(1, labels[:, None])[:, 0]
    ours = head_logprobs(hidden, weight, bias, labels, chunk=chunk)
    torch.testing.assert_close(ours, full.float(), atol=1e-5, rtol=1e-5)
    expected = torch.autograd.grad((full * upstream).sum(), wanted)
    for got, want in zip(torch.autograd.grad((ours * upstream).sum(), wanted), expected, strict=True):
        torch.testing.assert_close(got, want, atol=1e-5, rtol=1e-5)


def test_huge_logits_do_not_overflow() -> None:
    hidden, weight = torch.full((1, 1), 1e4), torch.tensor([[1.0], [-1.0]])
    assert head_logprobs(hidden, weight, None, torch.tensor([0])).item() == 0.0
    assert head_logprobs(hidden, weight, None, torch.tensor([1])).item() == pytest.approx(-2e4)


def test_nothing_to_score_is_nothing() -> None:
    assert head_logprobs(torch.zeros(0, 3), torch.zeros(4, 3), None, torch.zeros(0, dtype=torch.int64)).shape == (0,)
