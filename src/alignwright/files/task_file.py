"""What does a task file of lm-eval (YAML) depend on: the Python files of its functions, what it includes, its
data?

A task file is code: `!function utils.f` is imported and run where the tasks are. It is read here with
every such tag as a text, and nothing is run, so that a spec can be checked and a result be tied to the
content of all that it was made with.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import yaml

from alignwright.files.errors import SpecError
from alignwright.files.functions import dependencies


class Function(str):
    """The name after `!function`, as a text."""


class _Loader(yaml.SafeLoader):
    pass


def _function(loader: yaml.SafeLoader, node: yaml.Node) -> Function:
    return Function(loader.construct_scalar(cast("yaml.ScalarNode", node)))


_Loader.add_constructor("!function", _function)


def read_task_file(path: Path) -> dict[str, Any]:
    """What the file says, functions as their names. SpecError where it is no task file."""
    try:
        content: Any = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)  # noqa: S506 - a safe loader
    except OSError as error:
        raise SpecError([f"{path}: {error.strerror}"]) from None
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise SpecError([f"{path}: not a task file: {' '.join(str(error).split())}"]) from None
    if not isinstance(content, dict) or not ({"task", "group", "include"} & set(cast("dict[str, Any]", content))):
        raise SpecError([f"{path}: not a task file of lm-eval: it has no 'task', 'group' or 'include'"])
    return cast("dict[str, Any]", content)


def task_dependencies(path: Path) -> tuple[Path, ...]:
    """The files on which the results of a task file depend beside itself, in the order of their names."""
    files, queue = set[Path](), [path]
    while queue:
        file = queue.pop()
        if file in files:
            continue
        files.add(file)
        try:
            content = read_task_file(file)
        except SpecError:
            continue
        for text in _texts(content):
            if isinstance(text, Function):
                module = file.parent / f"{text.rpartition('.')[0].replace('.', '/')}.py"
                files |= set(dependencies(module)) if module.is_file() else set()
            else:
                place = file.parent / text if len(text) < 1000 and "\0" not in text else file.parent
                if place.is_file():
                    queue += [place] if place.suffix in (".yaml", ".yml") else []
                    files |= {place} if place.suffix not in (".yaml", ".yml") else set()
    return tuple(sorted(files - {path}))


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in cast("dict[Any, Any]", value).values():
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in cast("list[Any]", value):
            yield from _texts(inner)
