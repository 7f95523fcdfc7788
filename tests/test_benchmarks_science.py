"""Do the experiments run, and do those with a known answer give it on a small budget?"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

import data_folder
from science import figure, log, planted, sentiment, tables, tabular


@pytest.fixture(scope="module")
def world() -> tabular.World:
    return tabular.World.drawn(0)


def gap(world: tabular.World, policy: torch.Tensor) -> float:
    return tabular.place(world, policy, "x").value


def test_tilts_are_the_frontier_and_nothing_lies_above_it(world: tabular.World) -> None:
    for beta in (0.3, 1.0, 3.0):
        kl, reward = world.point(world.tilt(beta))
        assert world.best(kl) == pytest.approx(reward, abs=1e-9)
    noise = torch.Generator().manual_seed(1)
    for _ in range(50):
        other = torch.randn(world.reward_PK.shape, generator=noise, dtype=torch.float64).mul(2).log_softmax(1)
        kl, reward = world.point(other)
        assert reward < world.best(kl)


@pytest.mark.parametrize("beta", tabular.BETAS)
def test_dpo_with_exact_preferences_lies_on_the_frontier(world: tabular.World, beta: float) -> None:
    policy = tabular.dpo(world, world.reward_PK, beta)
    assert abs(gap(world, policy)) < 1e-6
    assert torch.allclose(policy, world.tilt(beta), atol=1e-4)  # and at the place that beta names


def test_sft_and_best_of_n_lie_below_it(world: tabular.World) -> None:
    for _, policy in tabular.sft(world):
        assert gap(world, policy) > 0.01
    for n in tabular.BEST_OF:
        kl, reward = world.point(policy := tabular.best_of(world, n))
        assert gap(world, policy) > 0.01
        assert (world.best(kl) - reward) / world.spread < 0.25
        assert policy.exp().sum(1).numpy() == pytest.approx(1.0)


@pytest.mark.parametrize(("method", "steps"), [("ppo", 150), ("rloo", 400)])
def test_policy_gradients_reach_it_from_samples(world: tabular.World, method: tabular.Method, steps: int) -> None:
    line = tabular.place(world, tabular.descend(world, 0.5, method, steps, seed=0), "x", beta=0.5)
    assert line.value < 0.02
    assert line.facts["objective_gap"] == pytest.approx(0.0, abs=0.02)


def test_controls_of_the_frontier_fail_where_they_must(world: tabular.World) -> None:
    assert (
        gap(world, tabular.descend(world, 0.5, "rloo_k3_loss", 150, seed=0)) > 0.03
    )  # another divergence, another curve
    shuffled = world.reward_PK[:, torch.randperm(36, generator=torch.Generator().manual_seed(3))]
    assert world.point(tabular.dpo(world, shuffled, 1.0))[1] < world.point(world.logp_PK)[1] + 0.3
    still = tabular.World(world.first_PV, world.second_PVV, torch.zeros_like(world.reward_PK))
    line = tabular.moved(still, 150, seed=0)
    assert line.value < 0.05 < 0.2 < float(line.facts["began"] or 0)


def test_flips_shrink_dpo_as_theory_says_and_robust_dpo_sees_through_them() -> None:
    x_AD = torch.ones(2_000, 1, dtype=torch.float64)
    truth, flip = 1.5, planted.FLIP
    p = float(torch.sigmoid(torch.tensor(truth, dtype=torch.float64)))
    seen = p * (1 - flip) + (1 - p) * flip
    won_A = (torch.arange(2_000, dtype=torch.float64) < round(2_000 * seen)).double()
    found = {
        name: float(planted.fitted(planted.LOSSES[name], x_AD[None], won_A[None], 800)[0, 0])
        for name in ("dpo", "cdpo", "robust_dpo")
    }
    logit = torch.logit(torch.tensor([seen, seen * (1 - 2 * flip) + flip, p], dtype=torch.float64))
    assert [found["dpo"], found["cdpo"], found["robust_dpo"]] == pytest.approx(logit.tolist(), abs=2e-3)


def test_robust_dpo_wins_on_many_uneven_flipped_votes_and_loses_on_clean_ones() -> None:
    lines = {
        line.name.removeprefix("flips_planted.uneven.3000."): line
        for line in planted.compare("uneven", 3000, 3, 150, seed=0)
    }
    assert float(lines["flipped.robust_dpo"].facts["accuracy_less_dpo"] or 0) > 0.01
    assert float(lines["clean.robust_dpo"].facts["accuracy_less_dpo"] or 0) < -0.01  # told of flips that were not there
    assert abs(lines["noise.dpo"].value - 0.5) < 0.15


def test_sentiment_counts_words_and_knows_not() -> None:
    assert sentiment.sentiment("The soup was great.") == 0.5
    assert sentiment.sentiment("It wasn't good, it was awful and cold!") == -1.0
    assert sentiment.sentiment("Great great great great") == 1.0
    assert sentiment.sentiment("The soup was a soup.") == 0.0
    train, test = sentiment.prompts(sentiment.Size(48, 24, 1, 1, (1,)))
    assert len({p.topic for p in train} | {p.topic for p in test}) == 72


def test_a_job_is_logged_once_and_tables_and_figures_read_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = log.Log(tmp_path / "r.jsonl", quick=False)
    ran: list[int] = []

    def job(seed: int) -> list[log.Line]:
        ran.append(seed)
        facts: log.Facts = {"kl": 0.1 * seed + 0.1, "step": 8, "steps": 8, "different": 1.0}
        return [
            log.Line("sentiment_frontier.sft", 4, 0.5 + seed, facts=facts),
            log.Line("sentiment_frontier.start", 4, 0.2, facts={"kl": 0.0}),
        ]

    for seed in (0, 1, 0):
        out.job("sentiment_frontier.sft", seed, {}, lambda seed=seed: job(seed))
    lines = list(log.read(out.path))
    assert ran == [0, 1]
    assert {"name", "seed", "n", "value", "low", "high", "seconds", "versions", "settings"} <= lines[0].keys()
    assert "| sft | last step | 2 |" in tables.markdown(out.path)["sentiment_frontier"]
    page = tmp_path / "page.md"
    page.write_text(
        "".join(f"{name}:\n<!-- table: {name} -->\n<!-- end: {name} -->\n" for name in tables.markdown(out.path))
    )
    tables.fill(out.path, page)
    tables.fill(out.path, page)
    assert page.read_text().count("| sft | last step | 2 |") == 1
    figure.write(out.path, tmp_path)
    assert "<svg" in (tmp_path / "sentiment_frontier.svg").read_text()
    assert json.loads(capsys.readouterr().out.splitlines()[0])["job"] == "sentiment_frontier.sft"


def test_missing_data_is_said_and_not_invented(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ALIGNWRIGHT_DATA", str(tmp_path))
    with pytest.raises(data_folder.Missing, match="set ALIGNWRIGHT_DATA"):
        data_folder.data("hh_rlhf_harmless", "test.jsonl.gz")


@pytest.mark.data
def test_picking_the_longer_dialogue_scores_what_it_is_known_to() -> None:
    from science import hh

    try:
        found = [hh.length(name).value for name in ("helpful", "harmless")]
    except data_folder.Missing as reason:
        pytest.skip(str(reason))
    assert [round(100 * value, 1) for value in found] == [59.5, 44.3]
