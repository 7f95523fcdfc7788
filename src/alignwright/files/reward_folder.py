"""Is a judge's name a reward model in a folder (a sequence classifier with one label) or a probe, and can it score?

`reward: ./runs/NAME` names a run that left a reward model, or a folder that holds one: a sequence
classifier with one label, as transformers opens it, in safetensors, with a chat template. A folder
with a `probe.json` is a probe of the start model, as `lens: {by: probe}` leaves it. Only files are
looked at, so a spec is checked without torch.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from alignwright.files import safe_read
from alignwright.files.model_folder import architectures, json_object, trouble

VERDICT = "verdict.json"
"""Beside an exported reward model: whether it had signal where it was trained, and the numbers
in words."""
PROBE = "probe.json"
_KIND = "ForSequenceClassification"
_RULES = (".py", ".yaml", ".yml")


class NoReward(ValueError):
    """A folder that holds no reward model."""


class NoClassifier(ValueError):
    """A reward model over a trunk for which transformers has no sequence classifier."""


def names_folder(name: str) -> bool:
    """Whether a judge's name is that of a folder: no built-in judge, no rule of a file, no
    function of a module."""
    return name not in ("reward", "feedback") and ":" not in name and not name.endswith(_RULES)


def reward_folder(path: Path) -> Path:
    """The folder of the classifier: the path itself, or what a run of that path left. Raises
    NoReward saying what is there instead."""
    if not safe_read.is_folder(path):
        state = "is a file" if safe_read.is_file(path) else "is not there"
        raise NoReward(
            f"{path} {state}; a judge is reward, feedback, rules.yaml, file.py:function, or the folder of a saved probe"
            " or of a run that left a reward model"
        )
    if is_probe(path):
        return path
    places = [place for place in (path, path / "reward", path / "model") if (place / "config.json").is_file()]
    configs = [(place, _config(place)) for place in places]
    for place, config in configs:
        if any(name.endswith(_KIND) for name in architectures(config)):
            if wrong := _wrong(place, config):
                raise NoReward(f"{place}: {wrong}")
            return place
    if not configs:
        raise NoReward(
            f"{path} holds no model (no config.json in it, in its reward/ or its model/); name a run whose spec trains"
            " {by: reward}"
        )
    kinds = ", ".join(architectures(configs[-1][1]) or ["a model of no known kind"])
    raise NoReward(
        f"{configs[-1][0]} is {kinds}, which gives no score to a reply; name a run whose spec trains {{by: reward}}"
    )


def is_probe(folder: Path) -> bool:
    """Whether the folder holds a linear probe of activations."""
    return (folder / PROBE).is_file()


def verdict(folder: Path) -> str | None:
    """What was said against an exported reward model, or a probe, where it was trained; None where nothing
    was, or nothing is known."""
    if is_probe(folder):
        sidecar = json_object(folder / PROBE)
        meta = _mapping(_mapping(sidecar).get("meta"))
        reason = str(meta.get("reason") or "nothing says what it is worth beside its controls")
        return None if meta.get("verdict") == "signal" else reason
    path = folder / VERDICT
    record = json_object(path) if path.is_file() else {}
    return str(record.get("reason", "")) if isinstance(record, dict) and record.get("signal") is False else None


def _mapping(value: object) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _config(folder: Path) -> dict[str, Any]:
    config = json_object(folder / "config.json")
    if isinstance(config, str):
        raise NoReward(config)
    return config


def _wrong(folder: Path, config: dict[str, Any]) -> str | None:
    labels: object = config.get("id2label")
    count = len(labels) if isinstance(labels, dict) else config.get("num_labels", 2)  # pyright: ignore[reportUnknownArgumentType]
    if count != 1:
        return f"it has {count} labels, and a reward model has one: its score"
    if not list(folder.glob("*.safetensors")):
        return "it has no weights in safetensors; other kinds can run code when they are opened"
    if not (folder / "chat_template.jinja").is_file() and "chat_template" not in _text(
        folder / "tokenizer_config.json"
    ):
        return "its tokenizer has no chat template, so a conversation cannot be put to it"
    return trouble(folder)


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
