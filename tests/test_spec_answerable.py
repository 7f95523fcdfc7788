"""Is a promise that no run could answer refused before the run, and does every claim that is let through have its finding?"""

from __future__ import annotations

from pathlib import Path

import pytest
from spec_case import SPEC, jsonl, write

from alignwright.core.promises import parse
from alignwright.measure.findings import reading
from alignwright.spec.answerable import NO_SIDE, unanswerable
from alignwright.spec.check import check
from alignwright.spec.emergent import EmergentMeasure
from alignwright.spec.errors import SpecError
from alignwright.spec.goodhart import WATCHED, GoodhartMeasure
from alignwright.spec.hacking import HackingMeasure
from alignwright.spec.load import load
from alignwright.spec.stages import AnyMeasure, RewardMeasure, TaxMeasure, claims
from alignwright.spec.worlds import WorldMeasure
from alignwright.train.goodhart import LEAST_PROMPTS

FILES = ("x.jsonl",)
MEASURES: tuple[AnyMeasure, ...] = (
    TaxMeasure(by="tax", text=FILES, choice=("x.jsonl", "y.jsonl"), problems=FILES, prompts=FILES),
    RewardMeasure(by="reward", reward="reward", prompts=FILES),
    EmergentMeasure(by="emergent", choice=FILES, questions=FILES, judge="self"),
    GoodhartMeasure(by="goodhart", proxy="a.py:f", gold="a.py:g", prompts=FILES, shifted=FILES),
    HackingMeasure(by="hacking", proxy="a.py:f", gold="a.py:g", prompts=FILES),
    WorldMeasure(by="world", world="edited_tests"),
)
ASKED = "proxy: rule.py:f, gold: rule.py:g, prompts: other.jsonl"
GOODHART = f"- {{by: goodhart, {ASKED}}}\n- {{by: hacking, {ASKED}}}\n"
JUDGES = "def f(prompt, reply):\n    return 1.0\n\ndef g(prompt, reply):\n    return 2.0\n"
TRAIN = "train:\n- {by: sft, data: chosen}\n- by: dpo\n  beta: 0.2\n  lr: 1e-5\n"
MORE = [{"prompt": f"Go {word}."} for word in ("on", "off", "out")]
STOP = "  stop: {by: goodhart, gold: rule.py:g, prompts: watched.jsonl}\n"


def spec(folder: Path, promised: str, train: bool = True) -> Path:
    text = SPEC.split("promises:")[0].replace("- {by: tax, text: text.txt}\n", f"- {{by: tax, text: text.txt}}\n{GOODHART}")
    if not train:
        text = text.replace(TRAIN, "").replace("collect: {samples: 2}\n", "").replace("  prompts: prompts.jsonl\n", "")
    path = write(folder, f"{text}promises:\n- {promised}\nmodel: owner/name\n")
    (folder / "rule.py").write_text(JUDGES)
    jsonl(folder / "other.jsonl", *({"prompt": f"Say {word}."} for word in ("hay", "lee", "bay", *map(str, range(13)))))
    jsonl(folder / "watched.jsonl", *({"prompt": f"Row {word}."} for word in ("on", "off", "out", "in")))
    return path


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("goodhart.peak > 1", "measured of the start model alone"),
        ("goodhart.gold.best_of_4 > 0", "measured of the start model alone"),
        ("trilemma.capture.best_of_4 > 0", "measured of the start model alone"),
        ("goodhart.proxy.gain > 0", "so it has no gain"),
        ("hacking.proxy.gain > 0", "so it has no gain"),
        ("goodhart.covariance.gain > 0", "not compared with the start model item by item"),
        ("hacking.excess.gain > 0", "not compared with the start model item by item"),
        ("trilemma.gap.gain > 0", "not compared with the start model item by item"),
        ("hacking.feature < 1", "nothing here measures"),
        ("goodhart.sign.length < 1", "nothing here measures"),
    ],
)
def test_what_the_last_stage_will_not_hold_is_refused(tmp_path: Path, line: str, why: str) -> None:
    with pytest.raises(SpecError, match=why):
        load(spec(tmp_path, line))


