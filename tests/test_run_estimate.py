"""Does the bill charge a judge for what it reads, and does it say where it is only an upper
bound?"""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import get_args

import pytest
from rich.console import Console
from run_case import make_project
from typer.testing import CliRunner

from alignwright.aggregate.knobs import AnyAggregate
from alignwright.cli import app
from alignwright.core.cost import PROMPT as TYPICAL
from alignwright.core.cost import Cost
from alignwright.core.stage import Stage
from alignwright.experiment.unions import AnyStage
from alignwright.feedback.knobs import Rules, Written
from alignwright.files.fingerprint import model_fingerprint
from alignwright.files.models import resolve
from alignwright.run.align import Request, align, estimate, prepare
from alignwright.run.estimate import JobEstimate, RunEstimate
from alignwright.run.progress import View, show_estimate
from alignwright.run.rates import Rates, Workload, machine, rates_of, store_rates
from alignwright.run.token_counts import TEMPLATE, Lengths, cost, lengths_of
from alignwright.train.knobs import Average

PROMPT = TEMPLATE + 2  # "say bread" and the like, at four bytes a token
RULE = "taste.py:kind"
HELD = ", prompts: [prompts.jsonl]"


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    made = make_project(tmp_path / "project")
    (made.parent / "taste.py").write_text("def kind(prompt, reply):\n    return float('kind' in reply)\n")
    return made


def costs(spec: Path, *overrides: str) -> dict[str, Cost]:
    experiment, jobs, _ = prepare(Request(spec, overrides))
    return {job.name: cost(job, Lengths(experiment)) for job in jobs}


def rloo(reward: str, more: str = "") -> str:
    knobs = "kl_coef: 0, rank: 2, epochs: 1, prompts: 2, samples: 2, max_new_tokens: 10"
    return f"train=[{{by: reward, rank: 2}}, {{by: rloo, reward: '{reward}', {knobs}{more}}}]"


def measured(by: str, judges: str, more: str = "") -> str:
    return f"measure=[{{by: {by}, {judges}{HELD}, samples: 2, limit: 4, max_new_tokens: 10{more}}}]"


NO_PROMISES = "promises=[]"


def test_a_rule_reads_no_tokens_and_a_reward_model_reads_every_reply(spec: Path) -> None:
    """4 prompts, 2 replies of 10 tokens to each: 8 x 10 + 4 x 60 tokens, read once by a reward
    model and by no rule; the rest is equal."""
    by_rule, by_model = (
        costs(spec, rloo(name), NO_PROMISES, "measure=[]")["train.1.rloo"] for name in (RULE, "reward")
    )
    assert by_rule == Cost(read=0, write=80, train=80 + 4 * PROMPT)
    assert by_model == Cost(read=80 + 4 * PROMPT, write=80, train=80 + 4 * PROMPT)


def test_feedback_costs_what_its_voters_that_are_models_read(spec: Path) -> None:
    rules, asked = "{by: rules, file: rules.yaml}", "{by: judge, no_signal: skip, check_pairs: 8}"
    read = [
        costs(spec, rloo("feedback"), f"feedback=[{{by: written}}, {voters}]", NO_PROMISES, "measure=[]")[
            "train.1.rloo"
        ].read
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
        (
            "goodhart",
            f"proxy: rules.yaml, gold: '{RULE}'",
            ", best_of: [1, 2]",
            (1, 2),
        ),  # states, and how far it has gone
        ("goodhart", f"proxy: reward, gold: '{RULE}'", ", best_of: [1, 2]", (2, 3)),
    ],
)
def test_measures_charge_for_each_model_that_reads(
    spec: Path, by: str, judges: str, more: str, readings: tuple[int, int]
) -> None:
    found = costs(spec, rloo(RULE), measured(by, judges, more), NO_PROMISES)
    read = [found[f"measure.0.{by}@{model}"].read for model in ("baseline", "train.1.rloo")]
    assert read == [count * 8 * (PROMPT + 10) for count in readings]


