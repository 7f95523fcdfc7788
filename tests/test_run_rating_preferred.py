"""Do people's votes on a run's replies become its evidence: asked blind of both models' stored replies, summed up,
and read by the spec without anything computed anew?"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from run_case import make_project
from typer.testing import CliRunner

from alignwright.cli import app
from alignwright.core.records import Finding
from alignwright.files.errors import SpecError
from alignwright.report import read
from alignwright.report.text import visible
from alignwright.run.rating.changes import changes_of
from alignwright.run.rating.pairs import RatedPair, showings
from alignwright.run.rating.ratings import Choice, Ratings, rating_of
from alignwright.run.rating.source import Source
from alignwright.run.rating.summary import summary
from alignwright.run.stored_samples import stored_samples


def alignwright(*arguments: object, code: tuple[int, ...] = (0, 1, 3)) -> str:
    result = CliRunner(env={"COLUMNS": "400"}).invoke(app, [str(a) for a in arguments], catch_exceptions=False)
    assert result.exit_code in code, result.output
    return result.output


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that trains the tiny model hard, so that it replies otherwise."""
    folder = tmp_path_factory.mktemp("project")
    spec = yaml.safe_load(make_project(folder).read_text())
    for part in ("collect", "attack"):
        spec.pop(part)
    spec["intent"].pop("prompts")
    spec["feedback"] = [{"by": "written"}]
    spec["train"] = [{"by": "sft", "data": "chosen", "epochs": 3, "lr": 0.03, "rank": 4}]
    spec["measure"] = [{"by": "preferred", "prompts": ["instruction.jsonl"], "max_new_tokens": 6}]
    spec["promises"] = ["value.preferred > 50%"]
    (folder / "spec.yaml").write_text(yaml.safe_dump(spec))
    return folder


@pytest.fixture(scope="module")
def run(project: Path) -> Path:
    alignwright("align", project / "spec.yaml", "--runs", project / "runs")
    (made,) = (project / "runs").iterdir()
    return made


def preferred(run: Path) -> Finding:
    (finding,) = [f for f in read(run).findings if f.claim == "value.preferred"]
    return finding


def vote(pairs: list[RatedPair], out: Path, **raters: dict[str, float]) -> Ratings:
    """Answers of raters: by prompt, 1 where they prefer the later model's reply, 1/2 for a tie."""
    ratings = Ratings(out)
    for rater, shares in raters.items():
        for showing in showings(pairs, rater=rater, seed=0):
            share = shares[showing.pair.prompt.conversation.last.content]
            better = showing.pair.replies[1] if share == 1 else showing.pair.replies[0]
            choice: Choice = "tie" if share == 0.5 else "a" if showing.pair.replies[showing.left] == better else "b"
            ratings.add(rating_of(showing, choice, rater=rater, group="", reason=""))
    ratings.write_votes()
    return ratings


def test_before_anybody_voted_the_promise_is_untested_and_the_replies_wait_to_be_asked_about(run: Path) -> None:
    finding = preferred(run)
    assert finding.value is None
    assert (finding.stage, finding.n) == ("train.0.sft", 0)
    assert [verdict.answer for verdict in read(run).verdicts] == ["untested"]
    changes = changes_of(run)
    before, after = ({s.item: s.reply for s in stored_samples(run, model)} for model in ("baseline", "train.0.sft"))
    assert {pair.replies for pair in changes.pairs} <= {(before[item], after[item]) for item in after}
    assert len(changes.pairs) + changes.alike == len(after) == 12
    assert len(changes.pairs) >= 8, "the model should have changed"


def test_the_page_of_a_run_holds_both_replies_of_each_prompt_and_no_name_of_a_model(run: Path, tmp_path: Path) -> None:
    told = alignwright("rate", run, "--rater", "ann", "--out", tmp_path / "v.jsonl", "--form", tmp_path / "p.html")
    pairs = changes_of(run).pairs
    assert f"{len(pairs) + 1} questions for ann" in told
    page = (tmp_path / "p.html").read_text(encoding="utf-8").partition('id="questions">')[2].partition("</script>")[0]
    questions = json.loads(page)["questions"]
    assert {frozenset((q["a"], q["b"])) for q in questions} == {frozenset(map(visible, pair.replies)) for pair in pairs}
    assert not any(word in page for word in ("baseline", "train.0", "sft", "before", "after"))
    firsts = [q["a"] for q in questions]
    assert 0 < sum(first in {visible(pair.replies[0]) for pair in pairs} for first in firsts) < len(firsts)


