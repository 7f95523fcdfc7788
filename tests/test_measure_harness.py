"""Do lm-eval's tasks come out on the live model as on lm-eval's own `hf` model, item by item? And is nothing
downloaded, guessed or run that the spec does not name?"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from chat_server import server
from tiny import make_base, make_tiny

import alignwright as aw
from alignwright.core.records import SampleResult
from alignwright.experiment.cache_key import job_keys
from alignwright.experiment.load import load as load_spec
from alignwright.experiment.plan import plan
from alignwright.files.errors import SpecError
from alignwright.files.task_file import task_dependencies
from alignwright.measure.harness import adapter
from alignwright.measure.harness.knobs import LmEvalMeasure
from alignwright.measure.harness.outcomes import aggregates, outcomes
from alignwright.measure.harness.tasks import TaskSamples, run_tasks
from alignwright.model.load import load
from alignwright.model.local_model import LocalModel

pytest.importorskip("lm_eval", reason="lm-eval is not installed: pip install 'alignwright[evals]'")
WORDS = ["sun", "rain", "bread", "stone", "river", "cloud", "paper", "grass", "wheel", "candle", "window", "garden"]
TASKS: dict[str, dict[str, Any]] = {
    "mc": {
        "output_type": "multiple_choice", "doc_to_text": "Question: {{q}}\nAnswer:", "doc_to_choice": "{{choices}}",
        "doc_to_target": "{{answer}}", "fewshot_split": "test",
        "metric_list": [{"metric": "acc", "aggregation": "mean", "higher_is_better": True},
                        {"metric": "acc_norm", "aggregation": "mean", "higher_is_better": True}, {"metric": "mcc"}],
    },
    "gen": {
        "output_type": "generate_until", "doc_to_text": "Question: {{q}}\nAnswer:", "doc_to_target": "{{choices[0]}}",
        "generation_kwargs": {"until": ["e"], "max_gen_toks": 12, "do_sample": False},
        "metric_list": [{"metric": "exact_match", "aggregation": "mean", "higher_is_better": True}],
    },
    "ll": {
        "output_type": "loglikelihood", "doc_to_text": "Question: {{q}} ", "doc_to_target": "{{choices[0]}}",
        "metric_list": [{"metric": "perplexity", "aggregation": "perplexity", "higher_is_better": False},
                        {"metric": "acc", "aggregation": "mean", "higher_is_better": True}],
    },
    "roll": {
        "output_type": "loglikelihood_rolling", "doc_to_text": "", "doc_to_target": "{{q}} {{choices}}",
        "metric_list": [{"metric": name} for name in ("word_perplexity", "byte_perplexity", "bits_per_byte")],
    },
}  # fmt: skip


@pytest.fixture(autouse=True)
def _datasets_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets.config

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    logging.getLogger("lm_eval").setLevel(logging.ERROR)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rows = [
        {"q": f"What is {word}? {i}", "choices": [word, f"the {word} of it", WORDS[i - 1]], "answer": i % 3,
         "topic": f"t{i % 4}"}
        for i, word in enumerate(WORDS)
    ]  # fmt: skip
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for name, task in TASKS.items():
        write_task(tmp_path / f"{name}.yaml", name, task)
    return tmp_path


def write_task(path: Path, name: str, task: dict[str, Any]) -> Path:
    data = {"dataset_path": "json", "dataset_kwargs": {"data_files": {"test": str(path.parent / "rows.jsonl")}}}
    path.write_text(yaml.safe_dump({"task": f"tiny_{name}", **data, "test_split": "test", **task}))
    return path


@pytest.fixture(params=["chat", "base"])
def model(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """One that begins no text with a token of its own, and one that does."""
    place = tmp_path / request.param
    return make_tiny(place) if request.param == "chat" else make_base(place, seed=3)


def own_results(model: Path, folder: Path, **options: Any) -> dict[str, Any]:
    """What lm-eval makes of the same tasks with its own model."""
    from lm_eval.evaluator import simple_evaluate
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    lm = HFLM(pretrained=str(model), device="cpu", dtype="float32", batch_size=4)
    files = [str(folder / f"{name}.yaml") for name in TASKS]
    manager = TaskManager(include_defaults=False)
    results = simple_evaluate(model=lm, tasks=files, task_manager=manager, bootstrap_iters=0, **options)
    assert results is not None
    return dict(results)


@pytest.fixture
def policy(model: Path) -> LocalModel:
    return opened(model)


def opened(model: Path) -> LocalModel:
    loaded = load(str(model))
    assert isinstance(loaded, LocalModel)
    return loaded


@pytest.mark.parametrize("num_fewshot", [None, 2])
@pytest.mark.filterwarnings("ignore")  # of transformers, as lm-eval calls it
def test_each_item_is_scored_as_by_lm_evals_own_model(
    model: Path, policy: LocalModel, folder: Path, num_fewshot: int | None
) -> None:
    own = own_results(model, folder, num_fewshot=num_fewshot)
    ours = {task.name: task for task in run_tasks(
        policy, (), [folder / f"{name}.yaml" for name in TASKS], num_fewshot=num_fewshot, limit=None, seed=0
    )}  # fmt: skip
    assert set(ours) == set(own["samples"]) == {f"tiny_{name}" for name in TASKS}
    compared = 0
    for name, task in ours.items():
        pairs = list(zip(task.samples, own["samples"][name], strict=True))
        assert len(pairs) == len(WORDS)
        for one, other in pairs:
            assert [one[key] for key in ("doc_id", "doc_hash", "prompt_hash", "filter", "metrics")] == [
                other[key] for key in ("doc_id", "doc_hash", "prompt_hash", "filter", "metrics")
            ]
            numbers, theirs = list(numbers_of(one["resps"])), list(numbers_of(other["resps"]))
            assert numbers == pytest.approx(theirs, abs=1e-4)
            compared += len(numbers)
            if name == "tiny_gen":
                assert one["resps"] == other["resps"]
    assert compared == len(WORDS) * (3 * 2 + 2 + 1)
    for name, numbers in own["results"].items():
        for (metric, filter_name), value in ours[name].aggregates.items():
            assert value == pytest.approx(numbers[f"{metric},{filter_name}"], abs=1e-4, rel=1e-5)
    assert any(sample["resps"][0][0] for sample in ours["tiny_gen"].samples)
    assert len({tuple(numbers_of(sample["resps"])) for sample in ours["tiny_mc"].samples}) == len(WORDS)


def numbers_of(value: Any) -> Iterator[float]:
    if isinstance(value, list | tuple):
        for inner in value:
            yield from numbers_of(inner)
    elif isinstance(value, int | float):  # of a pair, whether it is greedy too
        yield float(value)


@pytest.mark.parametrize("model", ["chat"], indirect=True)
def test_what_greedy_decoding_writes_is_said_to_be_so_and_another_text_not(policy: LocalModel) -> None:
    context = "Question: what"
    text = adapter.texts_until(policy, [(context, {"max_gen_toks": 5})], seed=0)[0]
    ids = policy.tokenizer.encode(context + text, add_special_tokens=False)
    (right, is_greedy), (wrong, not_greedy) = adapter.continuation_scores(policy, [(context, text), (context, "zzzzz")])
    assert policy.tokenizer.decode(ids) == context + text
    assert is_greedy
    assert not not_greedy
    assert right > wrong


def test_a_text_longer_than_the_model_reads_is_scored_token_by_token_once(tmp_path: Path) -> None:
    policy = opened(make_tiny(tmp_path / "short", max_position_embeddings=24))
    text = " ".join(WORDS)
    ids = policy.tokenizer.encode(text)
    rows = list(adapter._windows(1, ids, policy.longest - 1))
    assert len(rows) == 3
    assert [token for row in rows for token in row.replies[0]] == ids
    assert max(map(len, rows)) <= policy.longest
    whole = [1, *ids]
    for row, place in zip(
        rows[1:], [sum(len(r.replies[0]) for r in rows[:i]) for i in range(1, len(rows))], strict=True
    ):
        assert list(row.prompt) == whole[place + 1 - len(row.prompt) : place + 1]  # what stands before it
    assert adapter.text_scores(policy, [text])[0] == pytest.approx(
        sum(total for row in rows for total, _ in policy.score([row])[0]), abs=1e-4
    )
    assert math.isfinite(adapter.continuation_scores(policy, [(text, " sun")])[0][0])  # cut at its beginning


@pytest.mark.parametrize("model", ["chat"], indirect=True)  # the other's texts begin with a token that is scored, too
def test_spaces_at_the_end_of_a_context_begin_what_follows_and_an_empty_context_has_a_beginning(
    policy: LocalModel,
) -> None:
    pairs = [("Question: ", "sun"), ("Question:", " sun"), ("", "sun rain"), (" ", "sun")]
    scores = adapter.continuation_scores(policy, pairs)
    assert scores[0] == scores[1]
    assert all(math.isfinite(score) for score, _ in scores)
    assert scores[2][0] == pytest.approx(adapter.text_scores(policy, ["sun rain"])[0], abs=1e-4)


@pytest.mark.parametrize(
    ("options", "drawn"),
    [({}, (256, 0.0)), ({"max_gen_toks": 3, "temperature": 0.7}, (3, 0.7)),
     ({"do_sample": False, "temperature": 0.7, "top_p": 0.9}, (256, 0.0)), ({"do_sample": True}, (256, 1.0)),
     ({"do_sample": True, "top_p": 0.9}, None), ({"num_beams": 4}, None), ({"repetition_penalty": 1.2}, None)],
)  # fmt: skip
def test_what_of_generation_is_not_known_is_refused(options: dict[str, Any], drawn: tuple[int, float] | None) -> None:
    if drawn is None:
        with pytest.raises(ValueError, match="greedy decoding and a temperature are known"):
            adapter._drawn_with(options)
    else:
        assert adapter._drawn_with(options) == drawn


def stage(**knobs: Any) -> LmEvalMeasure:
    return LmEvalMeasure(**{"by": "lm_eval", "tasks": ("t",), **knobs})


def sample(number: int, filtered: Any, **metrics: Any) -> dict[str, Any]:
    return {"doc_id": number, "doc": {"subject": f"s{number % 2}"}, "doc_hash": f"{number:064d}", "filter": "none",
            "arguments": [("Q", " a")], "filtered_resps": filtered, "metrics": list(metrics), **metrics}  # fmt: skip


def task_of(samples: list[dict[str, Any]], **more: Any) -> TaskSamples:
    return replace(TaskSamples("t", samples, {}, {}, len(samples)), **more)


def by_claim(results: list[SampleResult], claim: str) -> list[SampleResult]:
    return [result for result in results if result.claim == claim]


def test_a_choice_that_is_none_is_unscored_and_not_answered_with_the_first() -> None:
    """lm-eval's own accuracy of these is 1.0: its gold answer is the first, as in TruthfulQA's MC1."""
    import numpy as np

    nan = math.nan
    cases = [[(-1.0, False), (-2.0, False)], [(nan, False)] * 2, [(0.0, True)] * 2, [(-1.0, False), (nan, False)],
             [(-1.0, False), (-1.0, False), (-2.0, False)]]  # fmt: skip
    answered_first = [int(np.argmax([pair[0] for pair in case])) == 0 for case in cases]
    assert answered_first == [True, True, True, False, True]
    samples = [sample(i, case, acc=1.0, acc_norm=1.0) for i, case in enumerate(cases)]
    results = outcomes(task_of(samples), stage().claims())
    assert [r.value for r in by_claim(results, "lm_eval.t.acc")] == [1.0, None, None, None, None]
    assert [r.value for r in by_claim(results, "lm_eval.t.acc_norm")] == [1.0, None, None, None, 1.0]
    assert {r.status for r in results if r.value is None} == {"unscored"}
    assert {r.cluster for r in results} == {"s0", "s1"}


def test_perplexity_of_an_item_is_its_log_likelihood_and_a_corpus_number_is_made_one_of_documents() -> None:
    results = outcomes(task_of([sample(0, (-3.5, False), perplexity=-3.5, acc=0)],
                               higher_is_better={"perplexity": False}), stage().claims())  # fmt: skip
    (likelihood,) = by_claim(results, "lm_eval.t.log_likelihood")
    assert (likelihood.value, likelihood.status) == (-3.5, "pass")
    claims = {claim.name: claim for claim in stage().claims()}
    assert claims["lm_eval.t.log_likelihood"].better == "higher"
    rolling = [
        sample(i, -4.0 * (i + 1), byte_perplexity=(-4.0 * (i + 1), 8), word_perplexity=(-4.0, 2)) for i in range(2)
    ]
    results = outcomes(task_of(rolling), stage().claims())
    assert [r.value for r in results] == pytest.approx([0.5 / math.log(2), 1 / math.log(2)])
    assert {r.claim for r in results} == {"lm_eval.t.bits_per_byte"}
    assert claims["lm_eval.t.bits_per_byte"].better == "lower"


def test_a_number_over_all_documents_alone_is_a_finding_without_an_interval() -> None:
    task = task_of([sample(0, ["a"], bleu=("a", "b"), exact_match=1.0)],
                   aggregates={("bleu", "none"): 17.5, ("exact_match", "none"): 1.0})  # fmt: skip
    (finding,) = aggregates(task, "baseline")
    assert (finding.claim, finding.value, finding.low, finding.n) == ("lm_eval.t.bleu", 17.5, None, 1)
    assert "no interval" in finding.method
    assert {r.claim for r in outcomes(task, stage().claims())} == {"lm_eval.t.exact_match"}


def test_which_way_is_good_and_what_is_no_share_must_be_what_the_spec_says() -> None:
    samples = [sample(0, ["a"], wer=0.25)]
    task = task_of(samples, higher_is_better={"wer": False})
    with pytest.raises(ValueError, match=r"less is better.*lower: \[t\.wer\]"):
        outcomes(task, stage().claims())
    assert outcomes(task, stage(lower=("t.wer",)).claims())[0].value == 0.25
    with pytest.raises(ValueError, match=r"no share.*scores: \[t\.points\]"):
        outcomes(task_of([sample(0, ["a"], points=7.0)]), stage().claims())
    assert outcomes(task_of([sample(0, ["a"], points=7.0)]), stage(scores=("t.points",)).claims())[0].value == 7


def test_filters_are_claims_of_their_own() -> None:
    samples = [{**sample(0, ["1"], exact_match=1.0), "filter": name} for name in ("strict-match", "flexible-extract")]
    names = [result.claim for result in outcomes(task_of(samples), stage().claims())]
    assert names == ["lm_eval.t.exact_match.strict-match", "lm_eval.t.exact_match.flexible-extract"]


# ---- in a run --------------------------------------------------------------------------------------
def spec_of(folder: Path, **stage_knobs: Any) -> Path:
    knobs = {"by": "lm_eval", "task_files": ["mc.yaml"], **stage_knobs}
    spec = {"name": "evals", "seed": 1, "effort": "demo", "model": "./model", "measure": [knobs]}
    path = folder / "spec.yaml"
    path.write_text(yaml.safe_dump(spec))
    return path


def test_a_run_measures_and_two_models_are_compared_by_the_tasks(folder: Path) -> None:
    make_tiny(folder / "model")
    make_tiny(folder / "other", seed=7)
    spec = spec_of(folder, limit=6)
    comparison = aw.compare(folder / "model", folder / "other", spec=spec, runs=folder / "runs", quiet=True)
    changes = {change.claim: change for change in comparison.changes}
    assert set(changes) == {"lm_eval.tiny_mc.acc", "lm_eval.tiny_mc.acc_norm"}
    assert changes["lm_eval.tiny_mc.acc"].n == 6
    run = aw.audit(spec, model=folder / "model", runs=folder / "runs", quiet=True)
    findings = {finding.claim: finding for finding in run.findings}
    acc = findings["lm_eval.tiny_mc.acc"]
    assert (acc.value, acc.n, acc.clusters, acc.unit) == (changes["lm_eval.tiny_mc.acc"].a, 6, 2, "share")
    assert acc.low is not None
    assert findings["lm_eval.tiny_mc.mcc"].low is None


def test_a_model_behind_a_server_leaves_the_tasks_untested(folder: Path) -> None:
    with server(lambda body, times: "no") as (name, _):
        run = aw.audit(spec_of(folder), model=name, runs=folder / "runs", quiet=True)
    (finding,) = run.findings
    assert finding.value is None
    assert "untested" in finding.detail


def test_what_a_task_is_made_of_is_part_of_its_key(folder: Path) -> None:
    make_tiny(folder / "model")
    (folder / "functions.py").write_text("import words\n\n\ndef docs(rows):\n    return rows\n")
    (folder / "words.py").write_text("WORD = 1\n")
    text = (folder / "mc.yaml").read_text()
    (folder / "base.yaml").write_text(text)
    (folder / "mc.yaml").write_text("include: base.yaml\nprocess_docs: !function functions.docs\n")
    names = {file.name for file in task_dependencies(folder / "mc.yaml")}
    assert names == {"base.yaml", "functions.py", "words.py", "rows.jsonl"}

    def key() -> str:
        experiment = load_spec(spec_of(folder))
        jobs = plan(experiment)
        return job_keys(experiment, jobs)[jobs[-1].name].key

    before = key()
    assert key() == before
    for file in ("words.py", "rows.jsonl", "base.yaml"):
        (folder / file).write_text((folder / file).read_text() + "\n")
        assert key() != before
        before = key()


def test_a_check_runs_nothing_of_a_task_file_and_says_what_is_none(folder: Path) -> None:
    make_tiny(folder / "model")
    (folder / "functions.py").write_text("raise SystemExit('run')\n")
    (folder / "mc.yaml").write_text("task: x\nprocess_docs: !function functions.docs\n")
    aw.check(spec_of(folder), quiet=True)
    for text, words in (("- a\n", "not a task file"), ("x: !!python/name:os.system\n", "not a task file")):
        (folder / "mc.yaml").write_text(text)
        with pytest.raises(SpecError, match=words):
            aw.check(spec_of(folder), quiet=True)
    with pytest.raises(SpecError, match="task files of your own are named under 'task_files'"):
        aw.check(spec_of(folder, tasks=["./mc.yaml"], task_files=[]), quiet=True)


def test_nothing_is_downloaded_and_the_error_says_what_to_do(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    policy = opened(make_tiny(folder / "model"))
    task = {**TASKS["mc"], "dataset_path": "nobody/no-such-data", "dataset_kwargs": {}}
    file = write_task(folder / "far.yaml", "far", task)
    with pytest.raises(ValueError, match=r"could not load far\.yaml: .*fetch them once"):
        run_tasks(policy, (), [file], num_fewshot=None, limit=2, seed=0)
    assert huggingface_hub.constants.HF_HUB_OFFLINE is False  # as it was


def test_answers_of_which_datasets_makes_dates_are_said(folder: Path) -> None:
    policy = opened(make_tiny(folder / "model"))
    task = {**TASKS["gen"], "doc_to_target": "{{day}}"}
    for day, columns in (("2024-01-31", ("day",)), ("on 2024-01-31", ())):
        rows = [{"q": f"When was {word}?", "choices": [word], "day": day} for word in WORDS]
        (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        (found,) = run_tasks(
            policy, (), [write_task(folder / "gen.yaml", "gen", task)], num_fewshot=None, limit=2, seed=0
        )
        assert found.dates == columns
        assert (found.samples[0]["target"] == day) == (not columns)


def test_a_task_that_runs_what_the_model_writes_is_refused(folder: Path) -> None:
    policy = opened(make_tiny(folder / "model"))
    file = write_task(folder / "unsafe.yaml", "unsafe", {**TASKS["gen"], "unsafe_code": True})
    with pytest.raises(ValueError, match="runs code that the model writes"):
        run_tasks(policy, (), [file], num_fewshot=None, limit=2, seed=0)
