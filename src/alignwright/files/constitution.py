"""Which principles, with which examples, does a Markdown constitution (OpenAI Model Spec) hold?

The dialect is that of the OpenAI Model Spec: `## Title {#slug authority=user}`, prose, and after
`**Example**: what it shows` a `~~~xml` block of turns that ends in a `<comparison>` of replies
marked `<!-- GOOD: why -->` or `<!-- BAD: why -->`.

- A file whose headings name an authority (root, system, developer, user, guideline, or none): the
  headings with an authority are the principles, at any level; those with a `{#slug}` alone are
  sections, whose prose is for people.
- A file without authorities: the headings of level two are the principles, and deeper ones with a
  `{#slug}`; a slug may be left out.
- Deeper headings without `{...}` belong to the prose around them. `parse(render(c)) == c`, and
  `render` checks it.

Left out on purpose, for a principle is read by models: commentary (`!!! meta`), footnote marks, the
reasons inside GOOD and BAD marks, replies marked OK (neither good nor bad), and attributes of
turns. A block with several comparisons is several examples; the conversation goes on with the first
good reply. `[...]` between turns is passed over.

The Model Spec of late 2025 reads as 59 principles (the 59th, for users under 18, has
`tags=under_18`, which is passed over) with 189 comparisons. They mark 193 replies GOOD, 196 BAD and
8 OK. In 160 comparisons both kinds are present, and every good reply against every bad one makes
199 pairs; 91 of these are abridged with `[...` somewhere and `pairs` leaves them out, since nobody
should learn to say so.
"""

from __future__ import annotations

import html
import re
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast, get_args

from alignwright.core.constitution import Authority, Constitution, Principle, PrincipleExample
from alignwright.core.records import Comparison, Prompt, Reply
from alignwright.files import safe_read
from alignwright.files.errors import SpecError, did_you_mean
from alignwright.files.example_block import BlockError, parse_block, render_block

_FENCE = re.compile(r"(~{3,}|`{3,})\s*(\w*)")  # of a line without white space at its end
_EXAMPLE = re.compile(r"^\*\*Example(?:\*\*:|:\*\*|\*\*)\s*(.*)$")
_FOOTNOTE = re.compile(r"(`[^`\n]*`)|\[\^\w+\]")
_SLUG = re.compile(r"[A-Za-z0-9][\w-]*")
_AUTHORITIES = (*get_args(Authority), "none")


@dataclass
class _Heading:
    line: int
    level: int
    title: str
    slug: str
    authority: str | None
    has_attributes: bool  # has {...}
    body: tuple[int, int] = (0, 0)


def read(path: Path) -> Constitution:
    """Read a constitution from its file."""
    try:
        text = safe_read.text(path)
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise SpecError([f"{path}:{line}: not UTF-8 text: {error.reason}"]) from None
    except OSError as error:
        raise SpecError([f"{path}: cannot be read: {error.strerror}"]) from None
    return parse(text, path)


def parse(text: str, file: str | Path) -> Constitution:
    """Read a constitution; every problem names the file and the line."""
    return _Parser(text, str(file)).constitution()


def render(constitution: Constitution) -> str:
    """Write a constitution as Markdown that `parse` reads back to the same record."""
    plain = all(principle.authority is None for principle in constitution.principles)
    parts = [f"# {constitution.title}"]
    for principle in constitution.principles:
        attributes = f"#{principle.slug}" + ("" if plain else f" authority={principle.authority or 'none'}")
        parts += [f"## {principle.title} {{{attributes}}}", principle.text]
        parts += [
            f"**Example**: {example.note}".rstrip() + f"\n\n{render_block(example)}" for example in principle.examples
        ]
    text = "\n\n".join(parts) + "\n"
    if parse(text, "rendered") != constitution:
        raise ValueError(
            "this constitution cannot be written as Markdown and read back the same: does a text hold headings or"
            " unclosed fences?"
        )
    return text


