"""What the check of a spec accepts, does the run accept, too: every stage, every option, every
spec in the docs?"""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from every_stage import kinds, options, smallest, spec_of, write_files, write_named
from rich.console import Console

from alignwright.experiment.check import check
from alignwright.files.errors import SpecError
from alignwright.run.align import Request, align, estimate
from alignwright.run.progress import View

ROOT = Path(__file__).parents[1]
EFFORTS = ("demo", "study", "full")
FORMS = [(f"{section}.{name}", section, name, smallest(section, name)) for section, name, _ in kinds()]
OPTIONS = [
    (label, section, name, stage)
    for section, name, record in kinds()
    for label, stage in options(section, name, record)
]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("every")
    write_files(folder)
    return folder


def written(folder: Path, data: dict[str, Any], effort: str = "demo") -> Path:
    path = folder / "spec.yaml"
    path.write_text(yaml.safe_dump(data | {"effort": effort}))
    return path


def test_no_kind_of_stage_is_left_out_and_every_knob_has_a_value():
    assert len(FORMS) >= 30
    tried = {label.partition("=")[0] for label, *_ in OPTIONS}
    assert tried == {
        f"{section}.{name}.{knob}" for section, name, record in kinds() for knob in record.model_fields if knob != "by"
    }


@pytest.mark.parametrize("effort", EFFORTS)
def test_every_stage_in_its_smallest_form_is_accepted_and_can_be_planned(files, effort):
    for label, section, name, stage in FORMS:
        path = written(files, spec_of(section, name, stage), effort)
        check(path)
        assert estimate(Request(path, runs=files / "runs")).lines, label


def test_every_option_is_accepted_and_can_be_planned(files):
    refused: list[str] = []
    for label, section, name, stage in OPTIONS:
        path = written(files, spec_of(section, name, stage))
        try:
            check(path)
        except SpecError as error:
            refused.append(f"{label}: {error}")
        else:
            assert estimate(Request(path, runs=files / "runs")).lines, label
    assert not refused, "\n".join(refused)


def test_a_default_that_nobody_wrote_is_not_taken_for_an_option_without_effect(files):
    """Free answers are one part of `emergent`; their knobs have defaults, which are nobody's wish."""
    for stage in ({}, {"choice": "persona.jsonl"}, {"abilities": False, "choice": "persona.jsonl"}):
        path = written(files, {"name": "s", "model": "./model", "measure": [{"by": "emergent"} | stage]})
        check(path)
        assert estimate(Request(path, runs=files / "runs")).lines
    path = written(
        files, {"name": "s", "model": "./model", "measure": [{"by": "emergent", "samples": 4}]}
    )  # the same number, but written
    with pytest.raises(SpecError, match="'samples' has no effect without 'questions'"):
        check(path)


def test_what_effort_gives_is_compared_with_what_was_written_before_the_run(files):
    """Best of 32 needs 32 replies, and an effort that gives 16 is no run."""
    stage = smallest("measure", "goodhart") | {"best_of": [1, 32]}
    for effort in ("study", "full"):
        check(written(files, spec_of("measure", "goodhart", stage), effort))
    with pytest.raises(
        SpecError,
        match=r"spec.yaml:\d+: measure.0.goodhart: the best of 32 needs as many replies.*effort demo gives samples 16",
    ):
        check(written(files, spec_of("measure", "goodhart", stage)))


def test_every_measure_attack_and_voter_runs_with_every_option(files):
    """One run holds them all: each option is a stage of its own. Servers are left out, and what
    costs minutes is made small. Attacks of one kind that are judged otherwise cannot stand in one
    run, so each way of judging has its own."""
    small: dict[str, Any] = {"limit": 2, "max_new_tokens": 2, "episodes": 1, "turns": 1}
    held: dict[str, list[dict[str, Any]]] = {"feedback": [], "attack": [], "measure": []}
    judged: dict[str, list[dict[str, Any]]] = {}
    for _, section, name, stage in [*FORMS, *OPTIONS]:
        record = next(record for home, known, record in kinds() if (home, known) == (section, name))
        served = any("://" in str(stage.get(knob, "")) for knob in ("judge", "attacker"))
        if section not in held or served or "tasks" in stage:  # whose data are not here
            continue
        knobs = {k: v for k, v in small.items() if k in record.model_fields}
        if name == "hacking":
            knobs = {
                "limit": 60,
                "max_new_tokens": 8,
                "unit_tests": stage == smallest(section, name),
            }  # which need replies that are not empty
        if name in ("judge", "contrast"):
            knobs = {"check_pairs": 8}
        must = {"no_signal": "skip"} if name in ("judge", "contrast") else {}  # a random model is no judge
        if (
            stage := knobs | stage | must | ({"samples": 16} if name == "goodhart" and "samples" in stage else {})
        ) not in held[section]:
            way = ", ".join(f"{knob}={stage[knob]}" for knob in JUDGED_BY if section == "attack" and knob in stage)
            (judged.setdefault(way, []) if way else held[section]).append(stage)
    intent = {"constitution": "constitution.md", "pairs": ["pairs.jsonl"], "prompts": ["prompts.jsonl"]}
    data = {
        "name": "all",
        "model": "./model",
        "intent": intent,
        "aggregate": {"min_strength": 0.51},
        "collect": {"samples": 2, "max_new_tokens": 2},
    }
    out = io.StringIO()
    assert len(judged) >= 3
    bare = {"name": "judged", "model": "./model"}
    for document in (data | held, *(bare | {"attack": stages} for stages in judged.values())):
        path = written(files, document)
        run = align(Request(path, runs=files / "runs"), View(Console(file=out, width=300)))
        assert (run / "report.html").exists()
    done = [line for line in out.getvalue().splitlines() if line.startswith(("✓", "·"))]  # a dot: known from before
    assert len(done) >= sum(map(len, (*held.values(), *judged.values())))


JUDGED_BY = ("judge", "judge_labels", "anytime")


BLOCK = re.compile(r"(?P<sketch><!-- sketch: [^\n]* -->\n)?^ *```ya?ml\n(?P<text>.*?)^ *```$", re.MULTILINE | re.DOTALL)
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCKS = [
    (page.name, found["text"]) for page in PAGES for found in BLOCK.finditer(page.read_text()) if not found["sketch"]
]


@pytest.mark.parametrize(("page", "text"), BLOCKS, ids=[f"{page}-{number}" for number, (page, _) in enumerate(BLOCKS)])
def test_every_spec_in_the_docs_is_accepted(page, text, tmp_path):
    """A block that begins with no name is a part of a spec, and is put into a whole one."""
    data = yaml.safe_load(text)
    if not isinstance(data, dict) or "by" in data:
        pytest.skip("no part of a spec by itself")
    whole = spec_of("train", "dpo", {"by": "dpo"}) | data
    write_files(tmp_path)
    whole["model"] = "./model"
    write_named(tmp_path, whole)
    path = written(tmp_path, whole, whole.get("effort", "demo"))
    check(path)
    assert estimate(Request(path, runs=tmp_path / "runs")).lines


def test_the_blocks_of_the_docs_are_found():
    assert {"README.md", "emergent.md", "worlds.md"} <= {page for page, _ in BLOCKS}
