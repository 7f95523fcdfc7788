"""Ledgers and run folders: a finished run whose files are made wrong, asked what is done, resumed,
reported, compared, drawn from.

What the ledger calls done is what the stage left, nothing outside the run's folder is touched, and
whatever else is read of a run ends in words.
"""

from __future__ import annotations

import io
import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import report_case
from rich.console import Console

from alignwright.core.records import Conversation, SampleResult
from alignwright.files.contents import contents
from alignwright.job.judge_cache import JudgeCache
from alignwright.job.ledger import Ledger
from alignwright.report import read, render, summary
from alignwright.run.chat import lessons_of
from alignwright.run.compare import compare, spec_changes
from alignwright.run.pareto_table import table
from alignwright.run.rates import machine, rates_of
from alignwright.run.run_folder import run_date as date_of
from alignwright.run.sample_replies import draw
from alignwright.run.saved_models import stale
from fuzzing import mutations
from fuzzing.trials import Fault, acting, refusal

JOBS = {"feedback.0.written": "a1", "aggregate.0": "b2", "measure.0.value@train.1.dpo": "c3"}
CLAIMS = ("value.refusal", "value.pairs", "tax.bits_per_byte", "attack.success")
RENDERED = 0.1
"""The share of cases in which page and card are written: the whole case is read in all."""


class Opened:
    def __init__(self, folder: Path) -> None:
        self.folder, self.whole = folder, folder / "whole"
        os.environ["ALIGNWRIGHT_CACHE"] = str(folder / "cache")
        self.run, self.sibling = folder / "runs" / "one", folder / "runs" / "two"
        _finished(self.whole)
        self.files = [path for path in sorted(self.whole.rglob("*")) if path.is_file()]
        self.right = {
            name: contents(self.whole / "stages" / f"{number:02d}-{name}") for number, name in enumerate(JOBS)
        }
        rates = {
            f"{machine()} | m": {
                "probe": {"read": 1.0, "write": 1.0, "train": 1.0},
                "load": 1.0,
                "runs": {"sft": [[1.0, 2.0]]},
            }
        }
        self.rates = json.dumps(rates).encode()
        self.shown, self.answers = 0, JudgeCache(folder / "answers.jsonl", "judge")
        self.answers.add(["k", "l"], [0.5, 1.0])

    def attempt(self, rng: random.Random) -> str:
        shutil.rmtree(self.run.parent, ignore_errors=True)
        shutil.copytree(self.whole, self.run)
        shutil.copytree(self.whole, self.sibling)
        for _ in range(rng.choice((1, 1, 2, 4))):
            self._damage(rng, rng.choice((self.run, self.run, self.sibling)))
        self._resumed(rng)
        ended = {self._kept(rng)}
        out = self.folder / "labels.jsonl"
        out.unlink(missing_ok=True)
        for asked in (
            lambda: self._reported(rng),
            lambda: compare(self.run, self.sibling),
            lambda: spec_changes(self.run, self.sibling),
            lambda: table([self.run, self.sibling], None, None, None),
            lambda: draw(self.run, out, each=2),
            lambda: (date_of(self.run), lessons_of(self.run)),
        ):
            ended.add(_asked(asked, str(self.run.parent)))
        return "refused" if "refused" in ended else "accepted"

    def _damage(self, rng: random.Random, run: Path) -> None:
        name = rng.choice(self.files).relative_to(self.whole)
        path, data = run / name, (self.whole / name).read_bytes()
        if not path.is_file():
            return
        match rng.randrange(8):
            case 0:
                path.unlink()
            case 1 if "stages" not in name.parts:
                path.unlink()
                path.mkdir()
            case 2 | 3 | 4 if path.suffix in (".json", ".done") or path.name == ".done":
                path.write_bytes(mutations.as_json(rng, mutations.mutated(rng, json.loads(data), rng.choice((1, 2)))))
            case 2 | 3 | 4 if path.suffix == ".jsonl":
                lines = data.split(b"\n")
                place = rng.randrange(max(1, len(lines) - 1))
                lines[place] = mutations.as_json(
                    rng, mutations.mutated(rng, json.loads(lines[place]), rng.choice((1, 2)))
                )
                path.write_bytes(b"\n".join(lines))
            case 5:
                path.write_bytes(rng.choice(self.files).read_bytes() if rng.random() < 0.5 else b"")
            case _:
                path.write_bytes(mutations.data(rng, data, rng.choice((1, 2))))

    def _resumed(self, rng: random.Random) -> None:
        """As a run that begins again, with stages that do nothing: what is done is believed, the
        rest is done anew."""
        beside = contents(self.sibling)
        ledger = Ledger(self.run)
        for number, (name, key) in enumerate(JOBS.items()):
            told = ledger.knows(name, key)
            place = ledger.finished_folder(name, key)
            if told != (place is not None):
                raise Fault("lost", f"{name} is known as {told} and done as {place}")
            if place is None:
                place = ledger.folder(number, name, key)
                _stage(place, name)
                ledger.finish(name, key, place, 1.0)
            if place.parent != self.run / "stages" or contents(place) != self.right[name]:
                raise Fault("lost", f"{place} is called done and is not what the stage left: {contents(place)}")
        if contents(self.sibling) != beside:
            raise Fault("lost", "another run's folder was touched")
        for line in ledger.warnings:
            if str(self.run.parent) not in line:
                raise Fault("unclear", f"no place in: {line!r}")
        if Ledger(self.run).entries.keys() != JOBS.keys():
            raise Fault("lost", "the stages that were finished are not known afterwards")
        stale(self.run / "model", "k")

    def _kept(self, rng: random.Random) -> str:
        """What is remembered outside a run: this machine's rates, a judge's answers."""
        cache, answers = self.folder / "cache" / "rates.json", self.folder / "kept.jsonl"
        cache.parent.mkdir(exist_ok=True)
        made = rng.random() < 0.5
        cache.write_bytes(
            mutations.as_json(rng, mutations.mutated(rng, json.loads(self.rates)))
            if made
            else mutations.data(rng, self.rates)
        )
        rates_of("m")
        answers.write_bytes(mutations.data(rng, self.answers.path.read_bytes() * 3, rng.choice((0, 1, 2))))
        JudgeCache(self.folder / "none.jsonl", "judge", [answers])
        return _asked(lambda: JudgeCache(answers, "judge"), str(answers))

    def _reported(self, rng: random.Random) -> None:
        case = read(self.run)
        if rng.random() < RENDERED:
            render(self.run)
            out = io.StringIO()
            Console(file=out, width=100).print(summary(case, self.run))
            acting(out.getvalue())