def pairs(constitution: Constitution) -> tuple[list[Comparison], int]:
    """Every good reply against every bad one, good first, and how many were left out because a
    reply is abridged with `[...`."""
    comparisons: list[Comparison] = []
    abridged = 0
    for principle in constitution.principles:
        for example in principle.examples:
            prompt = Prompt(conversation=example.conversation, topic=principle.slug, principle=principle.slug)
            for good, bad in ((good, bad) for good in example.good for bad in example.bad):
                if any(
                    "[..." in text
                    for text in (good, bad, *(message.content for message in example.conversation.messages))
                ):
                    abridged += 1
                    continue
                replies = (
                    Reply(text=good, parent=prompt.id, speaker="written:good"),
                    Reply(text=bad, parent=prompt.id, speaker="written:bad"),
                )
                comparisons.append(Comparison(prompt=prompt, replies=replies))
    return comparisons, abridged


def slugify(title: str) -> str:
    """A slug for a heading that names none: `Don't lie!` is `dont_lie`."""
    return re.sub(r"[^a-z0-9]+", "_", re.sub("['\u2019]", "", title.lower())).strip("_")


class _Parser:
    def __init__(self, text: str, file: str) -> None:
        self.file = file
        self.lines = text.replace("\r\n", "\n").split("\n")
        self.problems: list[str] = []

    def constitution(self) -> Constitution:
        headings = self._headings()
        governed = any(heading.authority is not None for heading in headings)
        chosen = [heading for heading in headings if self._is_principle(heading, governed)]
        self._bodies(headings, [heading for heading in headings if heading.has_attributes or heading.level <= 2])
        lines_by_slug: dict[str, int] = {}
        for heading in chosen:
            if not heading.slug:
                self._problem(
                    heading.line,
                    f"no slug can be made of {heading.title[:80]!r}, without a letter from a to z; write {{#slug}}"
                    " behind it",
                )
            elif heading.slug in lines_by_slug:
                self._problem(
                    heading.line,
                    f"the slug {heading.slug!r} is already that of the principle on line {lines_by_slug[heading.slug]}",
                )
            lines_by_slug.setdefault(heading.slug, heading.line)
        principles = tuple(self._principle(heading) for heading in chosen)
        if not chosen and not self.problems:
            self._problem(1, "no principles: write each as a heading '## Title {#slug}' with prose below it")
        if self.problems:
            raise SpecError(self.problems)
        tops = [heading.title for heading in headings if heading.level == 1]
        return Constitution(title=tops[0] if len(tops) == 1 else Path(self.file).stem, principles=principles)

    def _problem(self, line: int, message: str) -> None:
        self.problems.append(f"{self.file}:{line}: {message}")

    def _headings(self) -> list[_Heading]:
        headings: list[_Heading] = []
        fence = ""
        fence_line = 0
        for number, line in enumerate(self.lines, 1):
            mark = _FENCE.fullmatch(line.strip() if fence else line.rstrip())
            if fence:
                if mark and not mark[2] and mark[1].startswith(fence):
                    fence = ""
            elif mark:
                fence, fence_line = mark[1], number
            elif parts := _heading_parts(line):
                headings.append(self._heading(number, *parts))
        if fence:
            self._problem(fence_line, f"this {fence} block is never closed")
        return headings

    def _heading(self, line: int, level: int, title: str, attributes: str | None) -> _Heading:
        slug, authority = "", None
        for attribute in (attributes or "").split():
            name, _, value = attribute.partition("=")
            if attribute.startswith("#") and _SLUG.fullmatch(attribute[1:]):
                slug = attribute[1:]
            elif name == "authority" and value in _AUTHORITIES:
                authority = value
            elif name == "authority":
                self._problem(line, f"unknown authority {value!r}; {did_you_mean(value, _AUTHORITIES)}")
                authority = "none"
            elif name != "tags":
                self._problem(line, f"cannot read {attribute!r} in {{{attributes}}}; write {{#slug authority=user}}")
        if authority is not None and not slug:
            self._problem(
                line, f"a principle with an authority needs a slug: {{#{slugify(title)} authority={authority}}}"
            )
        return _Heading(line, level, title, slug or slugify(title), authority, attributes is not None)

    def _is_principle(self, heading: _Heading, governed: bool) -> bool:
        if not governed:
            return heading.level == 2 or (heading.level > 2 and heading.has_attributes)
        if heading.level == 2 and not heading.has_attributes:
            hint = f"{{#{heading.slug} authority=none}} for a principle, {{#{heading.slug}}} for a section"
            self._problem(heading.line, f"other headings here have an authority, this one does not; write {hint}")
        return heading.authority is not None

    def _bodies(self, headings: list[_Heading], breaks: list[_Heading]) -> None:
        """A heading's body goes to the next heading that is not mere prose."""
        ends = [heading.line - 1 for heading in breaks] + [len(self.lines)]
        for heading in headings:
            heading.body = (heading.line, ends[bisect_left(ends, heading.line)])

    def _principle(self, heading: _Heading) -> Principle:
        prose: list[str] = []
        examples: list[PrincipleExample] = []
        for chunk in self._chunks(heading):
            if isinstance(chunk, str):
                prose.append(chunk)
            else:
                examples += chunk
        text = "\n\n".join(prose)
        if not text:
            self._problem(heading.line, f"the principle {heading.slug!r} has no text")
        authority = None if heading.authority in (None, "none") else cast("Authority", heading.authority)
        return Principle(
            slug=heading.slug, title=heading.title, text=text, authority=authority, examples=tuple(examples)
        )

    def _chunks(self, heading: _Heading) -> Iterator[str | list[PrincipleExample]]:
        """The body in order: runs of prose, and the examples of each block."""
        place, end = heading.body
        run: list[str] = []
        while place < end:
            mark = _FENCE.fullmatch(self.lines[place].rstrip())
            close = self._closing(place, end, mark[1]) if mark else place
            if mark and mark[1][0] == "~" and mark[2] == "xml":
                note = _take_note(run)
                yield from _clean(run)
                run = []
                yield self._examples(place + 1, close, note)
            else:
                run += self.lines[place : close + 1]
            place = close + 1
        yield from _clean(run)

    def _closing(self, place: int, end: int, fence: str) -> int:
        for later in range(place + 1, end):
            mark = _FENCE.fullmatch(self.lines[later].strip())
            if mark and not mark[2] and mark[1].startswith(fence):
                return later
        return end - 1  # already reported where headings are found

    def _examples(self, first: int, last: int, note: str) -> list[PrincipleExample]:
        try:
            return parse_block(self.lines[first:last], first + 1, note)
        except BlockError as error:
            self._problem(error.line, str(error))
            return []


