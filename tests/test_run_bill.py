"""Does the bill charge a judge for what it reads, and does it say where it is only an upper bound?"""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console
from run_case import make_project

from alignwright.run.align import Request, estimate, prepare
from alignwright.run.bill import Bill, Line
from alignwright.run.costs import PROMPT, Cost, cost
from alignwright.run.progress import show_bill

RULE = "taste.py:kind"
HELD = ", prompts: [prompts.jsonl]"


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    made = make_project(tmp_path / "project")
    (made.parent / "taste.py").write_text("def kind(prompt, reply):\n    return float('kind' in reply)\n")
    return made


def costs(spec: Path, *overrides: str) -> dict[str, Cost]:
    experiment, jobs, _ = prepare(Request(spec, overrides))
    return {job.name: cost(job, experiment) for job in jobs}


def rloo(reward: str, more: str = "") -> str:
    knobs = "kl: 0, rank: 2, epochs: 1, prompts: 2, samples: 2, max_new_tokens: 10"
    return f"train=[{{by: reward, rank: 2}}, {{by: rloo, reward: '{reward}', {knobs}{more}}}]"


def measured(by: str, judges: str, more: str = "") -> str:
    return f"measure=[{{by: {by}, {judges}{HELD}, samples: 2, limit: 4, max_new_tokens: 10{more}}}]"


NO_PROMISES = "promises=[]"


def test_a_rule_reads_no_tokens_and_a_reward_model_reads_every_reply(spec: Path) -> None:
    """4 prompts, 2 replies of 10 tokens to each: 8 x 10 + 4 x 60 tokens, read once by a reward model and by no rule; the rest is equal."""
    by_rule, by_model = (costs(spec, rloo(name), NO_PROMISES, "measure=[]")["train.1.rloo"] for name in (RULE, "reward"))
    assert by_rule == Cost(read=0, write=80, train=80 + 4 * PROMPT)
    assert by_model == Cost(read=80 + 4 * PROMPT, write=80, train=80 + 4 * PROMPT)


def test_feedback_costs_what_its_voters_that_are_models_read(spec: Path) -> None:
    rules, asked = "{by: rules, file: rules.yaml}", "{by: judge, no_signal: skip, check_pairs: 8}"
    read = [
        costs(spec, rloo("feedback"), f"feedback=[{{by: written}}, {voters}]", NO_PROMISES, "measure=[]")["train.1.rloo"].read
        for voters in (rules, f"{rules}, {asked}", f"{asked}, {rules}, {asked}")
    ]
    assert read == [0, 80 + 4 * PROMPT, 2 * (80 + 4 * PROMPT)]


@pytest.mark.parametrize(
    ("by", "judges", "more", "readings"),
    [
        ("hacking", f"proxy: reward, gold: '{RULE}'", ", unit_tests: false", (1, 1)),
        ("hacking", f"proxy: rules.yaml, gold: '{RULE}'", ", unit_tests: false", (0, 0)),
        ("reward", f"reward: '{RULE}'", "", (0, 1)),  # the start model reads a trained one's replies
        ("reward", "reward: reward", "", (1, 2)),
        ("goodhart", f"proxy: rules.yaml, gold: '{RULE}'", ", best_of: [1, 2]", (1, 2)),  # states, and how far it has gone
        ("goodhart", f"proxy: reward, gold: '{RULE}'", ", best_of: [1, 2]", (2, 3)),
    ],
)
def test_measures_charge_for_each_model_that_reads(spec: Path, by: str, judges: str, more: str, readings: tuple[int, int]) -> None:
    found = costs(spec, rloo(RULE), measured(by, judges, more), NO_PROMISES)
    read = [found[f"measure.0.{by}@{model}"].read for model in ("baseline", "train.1.rloo")]
    assert read == [count * 8 * (PROMPT + 10) for count in readings]


def test_free_answers_marked_by_a_rule_are_read_by_nobody(spec: Path) -> None:
    def read(judge: str) -> int:
        asked = f"{{by: emergent, questions: [prompts.jsonl], judge: {judge}, abilities: false, samples: 2, max_new_tokens: 10}}"
        return costs(spec, f"measure=[{asked}]", NO_PROMISES)["measure.0.emergent@baseline"].read

    (spec.parent / "marks.py").write_text("def alignment(prompt, reply):\n    return 50\n\n\ndef coherence(prompt, reply):\n    return 50\n")
    assert read("marks.py") == 0
    assert read("self") == 8 * 4 * PROMPT


STOP = f", stop: {{by: goodhart, gold: rules.yaml{HELD}, every: 1, samples: 2, limit: 4, max_new_tokens: 10}}"


def test_a_watched_stage_is_charged_to_its_end_with_every_look(spec: Path) -> None:
    """4 prompts in rollouts of 2 are 2 steps: at most 3 looks of 4 x 2 replies, each read twice, and by no judge that is a rule."""
    plain, watched = (costs(spec, rloo(RULE, stop), NO_PROMISES, "measure=[]")["train.1.rloo"] for stop in ("", STOP))
    assert watched == Cost(plain.read + 3 * 8 * (PROMPT + 10) * 2, plain.write + 3 * 8 * 10, plain.train, at_most=True)
    assert not plain.at_most
    more = costs(spec, rloo(RULE, STOP + ", minibatches: 2"), NO_PROMISES, "measure=[]")["train.1.rloo"]
    assert more.write - plain.write == 5 * 8 * 10  # two steps in each rollout


def told(found: Bill) -> str:
    screen = io.StringIO()
    show_bill(found, Console(file=screen, width=200))
    return screen.getvalue()


def test_the_bill_says_at_most_of_a_stage_that_may_stop_early_and_of_the_sum(spec: Path) -> None:
    watched, plain = (told(estimate(Request(spec, (rloo(RULE, stop), NO_PROMISES, "measure=[]")))) for stop in (STOP, ""))
    (line,) = [line for line in watched.splitlines() if line.startswith("train rloo")]
    assert line.count("at most") == 2  # tokens and minutes
    assert "at most about" in watched
    assert "'stop' may end before its last step" in watched
    assert "at most" not in next(line for line in watched.splitlines() if line.startswith("train reward"))
    assert "at most" not in plain


def test_what_is_done_is_no_upper_bound_any_more() -> None:
    lines = (
        Line("train.0.rloo", "train rloo", True, 900, 9.0, at_most=True),
        Line("measure.0.tax@train.0.rloo", "measure tax, after rloo", False, 10, 0.1),
    )
    shown = told(Bill(Path("runs/x"), lines, 1.0, None))
    assert "at most" not in shown
    assert "about 0 minutes" in shown
