"""Why can a conversation not be written by a model's chat template, and what helps?"""

from __future__ import annotations

from collections.abc import Sequence


class UnrenderedMessage(ValueError):
    """A conversation that the chat template does not write: it leaves out `role`'s text, or
    refuses it. `cure` says what helps."""

    def __init__(self, what: str, role: str, cure: str) -> None:
        super().__init__(f"{what}; {cure}")
        self.what, self.role, self.cure = what, role, cure


class NoTemplate(ValueError):
    """A conversation is to be written for a model without a chat template."""

    def __init__(self) -> None:
        super().__init__(f"{BASE_MODEL}; {GIVE_TEMPLATE}")


BASE_MODEL = (
    "this is a base model: it has no chat template, so there is no telling how a conversation is written for it"
)
GIVE_TEMPLATE = (
    "write 'chat: chatml', 'chat: llama3' or 'chat: ./template.jinja' into the spec, which gives it one, or use an"
    " instruction-tuned model. Plain text needs none: {by: pretrain} and 'text' of {by: tax}, and with 'chat: none' its"
    " 'choice' too"
)


class TemplateStopped(ValueError):
    """The chat template was over a bound as it wrote a conversation."""


def cure_for(role: str, roles: Sequence[str] = ()) -> str:
    match role:
        case "system" | "developer":
            other = " as 'system', or" if role == "developer" else ""
            return (
                f"write the {role}'s text{other} at the head of the first user message, or use a model whose template"
                " has a place for it"
            )
        case "tool":
            return "write the tool's text into a user message, or use a model whose template has a place for it"
        case "" if roles and all(name == ("assistant" if place % 2 else "user") for place, name in enumerate(roles)):
            return (
                "no conversation is plainer, so it is the template that must be mended (chat_template.jinja), or use"
                " another model"
            )
        case "":
            return (
                "a template may want roles that alternate and begin with the user's; bring the conversation into that"
                " form, or use another model"
            )
        case _:
            return "write it so that the template keeps it, or use a model whose template does"


def roles_text(roles: Sequence[str]) -> str:
    text = ", ".join(roles[:8])
    return text if len(roles) <= 8 else f"{text} ... ({len(roles)} messages)"