def _heading_parts(line: str) -> tuple[int, str, str | None] | None:
    """Level, title and what stands in {...} at the end of a heading; none for any other line.
    Taken apart from both ends, in one pass."""
    level = len(line) - len(line.lstrip("#"))
    if not 1 <= level <= 6 or not line[level : level + 1].isspace():
        return None
    text = line[level:].strip().rstrip("#").rstrip()
    brace = text.rfind("{")
    if brace > 0 and text.endswith("}") and text.index("}", brace) == len(text) - 1 and text[brace - 1].isspace():
        return level, text[:brace].rstrip(), text[brace + 1 : -1]
    return level, text, None


def _take_note(run: list[str]) -> str:
    """Take the `**Example**: note` line off the end of the prose before a block."""
    while run and not run[-1].strip():
        run.pop()
    match = _EXAMPLE.match(run[-1]) if run else None
    if match is None:
        return ""
    run.pop()
    return html.unescape(match[1]).strip()


def _clean(run: list[str]) -> Iterator[str]:
    """Prose without commentary and footnote marks; nothing when nothing is left."""
    lines: list[str] = []
    commentary = False
    for line in run:
        if line.startswith("!!!"):
            commentary = True
        elif commentary and line.strip() and not line.startswith("    "):
            commentary = False
        if not commentary:
            lines.append(_FOOTNOTE.sub(lambda match: match[1] or "", line).rstrip())
    text = re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip("\n")
    if text.strip():
        yield text
