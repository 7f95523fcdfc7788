"""Where in the YAML file does each value stand?

The file is composed into nodes, never constructed into objects, so nothing in it can run. Plain
words are read by the rules of YAML 1.2: `no` and `on` are words, `1e-5` is a number, dates are
texts. A key given twice is an error, not a silent last-one-wins.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import yaml

from alignwright.files import safe_read
from alignwright.files.errors import Loc, SpecError, dotted

_TAG = "tag:yaml.org,2002:"
_NUMBER = re.compile(r"^[-+]?(\.\d+|\d+(_\d+)*(\.\d*)?)([eE][-+]?\d+)?$")


class _Loader(yaml.SafeLoader):
    """SafeLoader with the plain scalars of YAML 1.2, without dates."""

    # PyYAML's own class attribute: the patterns tried on plain scalars by first character, None for any
    yaml_implicit_resolvers = {  # noqa: RUF012
        None: [
            (_TAG + "null", re.compile(r"^(~|null|)$")),
            (_TAG + "bool", re.compile(r"^(true|false)$", re.IGNORECASE)),
            (_TAG + "int", re.compile(r"^[-+]?\d+(_\d+)*$")),
            (_TAG + "float", _NUMBER),
        ]
    }


@dataclass
class Document:
    """A file's data, and for each path into it the words that say where it stands."""

    data: Any
    where: dict[Loc, str] = field(default_factory=dict[Loc, str])

    def place(self, loc: Loc) -> str:
        """Where the path stands, or the nearest thing around it."""
        while loc and loc not in self.where:
            loc = loc[:-1]
        return self.where.get(loc, "")


def read(text: str, file: str) -> Document:
    """Read YAML text, keeping the line of every value."""
    try:
        node: Any = yaml.compose(text, _Loader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark is not None else 1
        raise SpecError([f"{file}:{line}: not valid YAML: {error.problem or error.context}"]) from None
    except yaml.YAMLError as error:
        raise SpecError([f"{file}:1: not valid YAML: {' '.join(str(error).split())}"]) from None
    except RecursionError:
        raise SpecError([f"{file}:1: values lie within values too deep to be read"]) from None
    safe_read.yaml_values(node, file)
    builder = _Builder(file)
    data = builder.build(node, ()) if node is not None else None
    if builder.problems:
        raise SpecError(builder.problems)
    return Document(data, {(): f"{file}:1"} | builder.where)


class _Builder:
    def __init__(self, file: str) -> None:
        self.file = file
        self.where: dict[Loc, str] = {}
        self.problems: list[str] = []
        self._open: list[Any] = []

    def build(self, node: Any, loc: Loc) -> Any:
        self.where.setdefault(loc, self._line(node))
        if any(node is above for above in self._open):
            self.problems.append(f"{self._line(node)}: {dotted(loc)}: an alias that contains itself")
            return None
        self._open.append(node)
        try:
            if isinstance(node, yaml.MappingNode):
                return self._mapping(node, loc)
            if isinstance(node, yaml.SequenceNode):
                return [self.build(item, (*loc, place)) for place, item in enumerate(node.value)]
            return self._scalar(node, loc)
        finally:
            self._open.pop()

    def _mapping(self, node: yaml.MappingNode, loc: Loc) -> dict[str, Any]:
        mapping: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = str(key_node.value)
            here = (*loc, key)
            if key in mapping:
                first = self.where[here].rsplit(":", 1)[-1]
                self.problems.append(
                    f"{self._line(key_node)}: {dotted(here)}: given twice; the first is on line {first}"
                )
                continue
            self.where[here] = self._line(key_node)
            mapping[key] = self.build(value_node, here)
        return mapping

    def _scalar(self, node: Any, loc: Loc) -> str | int | float | bool | None:
        tag, text = str(node.tag).removeprefix(_TAG), str(node.value)
        match tag:
            case "null":
                return None
            case "bool" if text.lower() in ("true", "false"):
                return text.lower() == "true"
            case "int":
                return self._whole(node, loc, text)
            case "float" if _NUMBER.fullmatch(text):
                return float(text)
            case "float" | "bool":  # by a tag of its own: what is untagged is only taken for one where it is one
                self.problems.append(
                    f"{self._line(node)}: {dotted(loc)}: {text[:80]!r} is no {tag}; write a plain value"
                )
                return None
            case "str":
                return text
            case _:
                self.problems.append(
                    f"{self._line(node)}: {dotted(loc)}: the tag {node.tag} is not read here; write a plain value"
                )
                return None

    def _whole(self, node: Any, loc: Loc, text: str) -> int | None:
        try:
            return int(text)
        except ValueError:  # Python reads no number of thousands of digits
            self.problems.append(f"{self._line(node)}: {dotted(loc)}: a number of {len(text)} digits is not read")
            return None

    def _line(self, node: Any) -> str:
        return f"{self.file}:{node.start_mark.line + 1}"
