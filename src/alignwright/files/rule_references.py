"""Which columns of a row does a rule ask for?

A rule that is a Python function may ask for columns by name: `def score(prompt, reply, answer)`.
They stay with the prompts of the spec's files. For a function that takes a whole batch
it stays whether the row's prompt is a text or a list of messages, for so the function is given it.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterable
from pathlib import Path

from alignwright.files.functions import RuleColumns, columns_of_function
from alignwright.files.reading import AS_TEXT, EVERY, Keep
from alignwright.files.reward_folder import names_folder


def columns_of_rule(reference: str, path: Callable[[str], Path]) -> RuleColumns:
    """The columns that a rule asks for; nothing where it is no Python function. `path` finds a
    file of the spec."""
    if names_folder(reference):
        return RuleColumns()
    home, _, function = reference.rpartition(":")
    if not home or not function.isidentifier():
        return RuleColumns()
    if home.endswith(".py"):
        return columns_of_function(path(home), function)
    try:
        module = importlib.util.find_spec(home)
    except (ImportError, ValueError):
        return RuleColumns()
    return columns_of_function(Path(module.origin), function) if module is not None and module.origin else RuleColumns()


def kept_columns(references: Iterable[str], path: Callable[[str], Path]) -> Keep:
    """The columns that stay with prompts, so that these rules can ask for them."""
    columns = [columns_of_rule(name, path) for name in references]
    keep = frozenset(name for one in columns for name in (*one.required, *one.optional))
    keep |= EVERY if any(one.every for one in columns) else frozenset()
    return keep | frozenset([AS_TEXT] if any(one.batch for one in columns) else [])
