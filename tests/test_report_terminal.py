"""Does the last screen read well in eighty columns, and the model card stay valid, whatever is
in them?"""

from __future__ import annotations

import io
import re

import huggingface_hub
import pytest
import report_case as material
import yaml
from rich.console import Console
from test_report_page import HOSTILE, make

from alignwright.report import results as cases
from alignwright.report import summary
from alignwright.report.card import card


def printed(case: cases.RunResults, width: int = 80, *, tty: bool = False, folder=None, encoding: str = "utf-8") -> str:
    out = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    Console(file=out, width=width, force_terminal=tty, color_system="truecolor" if tty else None).print(
        summary(case, folder)
    )
    out.flush()
    return out.buffer.getvalue().decode(encoding)


def test_promises_then_numbers_then_files(tmp_path):
    material.write(tmp_path, *material.case())
    text = printed(make(), folder=tmp_path, width=500)  # a long path would be folded, and not found
    assert (
        text.index("2 kept")
        < text.index("undecided: the interval")
        < text.index("before")
        < text.index("findings.jsonl")
    )
    assert "96/100" in text
    assert "report.html" not in text  # it was not written, so it is not offered


def test_of_one_model_alone_there_is_no_before_and_no_now():
    answers, findings = material.case()
    levels = [f for f in findings if f.stage == "baseline" and f.against is None]
    text = printed(material.results(answers, levels))
    row = next(line for line in text.splitlines() if line.startswith("value.refusal "))
    assert re.search(r"value\.refusal +\d+\.\d% \[\d+\.\d, \d+\.\d\] +96", row)
    assert "measured [95%]" in text
    assert "before" not in text
    assert "before" in printed(make())  # the control


def test_eighty_columns_and_plain_when_piped():
    text = printed(make())
    assert max(map(len, text.splitlines())) <= 80
    assert "\x1b" not in text
    assert "\x1b[" in printed(make(), tty=True)


def test_nothing_hostile_reaches_the_terminal():
    text = printed(make(HOSTILE + "[bold]\x1b]0;owned\x07"))
    assert not set("\x1b\x07\u202e\u200b") & set(text)
    assert "[bold]" in text
    assert "owned" not in text


def test_a_terminal_without_unicode_gets_ascii():
    assert "^ +37.5 [+22.1, +52.6]" in printed(make(), encoding="ascii")


def test_an_empty_case_prints():
    assert "no promise was made" in printed(cases.RunResults(make().header, (), ()))


@pytest.mark.parametrize("hostile", ["", HOSTILE + "\n---\nlicense: evil\n# h | x"])
def test_the_card_is_valid_and_its_body_inert(hostile):
    text = card(make(hostile))
    front = huggingface_hub.ModelCard(text).data.to_dict()
    assert front == yaml.safe_load(text.split("---")[1])
    assert front["base_model"] == "HuggingFaceTB/SmolLM2-135M-Instruct"
    assert (front["license"], front["library_name"]) == ("apache-2.0", "transformers")
    assert {"alignwright", "sft", "dpo"} <= set(front["tags"])
    body = text.split("---", 2)[2]
    assert "<" not in body
    headings = [line for line in body.splitlines() if line.startswith("#")]
    middle = [
        "## Promises",
        "## Results",
        "## Gain against cost",
        "## Refused judges",
        "## How it was made",
        "### Principles",
    ]
    assert headings[1:] == [*middle, "## Limits"]
    tables = [line for line in body.splitlines() if line.startswith("|")]
    assert {line.count("|") for line in tables} == {4, 7}


def test_the_card_claims_no_base_model_it_cannot_know():
    header = make().header.model_copy(update={"model": "./my-model"})
    front = yaml.safe_load(card(cases.RunResults(header, (), ())).split("---")[1])
    assert "base_model" not in front
    assert front["license"] == "other"
    hub = header.model_copy(update={"model": "someone/some-model"})
    assert yaml.safe_load(card(cases.RunResults(hub, (), ())).split("---")[1])["base_model"] == "someone/some-model"
