"""Where are the rows of a nested JSON file, which is not simply a list of objects?

Published files put them in one of a few ways: under one key beside facts about the file, under the
name of each row, in a list for each group, as bare texts, or as texts under category and
subcategory. Anything else is left as it is, and is refused by who asked.
"""

from __future__ import annotations

from typing import Any, TypeGuard, cast

Rows = list[dict[str, Any]]


def rows_of(value: Any) -> Any:
    """The list of objects that a JSON value holds; the value itself where there is no telling."""
    if isinstance(value, list):
        items = cast("list[Any]", value)
        return [{"text": text} for text in items] if items and all(isinstance(text, str) for text in items) else items
    if not isinstance(value, dict) or not value:
        return cast("Any", value)
    mapping = cast("dict[str, Any]", value)
    parts = list(mapping.values())
    lists = [part for part in parts if _objects(part)]
    if len(lists) == len(parts):  # a list for each group
        return [row for rows in lists for row in rows]
    if len(lists) == 1:  # the rows beside facts about them
        return lists[0]
    if all(_categories(part) for part in parts):
        questions: Rows = []
        for category, subcategories in cast("dict[str, dict[str, list[str]]]", mapping).items():
            for name, texts in subcategories.items():
                questions += [{"Category": category, "Subcategory": name, "Question": text} for text in texts]
        return questions
    if all(isinstance(part, dict) for part in parts):  # each row under its name
        return cast("Rows", parts)
    return mapping


def _objects(value: Any) -> TypeGuard[Rows]:
    return isinstance(value, list) and value != [] and all(isinstance(row, dict) for row in cast("list[Any]", value))


def _categories(value: Any) -> bool:
    if not isinstance(value, dict) or not value:
        return False
    for part in cast("dict[str, Any]", value).values():
        if not isinstance(part, list) or not all(isinstance(text, str) for text in cast("list[Any]", part)):
            return False
    return True