def _asked(asked: Callable[[], object], place: str) -> str:
    try:
        asked()
    except (ValueError, OSError) as error:
        return refusal(error, place, "no trained model has a change", "began from", kind=(ValueError, OSError))
    return "accepted"


def _finished(run: Path) -> None:
    """The folder of a run that came to its end."""
    for name in ("spec", "stages", "model"):
        (run / name).mkdir(parents=True)
    answers, findings = report_case.case()
    report_case.write(run, answers, [finding for finding in findings if finding.claim in CLAIMS])
    stages = {"train": [{"by": "dpo", "beta": 0.1}], "measure": [{"by": "value"}]}
    spec = {"name": "one", "model": "m", "date": "2024-07-26", **stages}
    (run / "spec" / "resolved.json").write_text(json.dumps(spec))
    (run / "spec" / "provenance.json").write_text(json.dumps({"weights": "abc", "packages": {"torch": "2"}}))
    ledger = Ledger(run)
    for number, (name, key) in enumerate(JOBS.items()):
        place = ledger.folder(number, name, key)
        _stage(place, name)
        ledger.finish(name, key, place, 1.0)
    (run / "model" / "config.json").write_text("{}")
    (run / "model" / ".key").write_text(json.dumps({"key": "k", "files": contents(run / "model")}))


def _stage(place: Path, name: str) -> None:
    """What a stage leaves, always the same."""
    said: dict[str, Any] = {
        "claim": "value.refusal",
        "status": "pass",
        "value": 1.0,
        "prompt": Conversation.user("Is rain wet?"),
    }
    lines = [SampleResult(item=f"{name} {i}", reply=f"No, {i}.", **said).model_dump_json() + "\n" for i in range(4)]
    (place / "outcomes.jsonl").write_text("".join(lines))
    (place / "steps").mkdir(exist_ok=True)
    (place / "steps" / "log.json").write_text("{}")
