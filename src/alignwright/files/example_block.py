"""How is one example block of a constitution parsed: turns, and comparisons of GOOD and BAD replies?

Turns (`<system>`, `<developer>`, `<user>`, `<assistant>`, `<tool>`) and comparisons of marked
replies, a tag a line, content between, `<`, `>` and `&` escaped as in HTML. Other tags inside a
turn are its content.
"""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from typing import cast

from alignwright.core.constitution import PrincipleExample
from alignwright.core.records import Conversation, Message, Role

_OPEN = re.compile(r'\s*<(system|developer|user|assistant|tool|comparison)((?:\s+[\w-]+="[^"]*")*)\s*>\s*')
_MARK = re.compile(r"^(GOOD|BAD|OK)\b")


@dataclass(frozen=True)
class _Tag:
    """An opening tag that begins a line: its name, the comment right after it, and what else
    stands on the line."""

    name: str
    comment: str
    rest: str


def _opening(line: str) -> _Tag | None:
    match = _OPEN.match(line)
    if match is None:
        return None
    rest, comment = line[match.end() :], ""
    if rest.startswith("<!--") and (close := rest.find("-->", 4)) >= 0:
        comment, rest = rest[4:close].strip(), rest[close + 3 :].lstrip(" \t")
    return _Tag(match[1], comment, rest)


class BlockError(ValueError):
    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


def parse_block(lines: list[str], first: int, note: str) -> list[PrincipleExample]:
    """The examples of a block whose first line is line `first` of its file: one for each comparison."""
    return _Block(lines, first, note).examples()


def render_block(example: PrincipleExample) -> str:
    """One example as a block."""
    turns = [_tag(message.role, message.content) for message in example.conversation.messages]
    good = [_tag("assistant", text, " <!-- GOOD -->") for text in example.good]
    bad = [_tag("assistant", text, " <!-- BAD -->") for text in example.bad]
    body = "\n".join([*turns, "<comparison>", *good, *bad, "</comparison>"])
    longest = max((len(run) for run in re.findall(r"^[ \t]*(~{3,})", body, re.MULTILINE)), default=2)
    fence = "~" * (longest + 1)
    return f"{fence}xml\n{body}\n{fence}"


def _tag(name: str, content: str, mark: str = "") -> str:
    return f"<{name}>{mark}\n{html.escape(content, quote=False)}\n</{name}>"


class _Block:
    def __init__(self, lines: list[str], first: int, note: str) -> None:
        self.lines, self.first, self.note = lines, first, note
        self.place = 0

    def examples(self) -> list[PrincipleExample]:
        parsed: list[PrincipleExample] = []
        messages: list[Message] = []
        while (tag := self._next_tag()) is not None:
            if tag.name != "comparison":
                messages.append(Message(role=cast("Role", tag.name), content=self._content(tag)))
                continue
            if parsed and messages[-1].role == "assistant":
                raise self._error(self.place, "two comparisons follow one another without a turn between them")
            first_line = self.place
            good, bad = self._comparison()
            if not messages:
                raise self._error(first_line, "a comparison needs a turn before it, such as <user>")
            parsed.append(
                PrincipleExample(
                    conversation=Conversation(messages=tuple(messages)), good=good, bad=bad, note=self.note
                )
            )
            if self._more():
                if not good:
                    raise self._error(
                        first_line, "the conversation goes on, but no reply of this comparison is GOOD to go on with"
                    )
                messages.append(Message(role="assistant", content=good[0]))
        if not parsed:
            raise self._error(0, "this example has no <comparison> of replies marked GOOD and BAD")
        return parsed

    def _error(self, place: int, message: str) -> BlockError:
        return BlockError(self.first + place, message)

    def _more(self) -> bool:
        return any(line.strip() for line in self.lines[self.place :])

    def _next_tag(self) -> _Tag | None:
        """Go to the next opening tag; `place` is then its line."""
        while self.place < len(self.lines):
            line = self.lines[self.place]
            if tag := _opening(line):
                return tag
            if line.strip() and not re.fullmatch(r"\[.*\]", line.strip()):
                raise self._error(
                    self.place, f"expected a turn such as <user> or a <comparison>, saw {line.strip()[:40]!r}"
                )
            self.place += 1
        return None

    def _content(self, tag: _Tag) -> str:
        """The text up to the closing tag; `place` is then the line after it."""
        first_line, close = self.place, f"</{tag.name}>"
        text = [tag.rest] if tag.rest else []
        while True:
            if text and text[-1].rstrip().endswith(close):
                text[-1] = text[-1].rstrip().removesuffix(close)
                self.place += 1
                return html.unescape("\n".join(text)).strip("\n").rstrip()
            self.place += 1
            if self.place >= len(self.lines) or _opening(self.lines[self.place]):
                raise self._error(first_line, f"<{tag.name}> is never closed: {close} is missing")
            text.append(self.lines[self.place])

    def _comparison(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        first_line = self.place
        replies: dict[str, list[str]] = {"GOOD": [], "BAD": [], "OK": []}
        self.place += 1
        while self.place < len(self.lines):
            line = self.lines[self.place].strip()
            tag = _opening(line)
            if line == "</comparison>":
                self.place += 1
                if not replies["GOOD"] and not replies["BAD"]:
                    raise self._error(first_line, "this comparison has no reply marked GOOD or BAD")
                return tuple(replies["GOOD"]), tuple(replies["BAD"])
            if tag and tag.name == "assistant":
                mark = _MARK.match(tag.comment)
                if mark is None:
                    raise self._error(
                        self.place,
                        "this reply is not marked: write <assistant> <!-- GOOD: why --> or <!-- BAD: why -->",
                    )
                replies[mark[1]].append(self._content(tag))
            elif line:
                raise self._error(self.place, f"a comparison holds <assistant> replies only, saw {line[:40]!r}")
            else:
                self.place += 1
        raise self._error(first_line, "<comparison> is never closed: </comparison> is missing")
