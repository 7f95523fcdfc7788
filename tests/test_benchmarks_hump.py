"""Does gold rise and fall along best-of-n by a learnt reward model, by the known law, and do
ensembles put it off, as at full size?"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

from goodharting import hump

from alignwright.measure.goodhart.overoptimisation import fit, forecast


@pytest.fixture(scope="module")
def clean() -> hump.Cell:
    return hump.cell(0.0, hump.QUICK)


@pytest.fixture(scope="module")
def noisy() -> hump.Cell:
    return hump.cell(0.25, hump.QUICK)


def test_gold_rises_and_falls_while_the_proxy_rises(clean: hump.Cell) -> None:
    gold, proxy = clean.gold["single"].mean(0), clean.proxy.mean(0)
    top = int(gold.argmax())
    assert 2 < top < len(gold) - 2
    assert gold[-1] < gold[top] - 0.08
    assert (np.diff(proxy) > 0).all()
    itself = clean.gold["gold"].mean(0)
    assert (np.diff(itself) > 0).all()  # the control: by gold itself there is no hump
    assert itself[-1] > gold[top] + 0.3


def test_the_best_of_n_form_fits_foretells_and_beats_the_other(clean: hump.Cell) -> None:
    gold = clean.gold["single"].mean(0)
    found = fit(clean.d, gold, "best_of_n")
    assert (found.r2 or 0.0) > 0.97
    assert abs(forecast(clean.d, gold, "best_of_n").bias) < 0.15
    assert found.peak == pytest.approx(float(clean.d[int(gold.argmax())]), abs=0.5)
    far = clean.d >= 0.5
    for row in clean.gold["single"]:
        ours, other = (fit(clean.d[far], row[far], law).r2 or 0.0 for law in ("best_of_n", "reinforcement"))
        assert ours > other
    itself = fit(clean.d, clean.gold["gold"].mean(0), "best_of_n")
    assert itself.b < 0.9 * found.b  # the control: gold itself is bent by nothing but its own upper bound


def test_wrong_votes_cost_gold_and_ensembles_win_some_of_it_back(clean: hump.Cell, noisy: hump.Cell) -> None:
    """With a quarter of the votes wrong an ensemble does better than its members do one by one,
    however they are combined."""
    end = {name: float(rows.mean(0)[-1]) for name, rows in noisy.gold.items()}
    assert end["single"] < float(clean.gold["single"].mean(0).max()) - 0.15
    assert min(end[name] for name in hump.ENSEMBLES) > end["member"] + 0.08
    gain = (
        end["uncertainty"] - end["member"],
        float(clean.gold["uncertainty"].mean(0)[-1] - clean.gold["member"].mean(0)[-1]),
    )
    assert gain[0] > gain[1]  # and more so than where the votes are right


def test_an_ensemble_of_one_voice_is_that_voice() -> None:
    """The control: members that do not differ have nothing to correct, whichever way they are
    combined."""
    score_MN = torch.randn(1, 500, generator=torch.Generator().manual_seed(0)).repeat(4, 1)
    for name in hump.ENSEMBLES:
        assert hump.combined(name, score_MN) == pytest.approx(score_MN[0].double().numpy(), abs=1e-5)


def test_votes_without_meaning_raise_nothing() -> None:
    """Where half of the votes are wrong there is nothing to learn, and choosing by it brings as
    good as nothing."""
    found = hump.cell(0.5, hump.Size(samples=3000, golds=3, singles=1, members=1))
    assert abs(float(found.gold["single"].mean(0)[-1])) < 0.5
