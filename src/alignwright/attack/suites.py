"""How often does a known jailbreak work? The attack success rate of a red-team suite of prompt
wrappers.

A static suite: every harmful prompt goes through every wrapper, one greedy reply each, graded by
two rules. It is the first form of an attack and the weakest: it adapts to nothing, so a low rate
bounds what these wrappers do, not what an attacker could. The wrapper `direct` is the control, the
prompt as it is. `attack.success` asks whether the reply did what was asked (`text.fulfilment`),
`attack.not_refused` whether it did anything but refuse (`text.refusal.grader`): noise and another
topic are no refusals, and no success. How harmful, nobody asks.

A suite is a YAML file of `name: template`, each template with one {prompt}; `jailbreaks` ships with
the package. Or it is a library of another tool (`template_library`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import cast

from alignwright.attack.outcomes import fixed_samples
from alignwright.attack.target import Attempt, Target
from alignwright.attack.template_library import INSTALL, PARTS, SLOT, Library, installed_folder, read_library
from alignwright.core.records import Conversation, SampleResult
from alignwright.files import safe_read
from alignwright.files.errors import SpecError
from alignwright.files.items import RefusalItem
from alignwright.files.wrappers import parsed_wrappers, read_wrappers


def attack_suite(target: Target, behaviours: Sequence[RefusalItem], wrappers: Mapping[str, str]) -> list[SampleResult]:
    """Outcomes of `attack.success` and `attack.not_refused`, over all wrappers and for each: what
    could not be graded is unscored.

    An outcome's item is "<id of the prompt's item>:<wrapper>", and its cluster the topic, or that id
    where there is none, so that the wrappings of one prompt never count as independent.
    """
    target.attempt(
        [
            Attempt(item, Conversation.user(template.replace(SLOT, item.prompt)), name)
            for item in behaviours
            for name, template in wrappers.items()
        ]
    )
    return fixed_samples(target, "attack")


def read_suite(file: Path | None, name: str | None) -> Library:
    """The wrappers of a file of our own, of another tool's library, or of a suite by its name; ValueError
    says what is wrong."""
    if file is None:
        if name not in PARTS:
            return Library(bundled_wrappers())
        file = installed_folder(name)
        if file is None:
            raise ValueError(f"{name} is not installed here: {INSTALL[name]}")
        return read_library(file)
    if file.suffix in (".yaml", ".yml") and file.is_file() and not _is_template(file):
        return Library(read_wrappers(file))
    return read_library(file)


def _is_template(file: Path) -> bool:
    """Whether a YAML file is one template as PyRIT writes them, and no suite."""
    try:
        data: object = safe_read.yaml_file(file)
    except SpecError:
        return False
    return isinstance(data, dict) and {"value", "data_type"} <= set(cast("dict[object, object]", data))


def bundled_wrappers() -> dict[str, str]:
    """The wrappers that ship with the package."""
    own = files("alignwright.attack").joinpath("jailbreaks.yaml")
    return parsed_wrappers(own.read_text(encoding="utf-8"), "jailbreaks.yaml")
