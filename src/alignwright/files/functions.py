"""Has a Python file the function that a spec names, what does it ask for, and on which files beside
it does it depend?

The file is parsed and never run: whoever checks a spec has not yet agreed to run what it names.
Every name that is bound anywhere in the file counts, so that what is imported, assigned or defined
under a condition is not called missing; a file with `from x import *` could bind anything and is
left alone until the run begins.

A function takes the prompt and the reply, and by name any further columns of the row: `def
score(prompt, reply, answer)`. Or it takes a whole batch, as the reward functions of TRL's trainers
do: `def reward(prompts, completions, answer, **columns)`. It depends on the modules beside it that
it imports, on theirs, and on every file beside it whose name stands as a text in one of them
("words.txt").
"""

from __future__ import annotations

import ast
import importlib.util
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from alignwright.files.errors import did_you_mean

_BATCH = ("completions", "completion_ids", "completions_ids")
"""Any of these names tells a function that takes a whole batch."""
_TRAINERS = {
    **dict.fromkeys(("completion_ids", "completions_ids"), "the tokens of completions"),
    "trainer_state": "the state of a trainer",
    "environments": "a trainer's environments",
}
BATCH_ARGUMENTS = ("prompts", "completions", "log_extra", "log_metric")
"""What such a function is given beside the columns of the rows."""


def of_whole_batch(names: Iterable[str]) -> bool:
    """Whether a function with these arguments takes a whole batch."""
    return not {*names}.isdisjoint(_BATCH)


def unavailable_arguments(required: Iterable[str]) -> str | None:
    """What is wrong with a reward function that cannot do without these arguments."""
    name = next((name for name in required if name in _TRAINERS), None)
    if name is None:
        return None
    return (
        f"asks for {name!r}, and {_TRAINERS[name]} is not given here, where a reward scores replies of any model at any"
        f" time: give it a default ({name}=None), or leave it to **kwargs"
    )


def function_problem(path: Path, function: str) -> str | None:
    """What is wrong with asking a file for a function; none: nothing that can be seen without
    running it."""
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError) as error:
        return f"{path} is not valid Python: {error}"
    if missing := [name for name in _top_imports(tree) if not _is_importable(name, path.parent)]:
        return f"{path} imports {missing[0]!r}, which is neither beside it nor installed"
    defined = [node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    bound = set(_bound(tree))
    if function in bound or bound & {"*", "__getattr__"}:
        problem = unavailable_arguments(columns_of_function(path, function).required)
        return None if problem is None else f"{function} of {path} {problem}"
    return f"{path} has no function {function!r}; {did_you_mean(function, defined) if defined else 'write one'}"


def _bound(tree: ast.Module) -> list[str]:
    names: list[str] = []
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                names.append(node.name)
            case ast.Name(ctx=ast.Store()):
                names.append(node.id)
            case ast.alias():
                names.append((node.asname or node.name).partition(".")[0])
            case _:
                pass
    return names


@dataclass(frozen=True)
class RuleColumns:
    """The columns that a function asks for by name: those it must have, those it has a default
    for, or every one (`**columns`). `batch`: it takes many replies at once, with their prompts in the
    form in which the rows have them."""

    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    every: bool = False
    batch: bool = False


def columns_of_function(path: Path, function: str) -> RuleColumns:
    """What a function of a file asks for beside the prompt and the reply; nothing where the file
    does not say it."""
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return RuleColumns()
    definitions = (node for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    definition = next((node for node in definitions if node.name == function), None)
    if definition is None:
        return RuleColumns()
    arguments = definition.args
    names = [argument.arg for argument in (*arguments.posonlyargs, *arguments.args)]
    batch = of_whole_batch((*names, *(argument.arg for argument in arguments.kwonlyargs)))
    first = 0 if batch else 2
    without_default = len(names) - len(arguments.defaults)
    required, optional = names[first:without_default], names[max(first, without_default) :]
    for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        (required if default is None else optional).append(argument.arg)
    if batch:
        required, optional = ([name for name in some if name not in BATCH_ARGUMENTS] for some in (required, optional))
    return RuleColumns(tuple(required), tuple(optional), arguments.kwarg is not None, batch)


def dependencies(path: Path) -> tuple[Path, ...]:
    """The files on which a Python file depends and that lie in its folder or below it, itself
    among them, in the order of their names."""
    files, queue = {path}, [path]
    while queue:
        file = queue.pop()
        try:
            tree = ast.parse(file.read_bytes()) if file.suffix == ".py" else None
        except (OSError, SyntaxError, ValueError):
            continue
        if tree is not None:
            new = {*_modules(tree, file.parent, path.parent), *_files_by_name(tree, path.parent)} - files
            files |= new
            queue += new
    return tuple(sorted(files))


def _modules(tree: ast.Module, folder: Path, root: Path) -> Iterator[Path]:
    for node in ast.walk(tree):
        names: list[str] = []
        start = root
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            start = folder if node.level else root
            names = [node.module] if node.module else []
            names += [".".join(filter(None, (node.module, alias.name))) for alias in node.names]
        for name in names:
            parts = name.split(".")
            for depth in range(1, len(parts) + 1):
                place = start.joinpath(*parts[:depth])
                yield from (file for file in (place.with_suffix(".py"), place / "__init__.py") if file.is_file())


def _files_by_name(tree: ast.Module, root: Path) -> Iterator[Path]:
    """Files of the folder whose name, or path from it, is a text of the program."""
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and 0 < len(node.value) < 200
            and "\0" not in node.value
        ):
            place = root / node.value
            if ".." not in place.parts and not Path(node.value).is_absolute() and place.is_file():
                yield place


def _top_imports(tree: ast.Module) -> list[str]:
    """The first parts of what a file imports when it is loaded; what stands under `try` may be
    missing."""
    return list(dict.fromkeys(name.partition(".")[0] for node in tree.body for name in _of_import(node)))


def _of_import(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module] if isinstance(node, ast.ImportFrom) and node.module and not node.level else []


def _is_importable(name: str, folder: Path) -> bool:
    if (folder / f"{name}.py").is_file() or (folder / name).is_dir() or name in sys.builtin_module_names:
        return True
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return False
