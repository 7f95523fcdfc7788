"""What does the aligned model say, and who taught it to? A conversation in the terminal, with a
run's model or any other.

With a run's model a refusal is followed by the principles that taught it, and `/why` traces any
reply (`feedback.attribution`). `/flag` keeps a conversation that went wrong (`run.flagged`). Replies
and lessons are shown as plain text: markup and control characters of a model's output never reach
the terminal.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from io import TextIOWrapper
from pathlib import Path

from rich.console import Console

from alignwright.core.protocols import ChatModel
from alignwright.core.records import Conversation, Message, Preference
from alignwright.feedback.attribution import Attribution, PrincipleShare, no_trace_note, user_text
from alignwright.files.contents import records
from alignwright.files.server import is_server
from alignwright.job.ledger import Ledger
from alignwright.job.records import PREFERENCES
from alignwright.report.text import clip, one_line, visible
from alignwright.run.flagged import FLAGGED, flag
from alignwright.run.run_folder import load_model
from alignwright.text.refusal.grader import grade_refusal

_COMMAND = re.compile(r"/[a-z?]+")
EXAMPLE = 70  # characters of a lesson's prompt


def talk(run: str, *, seed: int, temperature: float) -> None:
    """Read lines, answer them, until end of input."""
    from alignwright.model.endpoint import Endpoint
    from alignwright.model.template_errors import NoTemplate

    console = Console()
    if isinstance(sys.stdin, TextIOWrapper):
        sys.stdin.reconfigure(
            errors="surrogateescape"
        )  # a line in another encoding is told of below, and none after it is lost
    speaker: ChatModel
    if is_server(run):
        speaker = Endpoint(run)
    else:
        speaker = policy = load_model(run)
        if not policy.chat.writes:
            raise NoTemplate
    converse(
        speaker,
        lessons_of(Path(run)),
        console,
        lambda: console.input("[bold]you[/] "),
        seed=seed,
        temperature=temperature,
    )


def lessons_of(run: Path) -> Attribution:
    """What the run's aggregation decided; no lessons where it is no run, or nothing was preferred."""
    files, ledger = sorted(run.glob(f"stages/*/{PREFERENCES}")), Ledger(run)
    for name, entry in ledger.entries.items():
        if PREFERENCES in entry.files or (run / entry.folder / PREFERENCES).exists():
            ledger.intact(name)
    return Attribution(preference for file in files for preference in records(file, Preference))


def converse(
    speaker: ChatModel,
    lessons: Attribution,
    console: Console,
    read_line: Callable[[], str],
    *,
    seed: int,
    temperature: float,
    flags: Path = Path(FLAGGED),
) -> None:
    """Answer what `read` gives until it raises EOFError. `/new` forgets the conversation, `/why`
    traces the last reply, `/flag` keeps the conversation in the file `flags`."""
    console.print(
        "Write and press enter. /new starts over, /why tells who taught the last reply, /flag REASON keeps a"
        " conversation that went wrong (/flag harmless REASON: refused for no reason), Ctrl-D ends.",
        style="dim",
    )
    from alignwright.model.endpoint import EndpointError

    messages: tuple[Message, ...] = ()
    while True:
        try:
            line = read_line().strip()
        except EOFError:
            return
        except UnicodeDecodeError:
            line = "\udcff"
        if not _is_text(line):
            _dim(console, "that line is not UTF-8 text, so nothing was asked; write it again")
        elif line == "/new":
            messages = ()
        elif line == "/why":
            _dim(console, why(messages, lessons))
        elif line == "/flag" or line.startswith("/flag "):
            _dim(console, one_line(flag(flags, messages, line.removeprefix("/flag"))))
        elif _COMMAND.fullmatch(line):
            _dim(console, f"{line} is no command, so nothing was asked: /new, /why, /flag and Ctrl-D are known")
        elif line:
            whole = (*messages, Message(role="user", content=line))
            try:
                reply = speaker.generate(
                    [Conversation(messages=whole)], max_new_tokens=256, temperature=temperature, seed=seed
                )[0][0].text
            except (
                ValueError,
                EndpointError,
            ) as error:  # longer than the model reads, or a turn that its template refuses
                _dim(
                    console,
                    f"not answered: {one_line(str(error))}; the conversation stands as before that line, /new starts"
                    " over",
                )
                continue
            messages = whole
            console.print(visible(reply), markup=False, highlight=False)
            messages = (*messages, Message(role="assistant", content=reply))
            if len(lessons) and grade_refusal(line, reply).verdict == "yes":
                _dim(console, why(messages, lessons))


def _is_text(line: str) -> bool:
    try:
        line.encode()
    except UnicodeEncodeError:
        return False
    return True


def why(messages: tuple[Message, ...], lessons: Attribution) -> str:
    """Who taught the last reply, in a line: found by what was asked last, and where that is near
    no lesson by all that was asked."""
    if not messages:
        return "nothing has been said yet"
    if not len(lessons):
        return "there are no lessons to trace it to: this is no run's model, or its run learned from no preferences"
    line, reply = messages[-2].content, messages[-1].content
    refuses = grade_refusal(line, reply).verdict == "yes"
    shares = lessons.trace(line, reply) or lessons.trace(user_text(Conversation(messages=messages)), reply)
    opening = "refused; " if refuses else ""
    return opening + (_taught_by(shares) if shares else one_line(no_trace_note(lessons, refuses=refuses)))


def _taught_by(shares: tuple[PrincipleShare, ...]) -> str:
    names = ", ".join(f"{share.principle} ({share.lessons} of {share.of} nearest lessons)" for share in shares[:3])
    words, is_clipped = clip(one_line(shares[0].example.prompt), EXAMPLE)
    return f'taught by: {one_line(names)}, e.g. "{words}{"..." if is_clipped else ""}"'


def _dim(console: Console, text: str) -> None:
    console.print(text, style="dim", markup=False, highlight=False)
