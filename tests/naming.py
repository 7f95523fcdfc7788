"""Which names bound in the code are participles standing alone, and where?

`python tests/naming.py [PACKAGE ...]` prints every offender as file:line (`python tests/naming.py feedback worlds`;
without a package, all of `src`) and then the share for each package. A name is bound by an assignment, a `for`,
`with`, `except`, `import ... as`, walrus, comprehension or `case`, as a parameter, function, class or attribute.
Leading underscores do not count, a name of several words (`asked_pair`) is no participle standing alone, and words
that the field itself uses for a thing (chosen, rejected, clipped, masked, padded, packed, paired, pooled, trained,
generated, expected, observed, sorted, labelled) are not in the list.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

SRC = Path(__file__).parents[1] / "src" / "alignwright"

# what a thing went through, in place of what it is: found -> findings, told -> note, asked -> prompts, held -> value
PARTICIPLES = frozenset(
    """
    answered asked been begun bent bought broken brought built called came changed collected come compared
    counted covered cut dealt did divided done doubted drawn driven ended escaped examined fallen favoured felt
    filed followed foretold forgotten found given gone got granted grown guarded heard hedged held judged kept
    known laid learned learnt left lent listed logged looked lost lowered made marked matched meant met missed
    moved named needed noted offered opened overheard painted parted placed played promised proved put raised
    ran reached read remembered replied retold risen said saved seen sent shifted shown sold spelled spelt spent
    spoilt spoken standing stated stood studied swayed taken taught telling thought thrown told touched traced
    tried turned unbeaten undrawn unkept unmoved unread unseen untaught untold unwritten used walked wanted
    watched weighed went wished won worked worn written
    """.split()  # noqa: SIM905
)
# the same spelling as a verb, which is what a function is named by
VERBS = frozenset({"come", "cut", "left", "put", "read"})


class BoundName(NamedTuple):
    name: str
    line: int
    function: bool


def bound_names(tree: ast.AST) -> Iterator[BoundName]:
    """Every name that the code binds, as often as it binds it."""
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=str(name)) | ast.AsyncFunctionDef(name=str(name)):
                yield BoundName(name, node.lineno, function=True)
            case (
                ast.ClassDef(name=str(name))
                | ast.ExceptHandler(name=str(name))
                | ast.MatchAs(name=str(name))
                | ast.MatchStar(name=str(name))
                | ast.MatchMapping(rest=str(name))
                | ast.Name(id=name, ctx=ast.Store())
                | ast.Attribute(attr=name, ctx=ast.Store())
                | ast.arg(arg=name)
            ):
                yield BoundName(name, node.lineno, function=False)
            case ast.Import(names=aliases) | ast.ImportFrom(names=aliases):
                yield from (BoundName(each.asname, node.lineno, function=False) for each in aliases if each.asname)
            case _:
                pass


def is_participle(bound: BoundName) -> bool:
    word = bound.name.strip("_").lower()
    return word in PARTICIPLES and not (bound.function and word in VERBS)


def census(path: Path) -> tuple[list[tuple[Path, BoundName]], int]:
    """The offenders of a module or of a folder of modules, and how many names it binds in all."""
    offenders: list[tuple[Path, BoundName]] = []
    total = 0
    for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
        for bound in bound_names(ast.parse(file.read_text())):
            total += 1
            if is_participle(bound):
                offenders.append((file, bound))
    return sorted(offenders, key=lambda each: (each[0], each[1].line)), total


def packages() -> dict[str, Path]:
    """The folders of `src/alignwright` and the modules that lie beside them."""
    parts = sorted(SRC.iterdir())
    return {part.stem: part for part in parts if part.suffix == ".py" or list(part.glob("**/*.py"))}


def offences(offenders: list[tuple[Path, BoundName]]) -> str:
    return "\n".join(f"{file.relative_to(SRC.parents[1])}:{bound.line}: {bound.name}" for file, bound in offenders)


def main(names: list[str]) -> None:
    shares: list[str] = []
    for package, path in packages().items():
        if not names or package in names:
            offenders, total = census(path)
            if offenders:
                print(offences(offenders))
            shares.append(f"{package}: {len(offenders)} of {total} ({len(offenders) / max(total, 1):.2%})")
    print("\n".join(shares))


if __name__ == "__main__":
    main(sys.argv[1:])
