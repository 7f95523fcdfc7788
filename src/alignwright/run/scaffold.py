"""How does somebody start? With a small project that runs as it is and says in comments what to
change, or with one of the examples.

The examples are those of the repository, `examples/`: the wheel carries them inside the package. A
project made of one holds its spec as `spec.yaml` and the files that the spec names, and no others.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import yaml

from alignwright.files.errors import did_you_mean
from alignwright.files.models import INSTALL, bundled_model_installed

TEMPLATE = Path(__file__).parent / "template"
_PACKAGE = Path(__file__).parents[1]
FOLDER = _PACKAGE / "examples" if (_PACKAGE / "examples").is_dir() else _PACKAGE.parents[1] / "examples"
"""The examples: in the package as a wheel installs it, or in the repository that it is run from."""
EXAMPLES = {
    "quickstart": "quickstart/spec.yaml",
    "rlhf": "rlhf.yaml",
    "constitutional": "constitutional.yaml",
    "dpo": "dpo.yaml",
    "tax_front": "tax_front.yaml",
    "goodhart": "goodhart.yaml",
    "goodhart_stopped": "goodhart_stopped.yaml",
    "audit": "audit.yaml",
    "conduct": "conduct.yaml",
    "lens": "lens.yaml",
    "lens_diff": "lens_diff.yaml",
    "oversight": "oversight.yaml",
    "values": "values.yaml",
}
"""What `new --from` takes, and the spec of each."""
_OF_ANY_MODEL = ("audit", "conduct", "lens", "oversight")
_NAME_LINE, _NOT_IN_A_NAME = re.compile(r"(?m)^name:.*$"), re.compile(r"[^A-Za-z0-9._-]+")
LONGEST_NAME = 50
_DATA_FOLDER = re.compile(r"(?<![\w/])(?:quickstart|goodhart)/")
"""What stands before a file's name in an example's spec and not in a project's, which has one folder."""


def scaffold(folder: Path, example: str | None = None) -> str:
    """Copy the template project, or an example, into a new folder; returns what to do next.

    Raises FileExistsError when something is there, and ValueError for an example that there is not.
    """
    if example is not None and example not in EXAMPLES:
        raise ValueError(f"--from {example}: there is no such example; {did_you_mean(example, EXAMPLES)}")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise FileExistsError(f"{folder} is not empty; name a new folder")
    if example is None:
        shutil.copytree(TEMPLATE, folder, dirs_exist_ok=True)
        first = f"edit {folder}/constitution.md, pairs.jsonl and heldout/"
    else:
        _copy_example(example, folder)
        first = f"read {folder}/spec.yaml and what it names"
    spec = folder / "spec.yaml"
    _name_after(folder, spec)
    last = f"audit {spec} --model NAME" if example in _OF_ANY_MODEL else f"align {spec}"
    steps = [first, f"alignwright check {spec}", f"alignwright {last}"]
    if not bundled_model_installed():
        steps.insert(1, f"{INSTALL} (the model that the spec names), or name another under 'model:'")
    return "\n".join((f"made {folder}", *(f"  {number}. {step}" for number, step in enumerate(steps, start=1))))


def _name_after(folder: Path, spec: Path) -> None:
    """Call the project's runs as its folder is called. Two projects with one name and equal words
    would share a run folder, where the later run takes the earlier one's place."""
    name = _NOT_IN_A_NAME.sub("-", folder.resolve().name).strip("-._")[:LONGEST_NAME]
    if name:
        line = yaml.safe_dump({"name": name}, allow_unicode=True).strip()  # quoted where it reads as a number
        spec.write_text(_NAME_LINE.sub(lambda _: line, spec.read_text(encoding="utf-8"), count=1), encoding="utf-8")


def _copy_example(example: str, folder: Path) -> None:
    spec = FOLDER / EXAMPLES[example]
    text = spec.read_text(encoding="utf-8")
    for name in dict.fromkeys(_named_files(yaml.safe_load(text), spec.parent)):
        target = folder / _DATA_FOLDER.sub("", name)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(spec.parent / name, target)
    text = _DATA_FOLDER.sub("", text.replace(f"examples/{EXAMPLES[example]}", "spec.yaml"))
    (folder / "spec.yaml").write_text(text, encoding="utf-8")


def _named_files(value: object, folder: Path) -> Iterator[str]:
    """Every file beside the spec that one of its values names, also as `file.py:function`."""
    match value:
        case dict():
            for inner in cast("dict[str, Any]", value).values():
                yield from _named_files(inner, folder)
        case list():
            for inner in cast("list[Any]", value):
                yield from _named_files(inner, folder)
        case str() if (folder / (name := value.partition(":")[0])).is_file():
            yield name
        case _:
            pass