@pytest.mark.parametrize("line", ["goodhart.kl < 9", "hacking.rate < 10%", "hacking.excess < 10%", "trilemma.capture > 0", "goodhart.gold.gain > 0"])
def test_what_only_a_trained_model_has_is_refused_without_training(tmp_path: Path, line: str) -> None:
    load(spec(tmp_path, line))  # the control
    without = spec(tmp_path, line, train=False)
    with pytest.raises(SpecError, match="there is no train stage"):
        load(without)


def test_without_training_the_start_model_is_the_last_stage() -> None:
    assert unanswerable(parse("goodhart.peak > 1"), trained=False) is None
    assert unanswerable(parse("trilemma.gap.best_of_4 < 1"), trained=False) is None
    assert unanswerable(parse("goodhart.peak > 1"), trained=True)


def test_what_has_no_better_side_is_what_the_findings_say() -> None:
    """The names here and the readings of `measure.findings` are two lists; they must say the same of every claim."""
    seen = 0
    for claim in (name.replace("*", "x") for stage in MEASURES for name in claims(stage)):
        try:
            how = reading(claim)
        except ValueError:
            continue  # a finding of its own, not of outcomes
        seen += 1
        refused = unanswerable(parse(f"{claim}.gain > 0" if not claim.startswith("tax.") else f"{claim} < 1"), trained=True) or ""
        assert ("counts as better" in refused) == (how.better is None), claim
    assert seen > 20
    assert len(NO_SIDE) == 8


def test_a_length_of_replies_is_no_cost() -> None:
    assert "it has no cost" in (unanswerable(parse("tax.generation.length < 5"), trained=True) or "")
    assert unanswerable(parse("tax.generation.loops < 5%"), trained=True) is None


def test_prompts_that_say_when_to_stop_are_not_measured(tmp_path: Path) -> None:
    path = spec(tmp_path, "goodhart.gold.gain > 0")
    path.write_text(path.read_text().replace("  lr: 1e-5\n", f"  lr: 1e-5\n{STOP}"))
    check(path)
    jsonl(tmp_path / "watched.jsonl", {"prompt": "Say row."}, {"prompt": "say  LEE."}, *MORE)
    with pytest.raises(SpecError, match=r"other\.jsonl:2 is measured, but the same prompt is used to say when to stop: .*watched\.jsonl:2"):
        check(path)
    jsonl(tmp_path / "watched.jsonl", {"prompt": "Is water wet?"}, *MORE)
    with pytest.raises(SpecError, match=r"watched\.jsonl:1 is watched, but the same prompt is trained on: .*pairs\.jsonl:1"):
        check(path)


def test_unit_tests_of_a_reward_that_could_not_be_told_are_refused_before_the_run(tmp_path: Path) -> None:
    """They need 16 prompts: a limit below that is refused by the record, files with fewer by the check."""
    path = spec(tmp_path, "goodhart.gold > 0")
    hacking = f"{{by: hacking, {ASKED}"
    whole = path.read_text()
    check(path)  # 16 prompts are enough
    path.write_text(whole.replace(hacking, f"{hacking}, limit: 16"))
    check(path)
    path.write_text(whole.replace(hacking, f"{hacking}, limit: 15"))
    with pytest.raises(SpecError, match=r"measure\.3\.hacking: limit: 15, but unit tests of a reward need 16 prompts, half of them to search"):
        load(path)
    path.write_text(whole.replace(hacking, f"{hacking}, unit_tests: false, limit: 4"))
    check(path)
    path.write_text(whole)
    jsonl(tmp_path / "other.jsonl", *({"prompt": f"Say {word}."} for word in range(15)))
    with pytest.raises(SpecError, match=r"measure\.3\.hacking\.prompts: 15 prompts, but unit tests of a reward need 16 prompts"):
        check(path)


def test_a_watch_with_too_few_prompts_is_refused_before_the_run(tmp_path: Path) -> None:
    assert WATCHED == LEAST_PROMPTS  # what training itself asks for
    path = spec(tmp_path, "goodhart.gold > 0")
    path.write_text(path.read_text().replace("  lr: 1e-5\n", f"  lr: 1e-5\n{STOP}"))
    check(path)
    jsonl(tmp_path / "watched.jsonl", *MORE)
    with pytest.raises(SpecError, match=r"train\.1\.dpo\.stop\.prompts: 3 prompts, by which nobody could tell .* give 4 at the very least"):
        check(path)