def test_free_answers_marked_by_a_rule_are_read_by_nobody(spec: Path) -> None:
    def read(judge: str) -> int:
        asked = (
            f"{{by: emergent, questions: [prompts.jsonl], judge: {judge}, abilities: false, samples: 2, max_new_tokens:"
            " 10}"
        )
        return costs(spec, f"measure=[{asked}]", NO_PROMISES)["measure.0.emergent@baseline"].read

    (spec.parent / "marks.py").write_text(
        "def alignment(prompt, reply):\n    return 50\n\n\ndef coherence(prompt, reply):\n    return 50\n"
    )
    assert read("marks.py") == 4 * PROMPT  # the questions themselves
    assert read("self") == 4 * PROMPT + 8 * 4 * TYPICAL


STOP = f", stop: {{by: goodhart, gold: rules.yaml{HELD}, every: 1, samples: 2, limit: 4, max_new_tokens: 10}}"


def test_a_watched_stage_is_charged_to_its_end_with_every_look(spec: Path) -> None:
    """4 prompts in rollouts of 2 are 2 steps: at most 3 looks of 4 x 2 replies, each read twice,
    and by no judge that is a rule."""
    plain, watched = (costs(spec, rloo(RULE, stop), NO_PROMISES, "measure=[]")["train.1.rloo"] for stop in ("", STOP))
    assert watched == Cost(plain.read + 3 * 8 * (PROMPT + 10) * 2, plain.write + 3 * 8 * 10, plain.train, at_most=True)
    assert not plain.at_most
    more = costs(spec, rloo(RULE, STOP + ", num_mini_batches: 2"), NO_PROMISES, "measure=[]")["train.1.rloo"]
    assert more.write - plain.write == 5 * 8 * 10  # two steps in each rollout


def told(found: RunEstimate) -> str:
    screen = io.StringIO()
    show_estimate(found, Console(file=screen, width=1000))  # no path is folded
    return screen.getvalue()


def test_the_bill_says_at_most_of_a_stage_that_may_stop_early_and_of_the_sum(spec: Path) -> None:
    watched, plain = (
        told(estimate(Request(spec, (rloo(RULE, stop), NO_PROMISES, "measure=[]")))) for stop in (STOP, "")
    )
    (line,) = [line for line in watched.splitlines() if line.startswith("train rloo")]
    assert line.count("at most") == 2  # tokens and minutes
    assert "'stop' may end before its last step" in watched
    assert "at most" not in next(line for line in watched.splitlines() if line.startswith("train reward"))
    assert "at most" not in plain


def test_what_is_done_is_no_upper_bound_any_more() -> None:
    lines = (
        JobEstimate("train.0.rloo", "train rloo", True, 900, 9.0, at_most=True),
        JobEstimate("measure.0.tax@train.0.rloo", "measure tax, after rloo", False, 10, 0.1),
    )
    shown = told(RunEstimate(Path("runs/x"), lines, 1.0, None))
    assert "at most" not in shown
    assert "less than a minute" in shown


