"""Every family of docs/models.md gives transformers' own log-probabilities, gradients and logits, by
the rows that the table says."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
import models
from model_families import TINY, make

from alignwright.model import model_rows
from alignwright.model.load import load
from alignwright.model.logprob import token_logprobs, trunk
from alignwright.model.packing import pack

LINES = models.DOCS.read_text(encoding="utf-8").partition(models.MARKS[0])[2].partition(models.MARKS[1])[0].splitlines()


@pytest.mark.parametrize("family", TINY)
def test_a_family_is_exact_and_its_line_in_the_docs_is_true(family: str, tmp_path: Path) -> None:
    measured = models.measure(family, tmp_path / "model")
    assert measured.exact, measured
    assert measured.line in LINES, "python benchmarks/models.py --write docs/models.md"


def test_the_table_has_the_families_that_are_tested() -> None:
    assert [line.split(" | ")[0].removeprefix("| ") for line in LINES[2:]] == list(TINY)


@pytest.mark.parametrize("family", ["mistral", "gemma3_text"])
def test_the_comparison_can_fail_without_the_window(
    family: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = load(make(family, tmp_path / "model"))
    monkeypatch.setattr(model_rows, "window", lambda config: None)
    ours_N = token_logprobs(policy.model, pack(models.ROWS, 2, dtype=torch.float32)).detach()
    own_N = torch.cat([part for row in models.ROWS for part in models.alone(policy.model, row)]).detach()
    assert float((ours_N - own_N).abs().max()) > 100 * models.WITHIN


@pytest.mark.parametrize("family", ["mamba", "gpt_oss", "recurrent_gemma"])
def test_in_bfloat16_a_model_reads_the_same_rows(family: str, tmp_path: Path) -> None:
    """Rounding that sends a token to other experts is no other number, a trunk may end in float32,
    and a cache that gives other numbers is not taken for rounding."""
    folder = make(family, tmp_path / "model")
    policy, exact = load(folder, dtype="bfloat16"), load(folder)
    assert model_rows.plain_rows(trunk(policy.model)) == model_rows.plain_rows(trunk(exact.model))
    logp_N = token_logprobs(policy.model, pack(models.ROWS, 2, dtype=policy.dtype))
    logp_N.sum().backward()
    own_N = token_logprobs(exact.model, pack(models.ROWS, 2, dtype=torch.float32))
    assert float((logp_N - own_N).abs().median()) < 0.1
    assert all(p.grad is None or bool(p.grad.isfinite().all()) for p in policy.model.parameters())
