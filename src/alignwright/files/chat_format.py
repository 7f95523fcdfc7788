"""Which chat template does a spec give to its model: ChatML, Llama 3's, a Jinja file, or none?

A base model has none of its own, and without one there is no telling how a conversation is written
for it. `chatml` and `llama3` are the two forms that most published models use; a `.jinja` file is
any other; `none` says that the model reads plain text alone. Here they are only read: what becomes
of the tokenizer is in `model.given_template`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from alignwright.files import safe_read
from alignwright.files.errors import SpecError, did_you_mean

NONE = "none"
KNOWN = {
    "chatml": (
        "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>'"
        " + '\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
    ),
    "llama3": (
        "{% for message in messages %}{{ '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' +"
        " message['content'] | trim + '<|eot_id|>' }}{% endfor %}{% if add_generation_prompt %}"
        "{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}"
    ),
}
"""The templates that a spec may name, without the token that begins a text: a tokenizer that has
one puts it before them."""


@dataclass(frozen=True)
class ChatFormat:
    """A template as the spec gives it: its name there, and its text; None where there is to be
    none."""

    name: str
    template: str | None

    @property
    def known(self) -> bool:
        """Whether it is one of those that are named without a file."""
        return self.name in KNOWN


def chat_format(name: str, folder: Path) -> ChatFormat:
    """The template of this name; a path is sought from `folder`. Raises ValueError in words that
    follow the knob's place."""
    if name == NONE:
        return ChatFormat(name, None)
    if name in KNOWN:
        return ChatFormat(name, KNOWN[name])
    if not name.endswith((".jinja", ".jinja2", ".j2")):
        hint = did_you_mean(name, [*KNOWN, NONE])
        raise ValueError(f"no chat template {name!r}; {hint}, or give a file, such as ./template.jinja")
    path = folder / Path(name).expanduser()
    if not safe_read.is_file(path):
        raise ValueError(f"there is no file {path}")
    try:
        template = safe_read.text(path)
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 text: {error.reason} at byte {error.start}") from None
    except SpecError as error:
        raise ValueError("; ".join(error.problems)) from None
    if not template.strip():
        raise ValueError(f"{path} is empty; write 'chat: none' for a model without a chat template")
    return ChatFormat(name, template)
