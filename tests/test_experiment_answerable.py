"""Is a promise that no run could answer refused before the run, and does every claim that is let
through have its finding?"""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest
from claims_case import CLAIMS
from spec_case import SPEC, jsonl, write

from alignwright.core.claims import Claim, claim_named
from alignwright.core.promises import Promise, parse
from alignwright.experiment.answerable import out_of_range, unanswerable
from alignwright.experiment.check import check
from alignwright.experiment.load import load
from alignwright.files.errors import SpecError
from alignwright.train.early_stopping import LEAST_PROMPTS
from alignwright.train.knobs_loop import WATCHED

ASKED = "proxy: rule.py:f, gold: rule.py:g, prompts: other.jsonl"
GOODHART = f"- {{by: goodhart, {ASKED}}}\n- {{by: hacking, {ASKED}}}\n"
JUDGES = "def f(prompt, reply):\n    return 1.0\n\ndef g(prompt, reply):\n    return 2.0\n"
TRAIN = "train:\n- {by: sft, data: chosen}\n- by: dpo\n  beta: 0.2\n  lr: 1e-5\n"
MORE = [{"prompt": f"Go {word}."} for word in ("on", "off", "out")]
STOP = "  stop: {by: goodhart, gold: rule.py:g, prompts: watched.jsonl}\n"


def of(line: str) -> tuple[Promise, Claim]:
    """A promise, and the claim that it is about."""
    promise = parse(line)
    return promise, claim_named(promise.claim, CLAIMS)


def spec(folder: Path, promised: str, train: bool = True) -> Path:
    text = SPEC.split("promises:")[0].replace(
        "- {by: tax, text: text.txt}\n", f"- {{by: tax, text: text.txt}}\n{GOODHART}"
    )
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


@pytest.mark.parametrize(
    "line",
    ["goodhart.kl < 9", "hacking.rate < 10%", "hacking.excess < 10%", "trilemma.capture > 0", "goodhart.gold.gain > 0"],
)
def test_what_only_a_trained_model_has_is_refused_without_training(tmp_path: Path, line: str) -> None:
    load(spec(tmp_path, line))  # the control
    without = spec(tmp_path, line, train=False)
    with pytest.raises(SpecError, match="there is no train stage"):
        load(without)


def test_without_training_the_start_model_is_the_last_stage() -> None:
    assert unanswerable(*of("goodhart.peak > 1"), trained=False) is None
    assert unanswerable(*of("trilemma.gap.best_of_4 < 1"), trained=False) is None
    assert unanswerable(*of("goodhart.peak > 1"), trained=True)


def test_every_claim_that_can_be_measured_has_a_unit_and_limits() -> None:
    """Its unit and range are known, a promise inside them passes, and one on a side that is no
    better is refused."""
    seen = 0
    for claim in (each.but(name=each.name.replace("*", "x")) for each in CLAIMS if each.promisable):
        name, tax = claim.name, claim.axis == "tax"
        seen += 1
        low, high = claim.change_within if tax else claim.within
        inside = 0.5 if math.isinf(low) or math.isinf(high) else (low + high) / 2
        assert out_of_range(parse(f"{name} < {inside}"), claim) is None, name
        assert math.isinf(high) or out_of_range(parse(f"{name} < {high + 1}"), claim), name
        refused = unanswerable(parse(f"{name} < 1" if tax else f"{name}.gain > 0"), claim, trained=True) or ""
        assert "counts as better" not in refused or claim.better is None, name
    assert seen > 50


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (
            "value.over_refusal < 3000%",
            r"value\.over_refusal is a share from 0 to 1 \(0% to 100%\), so no run could fail it",
        ),
        ("value.refusal > -1", r"a share from 0 to 1 \(0% to 100%\), so no run could fail it"),
        ("value.refusal >= 0", "so no run could fail it"),
        ("value.refusal <= 100%", "so no run could fail it"),
        ("value.refusal > 30", "so no run could keep it; if you mean per cent, write 30%"),
        ("attack.success <= 0", "so no run could keep it, since an interval is never of zero width"),
        (
            "value.refusal.gain > 5",
            r"the gain in value\.refusal is a share from -1 to 1 \(-100% to 100%\), so no run could keep it",
        ),
        (
            "tax.bits_per_byte < 2%",
            r"the cost in tax\.bits_per_byte is in bits/byte of any size, so per cent means nothing here",
        ),
        ("goodhart.kl >= 0", r"goodhart\.kl is in nats of 0 or more, so no run could fail it"),
        ("goodhart.kl < 5%", "so per cent means nothing here"),
        ("trilemma.optimization < 1.5", "is a number from -1 to 1, so no run could fail it"),
        ("value.refusal < 1e999", "'1e999' is too large a number"),
    ],
)
def test_a_promise_that_no_run_could_fail_or_keep_is_refused_with_its_line(tmp_path: Path, line: str, why: str) -> None:
    path = spec(tmp_path, line)
    place = next(n for n, text in enumerate(path.read_text().split("\n"), 1) if text == f"- {line}")
    with pytest.raises(SpecError, match=rf"spec\.yaml:{place}: promises\.0: .*{why}"):
        load(path)


