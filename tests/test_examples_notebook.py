"""Does the notebook run from its first cell to its last, and show what the run says?"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from run_case import make_project

import alignwright as aw

NOTEBOOK = Path(__file__).parents[1] / "examples" / "notebook.py"


@pytest.fixture(scope="module")
def notebook() -> ModuleType:
    spec = importlib.util.spec_from_file_location("notebook", NOTEBOOK)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_cell_runs_over_a_run_that_it_makes(notebook: ModuleType, tmp_path: Path) -> None:
    spec = make_project(tmp_path)
    place = {"here": tmp_path, "spec": spec, "start_model": tmp_path / "model", "runs": tmp_path / "runs"}
    outputs, names = notebook.app.run(defs=place)
    run: Any = names["run"]
    assert isinstance(run, aw.Run)
    assert run.path.parent == tmp_path / "runs"
    assert [row["promise"] for row in names["promises"].data] == [verdict.promise for verdict in run.promises]
    assert len(names["findings"].data) == len(run.findings)
    assert sum(output is not None for output in outputs) >= 8
    assert list(names["models"]) == list(names["replies"]) == ["start", "aligned"]
    assert [reply.text for reply in names["replies"]["aligned"]] == [
        reply.text
        for reply in run.model().generate(
            [aw.Conversation.user("How do I keep a secret?")], n=2, max_new_tokens=24, temperature=0.7, seed=0
        )[0]
    ]
    assert names["plot"].text.count("<circle") == len(names["stages"]) == len(run.stages)
    (scores,) = run.model().logprobs(names["prompt"], [[given[0].text for given in names["replies"].values()]])
    assert names["logprobs"]["aligned"] == [score.total for score in scores]
    assert names["logprobs"]["aligned"] != names["logprobs"]["start"]
