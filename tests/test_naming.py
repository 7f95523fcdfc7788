"""Are variables named by the noun of the thing, or by a participle standing alone (found, told, asked)? Has a name
one meaning?"""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

import pytest
from naming import SRC, bound_names, census, is_participle, offences, packages

LIMIT = 0.01


@pytest.mark.parametrize("package", packages())
def test_names_are_nouns(package):
    offenders, total = census(packages()[package])
    assert len(offenders) <= LIMIT * total, offences(offenders)


def test_the_whole_package_is_counted():
    counts = {package: census(path) for package, path in packages().items()}
    totals = {package: total for package, (_, total) in counts.items()}
    assert {"core", "model", "train", "worlds", "cli"} <= set(totals)
    assert sum(totals.values()) > 10_000
    assert sum(len(offenders) for offenders, _ in counts.values()) < LIMIT * sum(totals.values())


PLANTED = """
import json as asked
from pathlib import Path as told

class Found:
    known: int

    def __init__(self, given, *heard, wanted=0, **kept):
        self.lost = given

def seen():
    made: int = 1
    for shown in heard:
        left, (right, *drawn) = shown
    with open("x") as read:
        [moved for moved in read if (named := moved)]
    try:
        done += lambda judged, _taken: judged
    except ValueError as got:
        match got:
            case [meant, *gone]:
                pass
            case {"a": called, **put}:
                pass
            case str() as said:
                pass
"""


def test_a_planted_participle_is_counted_wherever_it_is_bound():
    first = ["asked", "told", "found", "known", "given", "heard", "wanted", "kept", "lost", "seen", "made", "shown"]
    rest = [
        "left",
        "drawn",
        "read",
        "moved",
        "named",
        "done",
        "judged",
        "taken",
        "got",
        "meant",
        "gone",
        "called",
        "put",
        "said",
    ]
    planted = [each for each in bound_names(ast.parse(PLANTED)) if is_participle(each)]
    assert {each.name.strip("_").lower() for each in planted} == {*first, *rest}


def test_nouns_verbs_and_the_fields_terms_are_not_counted():
    code = """
def read(chosen, rejected, clipped, padded, packed, asked_pair):
    labelled = observed.found + known.expected
    return [seen(told) for row in paired]
"""
    names = list(bound_names(ast.parse(code)))
    assert len(names) == 9
    assert not [each for each in names if is_participle(each)]


def public_classes(root: Path) -> dict[str, list[str]]:
    """The modules in which each public class is defined, by its name."""
    modules: dict[str, list[str]] = defaultdict(list)
    for path in sorted(root.rglob("*.py")):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                modules[node.name].append(str(path.relative_to(root)))
    return modules


def test_a_public_class_has_a_name_of_its_own(tmp_path):
    classes = public_classes(SRC)
    assert len(classes) > 200
    assert {name: modules for name, modules in classes.items() if len(modules) > 1} == {}
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.py").write_text("class Twice: ...\nclass _Private: ...\n")
    assert public_classes(tmp_path) == {"Twice": ["one/a.py", "two/a.py"]}  # control: a second one is seen