def test_rows_that_are_all_too_long_are_told_and_small_numbers_are_not_nothing(spec: Path) -> None:
    def line(*long: bool) -> str:
        rows = [
            {"prompt": f"tell {i}?", "chosen": "kind words " * (400 if is_long else 1), "rejected": "rude words"}
            for i, is_long in enumerate(long)
        ]
        (spec.parent / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        lone = (
            "measure=[]",
            "attack=[]",
            "feedback=[{by: written}]",
            "collect=null",
            "intent={pairs: [pairs.jsonl], bad_rows: 1.0}",
        )
        shown = told(estimate(Request(spec, (*lone, "train=[{by: dpo}]", NO_PROMISES))))
        assert "less than a minute" in shown
        assert "about 0 minutes" not in shown
        return " ".join(next(text for text in shown.splitlines() if text.startswith("train dpo")).split())

    assert line(True, True, True) == "train dpo 0 0.0 all 3 rows are too long: nothing is left to learn from; never run"
    assert line(False, False, True).endswith("<0.1 without 1 of 3 rows, which are too long; never run")
    assert line(False, False).endswith("<0.1 never run")


def test_minutes_are_said_as_people_say_them() -> None:
    def minutes(count: float, *, at_most: bool = False) -> str:
        lines = (JobEstimate("train.0.sft", "train sft", False, 9, count, at_most=at_most, voting=count),)
        return told(RunEstimate(Path("runs/x"), lines, 1.0, None))

    assert "runs/x, less than a minute on" in minutes(0.9, at_most=True)
    assert "runs/x, about 1 minute on" in minutes(1.2)
    assert "runs/x, at most about 12 minutes on" in minutes(12.3, at_most=True)
    assert "and about 3 minutes more if every judge" in minutes(3.0)
    assert "and less than a minute more if every judge" in minutes(0.01)


def test_rows_are_counted_by_the_tokenizer_and_long_ones_that_are_left_out_are_not(spec: Path) -> None:
    """Training sees 12 pairs; two that the stage must leave out as too long add nothing to its
    bill, and a longer prompt costs more."""

    def trained(*more: dict[str, str]) -> int:
        rows = [{"prompt": f"tell {i}?", "chosen": "kind words", "rejected": "rude words"} for i in range(12)]
        (spec.parent / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in [*rows, *more]))
        experiment, jobs, _ = prepare(
            Request(spec, ("measure=[]", "attack=[]", "feedback=[{by: written}]", NO_PROMISES, "intent.bad_rows=0.5"))
        )
        found = lengths_of(experiment)
        assert found.chat is not None, "the tiny model's tokenizer is at hand"
        return next(cost(job, found).train for job in jobs if job.name == "train.1.dpo")

    plain = trained()
    assert (
        trained(*({"prompt": f"long {i} " + "word " * 600, "chosen": "a", "rejected": "b"} for i in range(2))) == plain
    )
    assert trained({"prompt": "one more that fits", "chosen": "a", "rejected": "b"}) > plain


def test_a_limit_and_long_texts_are_counted_as_they_are(spec: Path) -> None:
    def read(text: str, limit: str = "") -> int:
        (spec.parent / "text.jsonl").write_text("".join(json.dumps({"text": f"{i} {text}"}) + "\n" for i in range(8)))
        return costs(spec, f"measure=[{{by: tax, text: [text.jsonl]{limit}}}]", NO_PROMISES)[
            "measure.0.tax@baseline"
        ].read

    assert read("word " * 4000) > 100 * read("word " * 20)
    assert read("word " * 20, ", limit: 2") * 4 == read("word " * 20)


KIND, NOMINAL = "Sft", Workload(train=10.0)


def test_a_kind_that_has_run_here_speaks_for_itself_then_the_probe_then_all_runs_then_nobody(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ALIGNWRIGHT_CACHE", str(tmp_path / "cache"))
    nobody = rates_of("m")
    assert (nobody.measured, nobody.seconds(KIND, NOMINAL)) == (False, 10.0)
    store_rates("m", nobody.after("Dpo", Workload(train=2.0), 8.0))
    assert (rates_of("m").measured, rates_of("m").seconds(KIND, NOMINAL)) == (True, 40.0)
    store_rates("m", Rates(Workload(1.0, 2.0, 3.0), 5.0, rates_of("m").runs))
    assert rates_of("m").seconds(KIND, NOMINAL) == 35.0
    assert rates_of("m").seconds(KIND, Workload(read=1.0, write=1.0)) == 8.0
    store_rates("m", rates_of("m").after(KIND, NOMINAL, 22.0))
    assert rates_of("m").seconds(KIND, NOMINAL) == 22.0
    assert rates_of("m").seconds("Dpo", Workload(train=1.0)) == 4.0
    assert rates_of("another") == Rates()
    assert rates_of("m").seconds(KIND, Workload()) == 0.0


LARGE = "9" * 400  # which no float holds
FOREIGN = [
    *("", "[]", "{", "[" * 9000, '{"x": 3}', '{"K": {"probe": 3, "runs": {}, "load": 0}}'),
    '{"K": {"runs": {"Sft": [[0, 1]]}, "probe": null, "load": 0}}',
    f'{{"K": {{"runs": {{}}, "probe": {{"read": {LARGE}, "write": 1, "train": 1}}, "load": 0}}}}',
]


@pytest.mark.parametrize("text", FOREIGN)
def test_a_cache_that_is_none_of_ours_is_no_rate_and_no_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str
) -> None:
    monkeypatch.setenv("ALIGNWRIGHT_CACHE", str(tmp_path))
    (tmp_path / "rates.json").write_text(text.replace("K", f"{machine()} | m"))
    assert not rates_of("m").measured
    store_rates("m", Rates(Workload(1.0, 1.0, 1.0)))
    assert rates_of("m").measured


