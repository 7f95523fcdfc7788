"""Does a key change with everything that can change a result, and do votes reach those who learn
from them?"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from rich.progress import Progress, TaskID
from run_case import make_project

from alignwright.core.records import Comparison, Prompt, Reply, Vote
from alignwright.core.records import Conversation as C
from alignwright.experiment.cache_key import cache_keys
from alignwright.experiment.experiment import Experiment
from alignwright.experiment.load import check
from alignwright.files.errors import SpecError
from alignwright.job.bar import Bar
from alignwright.job.context import JobContext
from alignwright.job.job import Job
from alignwright.job.ledger import Ledger
from alignwright.job.preferences import comparisons
from alignwright.job.records import write_records
from alignwright.run.align import Request, estimate, prepare
from alignwright.run.context import job_context, model_store
from alignwright.train.knobs import Sft
from alignwright.train.training_data import JobData


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    return make_project(tmp_path / "project")


def known(spec: Path, *overrides: str) -> dict[str, str]:
    experiment, jobs, _ = prepare(Request(spec, overrides))
    return cache_keys(experiment, jobs)


def context(experiment: Experiment, jobs: tuple[Job, ...], name: str, folder: Path) -> JobContext:
    """What a job of this name is given to work with, in a run folder of its own."""
    by_name, models = {job.name: job for job in jobs}, model_store(experiment, Ledger(folder / "run"))
    return job_context(by_name[name], by_name, experiment, models, folder, Bar(Progress(), TaskID(0)))


def changed(before: dict[str, str], after: dict[str, str]) -> set[str]:
    assert before.keys() == after.keys()
    return {name for name in before if before[name] != after[name]}


def test_the_same_spec_has_the_same_keys(spec: Path) -> None:
    assert known(spec) == known(spec)


def test_the_day_that_templates_take_for_today_is_resolved_and_part_of_every_key(spec: Path) -> None:
    experiment, _, _ = prepare(Request(spec))
    assert experiment.model_dump(mode="json")["date"] == "2024-07-26"
    later = known(spec, "date=2026-11-29")
    assert changed(known(spec), later) == set(later)
    with pytest.raises(SpecError, match="date: should be a day such as 2024-07-26, saw 'tomorrow'"):
        known(spec, "date=tomorrow")


def test_a_data_set_on_the_hub_is_part_of_the_keys_by_its_name(spec: Path) -> None:
    one, two = (known(spec, f"intent.pairs=[hf://owner/{name}]") for name in ("one", "two"))
    assert {"feedback.0.written", "aggregate.pooled", "train.1.dpo"} <= changed(one, two)


def test_the_order_of_files_is_part_of_the_keys(spec: Path) -> None:
    (spec.parent / "more.jsonl").write_text('{"prompt": "more?", "chosen": "kind", "rejected": "rude"}\n')
    one, two = (
        known(spec, f"intent.pairs={names}") for names in ("[pairs.jsonl, more.jsonl]", "[more.jsonl, pairs.jsonl]")
    )
    assert "feedback.0.written" in changed(one, two)


@pytest.mark.parametrize("name", ["chat_template.jinja", "tokenizer.model", "config.json"])
def test_whatever_the_start_model_reads_is_part_of_every_key(spec: Path, name: str) -> None:
    before = known(spec)
    with (spec.parent / "model" / name).open("a") as file:
        file.write(" ")
    after = known(spec)
    assert changed(before, after) == set(before)


def test_a_judge_that_is_a_model_of_its_own_is_part_of_its_votes_key(spec: Path) -> None:
    judge = make_project(spec.parent / "judge").parent / "model"
    before = known(spec, f"feedback.2.judge={judge}")
    (judge / "generation_config.json").write_text("{}")
    touched = changed(before, known(spec, f"feedback.2.judge={judge}"))
    assert "feedback.2.judge" in touched
    assert "feedback.0.written" not in touched


def test_a_python_rule_is_part_of_its_votes_key(spec: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, source in (("file", "./own_rule.py:short"), ("module", "own_rule:short")):
        (spec.parent / "own_rule.py").write_text("def short(prompt, reply): return len(reply) < 9\n")
        monkeypatch.syspath_prepend(spec.parent)
        before = known(spec, f"feedback.1.file={source}")
        (spec.parent / "own_rule.py").write_text("def short(prompt, reply): return len(reply) < 5\n")
        assert "feedback.1.rules" in changed(before, known(spec, f"feedback.1.file={source}")), name
    with pytest.raises(ValueError, match="no module 'no_such_module'"):
        known(spec, "feedback.1.file=no_such_module:short")


def test_fine_tuning_on_a_file_does_not_wait_for_votes(spec: Path) -> None:
    line = {"messages": [{"role": "user", "content": "u?"}, {"role": "assistant", "content": "a"}]}
    (spec.parent / "said.jsonl").write_text(json.dumps(line) + "\n")
    one, two = (known(spec, "train.0.data=said.jsonl", f"aggregate.prior={prior}") for prior in (0.5, 0.6))
    assert changed(one, two) >= {"aggregate.pooled", "train.1.dpo"}
    assert "train.0.sft" not in changed(one, two)


def people(folder: Path, name: str, rater: str, *, swapped: bool) -> None:
    shown = {"a": "rude", "b": "kind", "choice": "b"} if swapped else {"a": "kind", "b": "rude", "choice": "a"}
    (folder / name).write_text(json.dumps({"prompt": "hello?", "rater": rater, **shown}) + "\n")


PEOPLE = ["feedback=[]", "intent={people: [one.jsonl, two.jsonl, three.jsonl]}", "collect=null"]


def test_votes_of_people_alone_are_aggregated_and_none_is_lost(spec: Path, tmp_path: Path) -> None:
    people(spec.parent, "one.jsonl", "anna", swapped=False)
    people(spec.parent, "two.jsonl", "ben", swapped=True)
    people(spec.parent, "three.jsonl", "anna", swapped=False)
    experiment, jobs, _ = prepare(Request(spec, tuple(PEOPLE)))
    (job,) = [job for job in jobs if job.name == "aggregate.pooled"]
    learning = [other for other in jobs if other.name in ("train.0.sft", "train.1.dpo")]
    assert [other.needed("preferences") for other in learning] == [(job.name,), (job.name,)]
    (comparison,) = comparisons(context(experiment, jobs, job.name, tmp_path))
    assert [(vote.voter, comparison.replies[vote.prefers].text) for vote in comparison.votes] == [
        ("anna", "kind"),
        ("ben", "kind"),
    ]


def test_a_revision_that_lost_is_not_learnt_as_one(spec: Path, tmp_path: Path) -> None:
    from alignwright.aggregate.pooled import pooled

    def revised(i: int, winner: int) -> Comparison:
        prompt = Prompt(conversation=C.user(f"prompt {i}"))
        replies = (Reply(text="revised", parent="x", speaker="critique:be_kind"), Reply(text="first", parent="x"))
        votes = tuple(
            Vote(voter=name, prefers=w, over=1 - w)
            for name, w in (("critique", 0), ("rules", winner), ("anna", winner))
        )
        return Comparison(prompt=prompt, replies=replies, votes=votes)

    experiment, jobs, _ = prepare(Request(spec, ("feedback.2={by: critique}",)))
    job = context(experiment, jobs, "train.1.dpo", tmp_path)
    folder = job.ledger.folder(0, "aggregate.pooled", "key")
    revisions = [revised(0, 0), revised(1, 1)]
    write_records(folder / "comparisons.jsonl", revisions)
    write_records(folder / "preferences.jsonl", pooled(revisions))
    job.ledger.finish("aggregate.pooled", "key", folder, 0.0)
    (learnt,) = Sft(by="sft", data="revisions").sources(JobData(job))
    assert isinstance(learnt, C)
    assert [message.content for message in learnt.messages] == ["prompt 0", "revised"]


def test_an_estimate_touches_nothing(spec: Path, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    experiment, jobs, _ = prepare(Request(spec, runs=runs))
    lender = Ledger(runs / "lender")
    lender.finish("collect", cache_keys(experiment, jobs)["collect"], lender.folder(0, "collect", "key"), 0.0)
    lines = estimate(Request(spec, runs=runs)).lines
    assert [line.name for line in lines if line.cached] == ["collect"]
    assert [path.name for path in runs.iterdir()] == ["lender"]


def test_one_adapter_has_one_rank(spec: Path) -> None:
    with pytest.raises(
        SpecError, match=r"train.1.dpo.rank: 4, but this stage continues the adapter of train.0, whose rank is 2"
    ):
        check(spec, ["train.1.rank=4"])
    text = spec.read_text().replace("by: dpo, epochs: 2, rank: 2", "by: dpo, epochs: 2")
    spec.write_text(text)
    assert [stage.rank for stage in prepare(Request(spec))[0].train] == [2, 2]


@pytest.mark.parametrize("judge", ["http://localhost/v1", "ftp://host/v1#m", "http://key@host/v1#m"])
def test_a_judge_that_is_no_server_is_found_before_the_run(spec: Path, judge: str) -> None:
    with pytest.raises(SpecError, match=r"feedback\.2\.judge\.judge: .*(is no server|holds no user)"):
        check(spec, [f"feedback.2.judge={judge}"])


def test_fine_tuning_learns_revisions_and_helpfulness_data_in_one_stage(spec: Path, tmp_path: Path) -> None:
    """What is in two of its sources is learnt once; the files of the mix are part of the key."""
    (spec.parent / "said.jsonl").write_text(
        '{"prompt": "hello?", "completion": "hello"}\n{"prompt": "hello?", "completion": "hello"}\n'
    )
    mixed = known(spec, "train.0.data=[chosen, said.jsonl]")
    (spec.parent / "said.jsonl").write_text('{"prompt": "hello?", "completion": "good day"}\n')
    assert "train.0.sft" in changed(mixed, known(spec, "train.0.data=[chosen, said.jsonl]"))
    stage = Sft(by="sft", data=("said.jsonl", "said.jsonl"))
    experiment, jobs, _ = prepare(Request(spec))
    job = context(experiment, jobs, "train.0.sft", tmp_path)
    assert [said.last.content for said in stage.sources(JobData(job)) if isinstance(said, C)] == ["good day"]


def test_a_clamped_judge_whose_votes_could_never_count_is_refused(spec: Path) -> None:
    with pytest.raises(SpecError, match=r"feedback\.2\.judge\.reasoning: its votes are at most 0\.6 sure"):
        check(spec, ["feedback.2.reasoning=true"])
    check(spec, ["feedback.2.reasoning=true", "aggregate={by: pooled, min_strength: 0.52}"])


JUDGED = (
    "train=[{by: sft}, {by: reward}, {by: rloo, reward: reward}, {by: dpo}]",
    "measure=[{by: tax, text: [text.jsonl]}, {by: reward, reward: reward, prompts: [prompts.jsonl]}]",
    "promises=[]",
)


@pytest.mark.parametrize(
    ("stage", "does", "leaves"),
    [
        ("train.0.sft", {"measure.0.tax@train.0.sft"}, {"train.1.reward", "measure.1.reward@baseline"}),
        ("train.0", {"measure.0.tax@train.0.sft"}, {"train.1.reward", "measure.1.reward@baseline"}),
        ("baseline", {"measure.0.tax@baseline"}, {"collect", "measure.1.reward@baseline"}),
        ("aggregate", {"collect", "feedback.0.written"}, {"train.0.sft", "measure.0.tax@train.0.sft"}),
        ("train.1", {"measure.0.tax@train.0.sft"}, {"train.2.rloo", "measure.1.reward@train.0.sft"}),
        (
            "train.2.rloo",
            {"measure.0.tax@train.2.rloo", "measure.1.reward@train.2.rloo"},
            {"train.3.dpo", "measure.0.tax@train.3.dpo", "measure.1.reward@train.0.sft"},
        ),
        ("measure.1.reward@train.0.sft", {"train.1.reward"}, {"train.2.rloo", "measure.1.reward@train.2.rloo"}),
        ("measure.1", {"measure.1.reward@train.3.dpo"}, set()),
    ],
)
def test_until_a_stage_only_what_it_needs_is_done(spec: Path, stage: str, does: set[str], leaves: set[str]) -> None:
    whole = [job.name for job in prepare(Request(spec, JUDGED))[1]]
    _, jobs, _ = prepare(Request(spec, JUDGED, until=stage))
    names = [job.name for job in jobs]
    assert names == [name for name in whole if name in names]
    assert does <= {*names}
    assert leaves <= {*whole} - {*names}
    assert stage == "baseline" or any(name.startswith(stage) for name in names)
    for job in jobs:
        assert {*job.builds_on} <= {*names}, job.name
