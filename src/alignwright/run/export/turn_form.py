"""Which words does a chat template write around messages, where it writes the same around each of a role?

Most templates do nothing else: what begins a text, a system message of their own where none is
given, something before and after each message by its role, and the header of the reply to come. The
words are found by writing a few conversations with the template and reading what stands around the
messages; then further conversations must come out letter for letter as the template writes them, or
there is no form. So no template is known by its name, and none is taken for one that it only
resembles.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from alignwright.core.records import Message, Role
from alignwright.model.template_errors import UnrenderedMessage

Write = Callable[[Sequence[Message], bool], str]
"""Writes messages, and with True the header of the reply to come. Raises UnrenderedMessage where the
template refuses."""


@dataclass(frozen=True)
class Around:
    """What stands before and after a message."""

    before: str
    after: str


@dataclass(frozen=True)
class TurnForm:
    """A chat template as words around messages."""

    start: str
    """Before everything."""
    unasked: str
    """Where a conversation begins with another message than the system's."""
    user: Around
    assistant: Around
    header: str
    system: Around | None = None
    """None where the template refuses a system message."""
    within: bool = False
    """Whether the system message stands within the user's first turn, whose own words before it are
    then those before the system message."""
    trims: bool = False
    """Whether the template takes spaces and lines from the ends of messages, which no form does."""

    def write(self, messages: Sequence[Message]) -> str:
        """A conversation and the header of the reply to come."""
        parts, last = [self.start], ""
        if messages and messages[0].role != "system":
            parts.append(self.unasked)
        for message in messages:
            around = {"system": self.system, "user": self.user, "assistant": self.assistant}[message.role]
            assert around is not None
            parts += [around.before] * (not (self.within and last == "system")) + [message.content, around.after]
            last = message.role
        return "".join([*parts, self.header])


def turn_form(write: Write, bos: str = "") -> TurnForm | None:
    """The form of a template; None where it writes something else than a form can say. `bos`: the
    token that begins a text, which is no part of a turn."""
    try:
        form = _form(write, bos)
        if form is None or any(form.write(messages) != write(messages, True) for messages in _probes(form)):
            return None
        return form
    except UnrenderedMessage:
        return None


def probes(form: TurnForm) -> int:
    """How many conversations a form was held against."""
    return len(_probes(form))


def _form(write: Write, bos: str) -> TurnForm | None:
    # 1. One question: what follows it is the end of its turn, and the header of the reply.
    one, bare = write([_A], True), write([_A], False)
    before_a, _, tail = one.partition(_A.content)
    user_after = bare.partition(_A.content)[2]
    if not tail.startswith(user_after):
        return None
    header = tail[len(user_after) :]
    # 2. A reply and another question: what stands between them, and what ends the reply.
    whole, replied = write([_A, _B, _C], True), write([_A, _B], False)
    after_a, _, rest = whole.partition(_A.content)[2].partition(_B.content)
    after_b = rest.partition(_C.content)[0]
    end = replied.partition(_B.content)[2]
    if not (after_a.startswith(user_after) and after_b.startswith(end)):
        return None
    assistant = Around(after_a[len(user_after) :], end)
    user = Around(after_b[len(end) :], user_after)
    # 3. What stands before the first question beyond a question's own words: the start, and a system message unasked.
    if not before_a.endswith(user.before):
        return None
    lead = before_a[: len(before_a) - len(user.before)]
    start = bos if lead.startswith(bos) and bos not in f"{user.before}{assistant.before}" else ""
    lead, trims = lead[len(start) :], _SPACED.content not in write([_SPACED], True)
    # 4. A system message: its own turn, or words within the first question's.
    try:
        asked = write([_Z, _A], True)
    except UnrenderedMessage:
        return TurnForm(start, lead, user, assistant, header, trims=trims)
    before_z, _, after_z = asked.partition(_Z.content)
    between = after_z.partition(_A.content)[0]
    within = not (user.before and between.endswith(user.before))
    system_after = between if within else between[: len(between) - len(user.before)]
    if not before_z.startswith(start):
        return None
    system = Around(before_z[len(start) :], system_after)
    return TurnForm(start, lead, user, assistant, header, system, within, trims)


def _probes(form: TurnForm) -> list[list[Message]]:
    """Conversations of every order of roles that the form has, with texts that might be taken for
    something else."""
    orders = ["u", "uau", "uauau"] + (["su", "suau", "suauau"] if form.system else [])
    roles: dict[str, Role] = {"s": "system", "u": "user", "a": "assistant"}
    return [
        [Message(role=roles[letter], content=_TEXTS[(i + shift) % len(_TEXTS)]) for i, letter in enumerate(order)]
        for order in orders
        for shift in range(len(_TEXTS))
    ]


_A, _B, _C = (
    Message(role="user", content="First question QXA"),
    Message(role="assistant", content="A reply QXB"),
    Message(role="user", content="Second question QXC"),
)
_Z, _SPACED = Message(role="system", content="How to be QXZ"), Message(role="user", content="  spaced QXS  ")
_TEXTS = (
    "What is it?",
    "One line\nand another:\n\n- a list",
    'braces {{ .Content }} {% if x %} and "quotes" \\n',
    "Zoë, 北京 🙂",
    "12 + 3 = <15> [INST]",
)