@pytest.mark.parametrize(
    "line",
    [
        "value.over_refusal < 30%",
        "value.refusal > 0",
        "value.refusal.gain > -0.05",
        "tax.bits_per_byte < 0.02",
        "goodhart.gold > -9",
    ],
)
def test_a_promise_that_runs_can_differ_on_is_let_through(tmp_path: Path, line: str) -> None:
    load(spec(tmp_path, line))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("value.refusal > 50%", "value.refusal < 0.3"),
        ("value.refusal < 0.3", "value.refusal >= 0.3"),
        ("tax.bits_per_byte < 0.02", "tax.bits_per_byte.gain < -0.05"),
    ],
)
def test_promises_that_no_run_could_keep_together_are_refused(tmp_path: Path, first: str, second: str) -> None:
    with pytest.raises(SpecError, match=rf"promises\.1: no run could keep both this and '{re.escape(first)}'"):
        load(spec(tmp_path, f"{first}\n- {second}"))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("value.refusal > 30%", "value.refusal < 0.9"),
        ("value.refusal > 0.5", "value.refusal.gain < 0.3"),
        ("value.refusal > 0.5", "value.over_refusal < 0.3"),
    ],
)
def test_promises_that_leave_room_are_let_through(tmp_path: Path, first: str, second: str) -> None:
    load(spec(tmp_path, f"{first}\n- {second}"))


def test_a_length_of_replies_is_no_cost() -> None:
    assert "it has no cost" in (unanswerable(*of("tax.generation.length < 5"), trained=True) or "")
    assert unanswerable(*of("tax.generation.loops < 5%"), trained=True) is None


def test_prompts_that_say_when_to_stop_are_not_measured(tmp_path: Path) -> None:
    path = spec(tmp_path, "goodhart.gold.gain > 0")
    path.write_text(path.read_text().replace("  lr: 1e-5\n", f"  lr: 1e-5\n{STOP}"))
    check(path)
    jsonl(tmp_path / "watched.jsonl", {"prompt": "Say row."}, {"prompt": "say  LEE."}, *MORE)
    with pytest.raises(
        SpecError,
        match=r"other\.jsonl:2 is measured, but the same prompt is used to say when to stop: .*watched\.jsonl:2",
    ):
        check(path)
    jsonl(tmp_path / "watched.jsonl", {"prompt": "Is water wet?"}, *MORE)
    with pytest.raises(
        SpecError, match=r"watched\.jsonl:1 is watched, but the same prompt is trained on: .*pairs\.jsonl:1"
    ):
        check(path)


def test_unit_tests_of_a_reward_that_could_not_be_told_are_refused_before_the_run(tmp_path: Path) -> None:
    """They need 16 prompts: a limit below that is refused by the record, files with fewer by the
    check."""
    path = spec(tmp_path, "goodhart.gold > 0")
    hacking = f"{{by: hacking, {ASKED}"
    whole = path.read_text()
    check(path)  # 16 prompts are enough
    path.write_text(whole.replace(hacking, f"{hacking}, limit: 16"))
    check(path)
    path.write_text(whole.replace(hacking, f"{hacking}, limit: 15"))
    with pytest.raises(
        SpecError,
        match=r"measure\.3\.hacking: limit: 15, but unit tests of a reward need 16 prompts, half of them to search",
    ):
        load(path)
    path.write_text(whole.replace(hacking, f"{hacking}, unit_tests: false, limit: 4"))
    check(path)
    path.write_text(whole)
    jsonl(tmp_path / "other.jsonl", *({"prompt": f"Say {word}."} for word in range(15)))
    with pytest.raises(
        SpecError, match=r"measure\.3\.hacking\.prompts: 15 prompts, but unit tests of a reward need 16 prompts"
    ):
        check(path)


def test_a_watch_with_too_few_prompts_is_refused_before_the_run(tmp_path: Path) -> None:
    assert WATCHED == LEAST_PROMPTS  # what training itself asks for
    path = spec(tmp_path, "goodhart.gold > 0")
    path.write_text(path.read_text().replace("  lr: 1e-5\n", f"  lr: 1e-5\n{STOP}"))
    check(path)
    jsonl(tmp_path / "watched.jsonl", *MORE)
    with pytest.raises(
        SpecError,
        match=r"train\.1\.dpo\.stop\.prompts: 3 prompts, by which nobody could tell .* give 4 at the very least",
    ):
        check(path)
