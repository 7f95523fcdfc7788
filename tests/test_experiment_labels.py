"""Is every job of a run and of a dry run called by a name of its own, that says what tells it
from its siblings?"""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console
from run_case import make_project

from alignwright.experiment.labels import labels
from alignwright.job.job import Job
from alignwright.measure.knobs import TaxMeasure
from alignwright.run.align import Request, estimate, prepare
from alignwright.run.progress import View, show_estimate
from alignwright.train.knobs_pairs import Dpo
from alignwright.worlds.knobs import WorldMeasure

WORLDS = ("edited_tests", "impossible_tests", "tampered_chess")


def tax(*text: str) -> TaxMeasure:
    return TaxMeasure(by="tax", text=text)


def test_stages_of_one_kind_are_called_by_the_knob_that_differs() -> None:
    jobs = [Job("measure", place, WorldMeasure(by="world", world=world)) for place, world in enumerate(WORLDS)]
    assert list(labels(jobs).values()) == [f"measure world {world}, start model" for world in WORLDS]
    assert list(labels(jobs[:1]).values()) == ["measure world, start model"]  # the control: alone it needs no more


def test_a_file_is_called_without_its_folders_and_only_where_that_tells_enough() -> None:
    jobs = [Job("measure", place, tax(name)) for place, name in enumerate(("data/a.txt", "data/b.txt"))]
    assert list(labels(jobs).values()) == ["measure tax a.txt, start model", "measure tax b.txt, start model"]
    same = [Job("measure", place, tax(name)) for place, name in enumerate(("one/a.txt", "two/a.txt"))]
    assert list(labels(same).values()) == ["measure tax 1 of 2, start model", "measure tax 2 of 2, start model"]


def test_trainings_that_differ_in_numbers_keep_their_places_and_so_do_their_models() -> None:
    jobs = [Job("train", place, Dpo(by="dpo", beta=beta)) for place, beta in enumerate((0.1, 0.2))]
    jobs += [Job("measure", 0, tax("a.txt"), f"train.{place}.dpo") for place in (0, 1)]
    told = ["train dpo 1 of 2", "train dpo 2 of 2", "measure tax, after dpo 1 of 2", "measure tax, after dpo 2 of 2"]
    assert list(labels(jobs).values()) == told


@pytest.fixture
def request_(tmp_path: Path) -> Request:
    spec = make_project(tmp_path / "project")
    worlds = ", ".join(f"{{by: world, world: {world}}}" for world in WORLDS[:2])
    knobs = "epochs: 1, rank: 2"
    overrides = (
        f"measure=[{worlds}]",
        f"train=[{{by: sft, data: chosen, {knobs}}}, {{by: dpo, {knobs}}}, {{by: dpo, {knobs}}}]",
        "promises=[]",
    )
    return Request(spec, overrides)


def test_no_two_jobs_of_a_run_are_called_the_same(request_: Request) -> None:
    _, jobs, _ = prepare(request_)
    called = labels(jobs)
    assert len(set(called.values())) == len(jobs)
    plain = [" ".join(part for part in job.name.replace("@", ".").split(".") if not part.isdigit()) for job in jobs]
    assert len(set(plain)) < len(jobs)  # the control: by their kinds alone they would be


def test_a_run_stopped_early_counts_places_over_the_whole_of_it(request_: Request) -> None:
    screen = io.StringIO()
    show_estimate(
        estimate(Request(request_.spec, request_.overrides, until="train.1.dpo")), Console(file=screen, width=200)
    )
    assert "train dpo 1 of 2" in screen.getvalue()
    assert "measure world impossible_tests, start model" in screen.getvalue()


def test_a_name_with_brackets_is_written_as_it_is() -> None:
    screen = io.StringIO()
    View(Console(file=screen, width=200)).done("measure tax [red].txt, start model", 1.0, "[note]")
    assert "measure tax [red].txt, start model" in screen.getvalue()
