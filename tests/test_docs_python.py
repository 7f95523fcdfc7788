"""Do the blocks of docs/python.md run as they stand, and does the text keep to what they do?"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from tiny import make_tiny

import alignwright as aw
from alignwright.run.scaffold import scaffold

PAGE = (Path(__file__).parents[1] / "docs" / "python.md").read_text(encoding="utf-8")


def test_the_blocks_run_in_their_order_in_a_new_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    scaffold(tmp_path / "project")
    monkeypatch.chdir(tmp_path / "project")
    make_tiny(Path("tiny-model"))
    spec = Path("spec.yaml").read_text()
    small = re.sub(r"(?m)^model: \S+", "model: ./tiny-model", spec).replace(
        "data: chosen", "data: chosen, epochs: 1, rank: 2"
    )
    small = small.replace("nll: 0.2", "nll: 0.2, epochs: 1, rank: 2").replace(
        "pairs: [heldout", "max_new_tokens: 8, pairs: [heldout"
    )
    Path("spec.yaml").write_text(small)
    names: dict[str, Any] = {}
    blocks = re.findall(r"```python\n(.*?)```", PAGE, re.S)
    assert len(blocks) == 8
    for block in blocks:
        exec(compile(block, "docs/python.md", "exec"), names)
    out = capsys.readouterr().out
    assert "train.1.dpo.betta: no such field; did you mean 'beta'?" in out
    assert isinstance(names["run"], aw.Run)
    assert names["short"].results.header.stages == ("baseline", "train.0.dpo")
    assert [len(replies) for replies in names["replies"]] == [2, 2]
    assert [len(scores) for scores in names["scores"]] == [2, 1]
    assert len(names["table"]) == len(names["rows"]) == len(names["run"].findings)


def test_every_name_of_the_package_is_on_the_page() -> None:
    missing = [
        name
        for name in aw.__all__
        if name not in ("__version__", "Finding", "Findings", "Message", "SpecCheck", "Verdict")
    ]
    assert [name for name in missing if f"aw.{name}" not in PAGE] == []
