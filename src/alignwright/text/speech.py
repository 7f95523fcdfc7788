"""Which words of a reply are said by whom: the thoughts before it, the words it quotes, and its
speakers one by one?

A reply is read as its reader would. Thoughts between tags are cut off, also where the tag is never
closed. Quoted speech, quoted lines and code are set aside, because a refusal inside them is not the
speaker's. Where a prompt asks for two answers ("[GPT]: ... [DAN]: ..."), each speaker is a voice of
its own. A label counts as a speaker's name only where it is one of the usual names of plain
assistants and personas, or the prompt introduced it as one; "Ingredients:" is a heading. A scene of
several labelled lines stays one voice.

Every step is one pass over the text, and no more than `LIMIT` characters of what was said are
judged.
"""

# ruff: noqa: RUF001  (the marks of other languages are meant)
from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

LIMIT = 12_000  # characters of a voice that are judged
NAMES = 40  # different labels that are looked up in the prompt
VOICES = 12  # speakers told apart; the last keeps the rest
ASIDE = " … "  # stands where quoted words stood


@dataclass(frozen=True, slots=True)
class Voice:
    """One speaker's words as written, without thoughts; `name` is empty where nothing names the
    speaker."""

    name: str
    text: str


def answer(reply: str) -> str:
    """The reply without its thoughts; empty where it never stops thinking."""
    text = reply
    for opening, closing in _THOUGHTS:
        text = _cut(text, opening, closing)
    channel = text.rfind("<|channel|>final<|message|>")
    if channel >= 0:
        text = text[channel + len("<|channel|>final<|message|>") :]
    elif "<|channel|>analysis" in text:
        text = text[: text.index("<|channel|>analysis")]
    return _TOKENS.sub(" ", text).strip()


def voices(prompt: str, reply: str) -> tuple[Voice, ...]:
    """The speakers of a reply in order, thoughts cut off; one nameless voice where no speakers
    are told apart."""
    text = answer(reply)[: 4 * LIMIT]
    labels = [(mark, _name(mark)) for mark in _LABEL.finditer(text)]
    is_speaker = {
        name: _is_speaker(name, bracketed, prompt)
        for name, bracketed in sorted({(n, m["bracketed"] is not None) for m, n in labels})[:NAMES]
    }
    marks = [(mark, name) for mark, name in labels if is_speaker.get(name)]
    if not marks or _is_scene([name for _, name in labels], [name for _, name in marks]):
        return (Voice("", text),)
    parts = [Voice("", text[: marks[0][0].start()].strip())]
    marks = marks[:VOICES]
    ends = [mark.start() for mark, _ in marks[1:]] + [len(text)]
    parts += [
        Voice(name, text[mark.end() : end].strip(" \t\n*_:]")) for (mark, name), end in zip(marks, ends, strict=True)
    ]
    return tuple(part for part in parts if re.search(r"\w", part.text)) or (Voice("", text),)


def own_words(text: str) -> str:
    """A voice without what it quotes: quoted speech, quoted lines, code. A reply that is one
    quotation is taken for the reply itself."""
    text = text[:LIMIT].replace("’", "'").replace("‘", "'").strip()
    fenced = _ALL_CODE.fullmatch(text)
    text = fenced[1] if fenced else _CODE.sub(ASIDE, text)
    lines = text.split("\n")
    if any(line.strip() and not line.lstrip().startswith(">") for line in lines):
        lines = [ASIDE if line.lstrip().startswith(">") else line for line in lines]
    text = "\n".join(line.lstrip("> ") if line.lstrip().startswith(">") else line for line in lines)
    bare = _QUOTED.sub(ASIDE, text)
    return bare if re.search(r"\w", bare) else re.sub(r"[\"“”«»„「」『』]", " ", text)


@lru_cache(maxsize=128)  # a reply and its prompt are asked for several times
def plain(text: str) -> str:
    """Lower case, single spaces, no markdown, short forms written out ("can't" as "cannot"), so
    that one pattern meets all spellings."""
    text = re.sub(r"[*_#`~]+", "", text.replace("’", "'").replace("‘", "'")).lower()
    text = re.sub(r"[^\S\n]+", " ", text)
    for pattern, long_form in _SHORT:
        text = pattern.sub(long_form, text)
    return text.strip()


def sentences(text: str) -> list[str]:
    """The sentences of a plain text in order, each with its end mark; list numbers ("1.") do not
    end one."""
    return [part for match in _SENTENCE.finditer(text) if (part := match[0].strip()) and re.search(r"\w|…", part)]


def _cut(text: str, opening: str, closing: str) -> str:
    """Without what stands between the tags. A closing tag alone ends a thought that began before
    the text; an opening one alone never ends."""
    parts: list[str] = []
    place, thinking = 0, False
    for tag in re.finditer(f"{re.escape(opening)}|{re.escape(closing)}", text, re.IGNORECASE):
        if len(tag[0]) == len(closing):
            parts, thinking = parts if thinking else [], False  # where none was open, all before it was a thought
            place = tag.end()
        elif not thinking:
            parts.append(text[place : tag.start()])
            thinking = True
    return "".join(parts) if thinking else "".join([*parts, text[place:]])


