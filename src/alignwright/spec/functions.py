"""Does a Python file have the function that a spec names?

The file is parsed and never run: whoever checks a spec has not yet agreed to run what it names. Every name that is bound anywhere in the
file counts, so that what is imported, assigned or defined under a condition is not called missing; a file with `from x import *` could
bind anything and is left alone until the run begins.
"""

from __future__ import annotations

import ast
from pathlib import Path

from alignwright.spec.errors import did_you_mean


def lacks(path: Path, function: str) -> str | None:
    """What is wrong with asking a file for a function; none: nothing that can be seen without running it."""
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError) as error:
        return f"{path} is not valid Python: {error}"
    defined = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
    bound = set(_bound(tree))
    if function in bound or bound & {"*", "__getattr__"}:
        return None
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