def test_a_run_and_a_probe_are_remembered_and_the_bill_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, spec: Path
) -> None:
    monkeypatch.setenv("ALIGNWRIGHT_CACHE", str(tmp_path / "cache"))
    train = "train=[{by: sft, rank: 2, epochs: 1, batch_tokens: 100}]"
    short = (
        "measure=[]",
        "attack=[]",
        "feedback=[{by: written}]",
        "collect=null",
        "intent.prompts=[]",
        NO_PROMISES,
        train,
    )
    assert "not measured here: --dry-run --probe does" in told(estimate(Request(spec, short, runs=tmp_path / "one")))
    assert "here, as measured" in told(estimate(Request(spec, short, runs=tmp_path / "one"), probed=True))
    found = rates_of(model_fingerprint(resolve("./model", spec.parent)))
    assert found.probe is not None
    assert min(found.probe.read, found.probe.write, found.probe.train) > 0
    align(Request(spec, short, runs=tmp_path / "one"), View(Console(file=io.StringIO(), width=200)))
    again = rates_of(model_fingerprint(resolve("./model", spec.parent)))
    assert set(again.runs) == {"Sft"}
    assert again.probe == found.probe


def test_a_probe_without_a_dry_run_is_an_option_without_effect(spec: Path) -> None:
    done = CliRunner().invoke(app, ["align", str(spec), "--probe"])
    assert isinstance(done.exception, ValueError)
    assert "no effect without --dry-run" in str(done.exception)


def test_a_judge_is_charged_for_its_check_and_its_votes_are_said_apart(spec: Path) -> None:
    """12 written pairs, 8 of them for the check; 4 prompts with 3 replies each are 3 pairs under
    one principle, all asked in both orders."""
    judge = costs(spec, "feedback=[{by: written}, {by: judge, no_signal: skip, check_pairs: 8}]", NO_PROMISES)[
        "feedback.1.judge"
    ]
    assert 0 < judge.read < judge.voting
    none = costs(
        spec,
        "feedback=[{by: written}, {by: judge, no_signal: skip, check_pairs: 8}]",
        "collect=null",
        "intent.prompts=[]",
        NO_PROMISES,
    )
    assert none["feedback.1.judge"].read == judge.read
    assert judge.voting - none["feedback.1.judge"].voting == 4 * 3 * 1 * 2 * (PROMPT + 2 * 6 + 2 * TYPICAL)
    shown = told(estimate(Request(spec, ("feedback=[{by: written}, {by: judge, no_signal: skip, check_pairs: 8}]",))))
    assert "if it passes its check" in next(line for line in shown.splitlines() if line.startswith("feedback judge"))
    assert "if every judge passes its check and votes" in shown


def test_every_kind_of_stage_counts_its_tokens_or_needs_no_model() -> None:
    """A kind that forgot to count would be shown as one that costs nothing."""
    silent = {kind for kind in get_args(AnyStage) if kind.estimate is Stage.estimate}
    assert silent == {Average, Rules, Written, *get_args(AnyAggregate)}