def test_votes_are_summed_up_and_keep_the_promise_without_a_stage_done_again(project: Path, run: Path) -> None:
    pairs = list(changes_of(run).pairs)
    prompts = sorted(pair.prompt.conversation.last.content for pair in pairs)
    out = project / "votes.jsonl"
    mine = dict.fromkeys(prompts, 1.0)
    yours = mine | {prompts[0]: 0.5}
    ratings = vote(pairs, out, ann=mine, bob=yours)
    lines = list(summary(Source(run), ratings))
    value = (2 * len(prompts) - 0.5) / (2 * len(prompts))
    assert (
        lines[0]
        == f"{2 * len(prompts)} votes of 2 raters on {len(prompts)} of {len(pairs)} pairs; 0 times 'cannot say'"
    )
    assert f"preferred to the start model's, ties half: {value:.2f} [" in lines[1]
    assert any(line.startswith("ann: agreement with yourself: 100%") for line in lines)

    spec = yaml.safe_load((project / "spec.yaml").read_text())
    (project / "voted.yaml").write_text(yaml.safe_dump(spec | {"votes": ["votes.jsonl"]}))
    ledger = (run / "ledger.json").read_bytes()
    told = alignwright("align", project / "voted.yaml", "--runs", project / "runs")
    assert [run] == list((project / "runs").iterdir()), "votes are made of a finished run, and its folder stays"
    assert (run / "ledger.json").read_bytes() == ledger, told
    finding = preferred(run)
    assert finding.value == pytest.approx(value)
    assert (finding.n, finding.unscored) == (len(prompts), 12 - len(prompts))
    assert f"{2 * len(prompts)} votes of 2 raters" in finding.note
    assert finding.low is not None
    assert finding.low > 0.5
    assert [verdict.answer for verdict in read(run).verdicts] == ["kept"]
    assert "Preferred by people to the start model" in (run / "report.html").read_text()


def test_votes_on_other_replies_count_nothing_and_votes_without_the_measure_are_an_error(
    project: Path, run: Path, tmp_path: Path
) -> None:
    first = changes_of(run).pairs[0]
    row = {
        "prompt": first.prompt.conversation.last.content,
        "a": "x",
        "b": first.replies[1],
        "choice": "b",
        "rater": "r",
    }
    (project / "others.jsonl").write_text(json.dumps(row) + "\n")
    spec = yaml.safe_load((project / "spec.yaml").read_text()) | {"votes": ["others.jsonl"]}
    (project / "others.yaml").write_text(yaml.safe_dump(spec))
    alignwright("align", project / "others.yaml", "--runs", project / "runs")
    assert preferred(run).value is None
    assert "1 of 1 votes are on no two replies of this run" in preferred(run).note
    spec["measure"] = [{"by": "tax", "text": ["text.jsonl"]}]
    spec["promises"] = []
    (project / "no_measure.yaml").write_text(yaml.safe_dump(spec))
    with pytest.raises(SpecError, match=r"votes: has no effect without a measure \{by: preferred\}"):
        alignwright("align", project / "no_measure.yaml", "--runs", tmp_path)


def test_what_cannot_be_asked_of_a_run_says_what_can(run: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no model train\.7 was measured beside .*; there are train\.0\.sft"):
        changes_of(run, "train.7")
    with pytest.raises(ValueError, match="leave it out"):
        Source(tmp_path / "pairs.jsonl", compared=True)
    with pytest.raises(ValueError, match="nobody has answered a question"):
        list(summary(Source(run), Ratings(tmp_path / "none.jsonl")))
    with pytest.raises(ValueError, match="--rater has no effect with --summary"):
        alignwright("rate", run, "--summary", "--rater", "ann", "--out", tmp_path / "none.jsonl")


def test_collect_takes_answers_about_the_models_and_about_what_voters_compared(run: Path) -> None:
    every = {pair.key for pair in Source(run).every_pair()}
    compared = {pair.key for pair in Source(run, compared=True).pairs()}
    assert {pair.key for pair in Source(run).pairs()} | compared == every
    assert compared
