"""Whose is a model, under which terms, and what was it made from, as its own files say?

A GGUF file says it in its header (`general.license`, `general.base_model.*`); a folder in the front
matter of its README.md, the Hub's model card, and in a LICENSE beside it. A licence holds for what
is made of the model, too, so the card of a run repeats it, and the texts go with what is saved.
Nothing is guessed: where the files say nothing, that is said.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any, cast

from alignwright.files import safe_read
from alignwright.files.errors import SpecError
from alignwright.files.models import HUB_ID, ModelRef, gguf_facts

_TEXTS = re.compile(r"(LICEN[CS]E|NOTICE|USE_POLICY|TERMS)([-_.][\w.-]*)?", re.IGNORECASE)
_MOST = 300
"""Characters of one fact, and of a card's front matter a hundred times as many."""
_REPOSITORY = re.compile(r"https://huggingface\.co/([A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)/?")


def model_terms(model: ModelRef) -> dict[str, str]:
    """The facts of a card: license, license_name, license_link, base_model, and in plain words
    what else the model's files say of it. Empty for the bundled model and for one on the Hub, whose
    card is there."""
    if model.path is None or model.kind == "bundled":
        return {}
    terms = _of_gguf(model.path) if model.kind == "gguf" else _of_folder(model.path)
    if not terms.get("license"):
        what = "GGUF file" if model.kind == "gguf" else "model's folder"
        terms["terms"] = f"the {what} names no licence; ask whoever made it before the model is passed on"
    return {name: value for name, value in terms.items() if value}


def licence_texts(folder: Path) -> list[Path]:
    """The files of a model's folder that hold its licence or are to be passed on with it."""
    return [file for file in sorted(folder.iterdir()) if _TEXTS.fullmatch(file.name) and file.is_file()]


def pass_on_licence(model: ModelRef, folder: Path) -> None:
    """Put the texts of a model's licence beside what was made of it."""
    if model.kind == "folder" and model.path is not None:
        for file in licence_texts(model.path):
            shutil.copyfile(file, folder / file.name)


def _of_gguf(path: Path) -> dict[str, str]:
    facts = gguf_facts(path)
    repository = _REPOSITORY.fullmatch(facts.get("base_model.0.repo_url", ""))
    return {
        "named in its file": ", ".join(facts[key] for key in ("name", "organization") if key in facts),
        "license": facts.get("license", ""),
        "license_name": facts.get("license.name", ""),
        "license_link": facts.get("license.link", ""),
        "base_model": repository.group(1) if repository else "",
        "made from": facts.get("base_model.0.name", ""),
    }


def _of_folder(folder: Path) -> dict[str, str]:
    card, why_not = _front_matter(folder / "README.md")
    base = card.get("base_model")
    bases = [str(name) for name in cast("list[object]", base)] if isinstance(base, list) else [str(base or "")]
    texts = licence_texts(folder)
    return {
        "license": _fact(card, "license"),
        "license_name": _fact(card, "license_name"),
        "license_link": _fact(card, "license_link"),
        "base_model": bases[0] if HUB_ID.fullmatch(bases[0]) else "",
        "licence text": ", ".join(file.name for file in texts),
        "its card": why_not,
    }


def _front_matter(readme: Path) -> tuple[dict[str, Any], str]:
    """The metadata of a model card; empty where there is none, and why where it cannot be read."""
    try:
        text = safe_read.text(readme) if safe_read.is_file(readme) else ""
        match = re.match(r"---\n(.*?)\n---(?:\n|$)", text[: 100 * _MOST], re.DOTALL)
        data: object = safe_read.yaml_data(match.group(1), readme.name) if match else {}
    except (OSError, UnicodeDecodeError, SpecError) as error:
        return {}, f"README.md of the model cannot be read: {' '.join(str(error).split())[:_MOST]}"
    return (cast("dict[str, Any]", data), "") if isinstance(data, dict) else ({}, "")


def _fact(card: dict[str, Any], name: str) -> str:
    value = card.get(name)
    return value.strip()[:_MOST] if isinstance(value, str) else ""