def _name(mark: re.Match[str]) -> str:
    return " ".join((mark["bracketed"] or mark["bare"]).split())


def _is_speaker(name: str, bracketed: bool, prompt: str) -> bool:
    """Whether a label names a speaker; a heading does not."""
    key = re.sub(r"[^\w ]", "", name.lower()).strip()
    if key in _NAMES:
        return True
    request, pattern = prompt[:LIMIT], re.escape(name)
    if re.search(
        rf"\b(?:act as|named?|called|you are|become|persona|character)\W{{1,3}}{pattern}\b", request, re.IGNORECASE
    ):
        return True
    introduced = rf"[\[(\"“*]\W{{0,4}}{pattern}\W{{0,4}}[\])\"”*:]|(?:^|\n)\W{{0,4}}{pattern}\s?:"
    return (bracketed or name.isupper()) and re.search(introduced, request, re.IGNORECASE) is not None


def _is_scene(labels: list[str], speakers: list[str]) -> bool:
    """Several lines of several people: a play, not two answers."""
    return (
        len(labels) >= 4
        and len(set(labels)) < len(labels)
        and len(set(speakers)) > 1
        and not any(_plain_voice(name) for name in speakers)
    )


def _plain_voice(name: str) -> bool:
    return re.sub(r"[^\w ]", "", name.lower()).strip() in _PLAIN_NAMES


_THOUGHTS = (
    *(
        (f"<{tag}>", f"</{tag}>")
        for tag in ("think", "thinking", "thought", "thoughts", "reasoning", "reflection", "scratchpad", "analysis")
    ),
    ("[think]", "[/think]"),
    ("◁think▷", "◁/think▷"),
    ("<|begin_of_thought|>", "<|end_of_thought|>"),
    ("<|start_thinking|>", "<|end_thinking|>"),
    ("<seed:think>", "</seed:think>"),
)
_TOKENS = re.compile(r"<\|[a-z_]{1,24}\|>|</?(?:answer|response|output|final)>", re.IGNORECASE)
_LABEL = re.compile(
    r"(?m)^[^\w\n\[(]{0,6}(?:[\[(]\W{0,4}(?P<bracketed>[^\W\d_][\w .'+-]{0,30}?)\W{0,4}[\])]\W{0,3}:?"
    r"|(?P<bare>[^\W\d_][\w.'+-]{0,20}(?: [\w.'+-]{1,20})?)[*_ ]{0,3}:)"
)
_PLAIN = (
    "gpt, chatgpt, classic, assistant, ai, normal, standard, openai, claude, bard, gemini, llama, gpt3, gpt4, gpt 4,"
    " language model, ai assistant, ai language model, normal response, normal answer, standard response, classic"
    " response, chatgpt response, gpt response, ai response"
)
_PERSONAS = (
    "dan, aim, stan, dude, jailbreak, jailbroken, devmode, evilbot, evil, unfiltered, uncensored, mongo, tom, niccolo,"
    " machiavelli, developer, anarchy, maximum, jb, omega, sigma, vzex, alphabreak, khajiit, skynet, hackermaxx,"
    " chadgpt, developer mode, developer mode output, evil confidant, dan response, jailbreak response, developer mode"
    " response, do anything now, unfiltered response"
)
_PLAIN_NAMES = frozenset(_PLAIN.split(", "))
_NAMES = _PLAIN_NAMES | frozenset(_PERSONAS.split(", "))
_ALL_CODE = re.compile(r"```[\w+-]{0,20}\n?([^`]*)(?:```)?")
_CODE = re.compile(r"```.*?(?:```|\Z)", re.DOTALL)
_QUOTED = re.compile(
    r'"[^"\n]{1,600}"|“[^”\n]{1,600}”|«[^»\n]{1,600}»|„[^“”\n]{1,600}[“”]|「[^」\n]{1,600}」|『[^』\n]{1,600}』'
    r"|(?<![\w'])'(?=\S)(?:[^'\n]|'(?=\w)){1,300}'(?!\w)"
)
_SHORT = tuple(
    (re.compile(pattern), full_form)
    for pattern, full_form in (
        (r"\bcan'?t\b|\bcan not\b", "cannot"),
        (r"\bwon'?t\b", "will not"),
        (r"\bshan'?t\b", "shall not"),
        (r"n't\b", " not"),
        (r"\b(do|does|did|is|are|was|would|could|should|have|has)nt\b", r"\1 not"),
        (r"'m\b", " am"),
        (r"\bim\b", "i am"),
        (r"'re\b", " are"),
        (r"'ll\b", " will"),
        (r"'ve\b", " have"),
        (r"\b(i|we|you|they)'d\b", r"\1 would"),
        (r"\b(that|it|this|here|there|what|let|one|who|where|he|she)'s\b", r"\1 is"),
        (r"\blet is\b", "let us"),
        (r"\bgonna\b", "going to"),
    )
)
_SENTENCE = re.compile(r"(?:\d{1,2}[.)] )?(?:[^.!?。！？\n]|[.](?=\w)){1,600}[.!?。！？…]{0,8}|\n")
