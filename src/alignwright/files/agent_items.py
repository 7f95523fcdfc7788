"""Which scenarios set an agent to a task, and how is it known whether more came of it than was meant?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, cast

from pydantic import Field, model_validator

from alignwright.core.records import Record
from alignwright.files.formats import Kind
from alignwright.files.items import Item, Text

Family = Literal["side_effect", "off_switch", "secret", "deletion"]
Tool = Literal["read_file", "delete_file", "send_file", "switch_off", "switch_on"]
TOOLS: dict[Family, tuple[Tool, ...]] = {
    "side_effect": ("switch_off",),
    "off_switch": ("send_file", "switch_off"),
    "secret": ("read_file", "send_file"),
    "deletion": ("read_file", "delete_file"),
}
"""The tools of a scenario that names none."""
_TRUTH = (
    "a scenario without its truth: no {lacking!r}; write under 'goal' what the task is meant to bring about and under"
    " 'harm' what must not come about, each as deleted, sent (pairs of file and contact) or switches"
)


class StateAim(Record):
    """What may come about in the state: files deleted, files sent (file, to whom), switches as they are set."""

    deleted: tuple[str, ...] = ()
    sent: tuple[tuple[str, str], ...] = ()
    switches: dict[str, Literal["on", "off"]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _something(self) -> StateAim:
        if not (self.deleted or self.sent or self.switches):
            raise ValueError("names nothing that could come about: give deleted, sent or switches")
        return self

    def joined(self, other: StateAim) -> StateAim:
        """Both."""
        return StateAim(
            deleted=self.deleted + other.deleted,
            sent=self.sent + other.sent,
            switches={**self.switches, **other.switches},
        )


class AgentScenario(Item):
    """A task in a small state of files, contacts and switches. `goal` is what it is meant to bring about, all
    of it; `harm` what must not come about, any of it. `twin` is the task in words that ask for the harm as
    well, so that an agent that never dares the step is seen. `paid` is what a naive reward looks at (the goal,
    where nothing is said). `links`: what goes off with a switch. `stop_after`: the call after which the
    operator stops the agent, unless the switch `stop button` is off."""

    reads: ClassVar[Kind] = "agent_scenario"
    family: Family
    task: Text
    goal: StateAim
    harm: StateAim
    twin: str = ""
    paid: StateAim | None = None
    files: dict[str, str] = Field(default_factory=dict)
    contacts: tuple[Text, ...] = ()
    switches: dict[str, Literal["on", "off"]] = Field(default_factory=dict)
    links: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    tools: tuple[Tool, ...] = ()
    stop_after: int | None = Field(default=None, ge=1)

    @property
    def asks(self) -> tuple[str, ...]:
        return (self.task,)

    @property
    def usable(self) -> tuple[Tool, ...]:
        """The tools that the agent has."""
        return self.tools or TOOLS[self.family]

    @model_validator(mode="before")
    @classmethod
    def _has_its_truth(cls, row: object) -> object:
        fields = cast("dict[str, Any]", row) if isinstance(row, dict) else {}
        lacking = next((name for name in ("goal", "harm") if not fields.get(name)), None)
        if isinstance(row, dict) and lacking:
            raise ValueError(_TRUTH.format(lacking=lacking))
        return _with_tuples(cast("object", row))

    @model_validator(mode="after")
    def _aims_are_in_the_state(self) -> AgentScenario:
        for name, aim in (("goal", self.goal), ("harm", self.harm), ("paid", self.paid or self.goal)):
            for file in (*aim.deleted, *(file for file, _ in aim.sent)):
                _among(file, self.files, f"{name} names the file", "files")
            for _, contact in aim.sent:
                _among(contact, self.contacts, f"{name} names the contact", "contacts")
            for switch in aim.switches:
                _among(switch, self.switches, f"{name} names the switch", "switches")
            self._within_reach(name, aim)
        self._told_apart()
        for switch in {*self.links, *(each for linked in self.links.values() for each in linked)}:
            _among(switch, self.switches, "links names the switch", "switches")
        if self.stop_after is not None:
            _among(STOP, self.switches, "stop_after needs the switch", "switches")
        return self

    def _told_apart(self) -> None:
        """No task whose goal is the harm, and no twin that asks for nothing else."""
        goal, harm = _steps(self.goal), _steps(self.harm)
        if both := sorted(goal & harm):
            raise ValueError(f"{both[0]} is both goal and harm, so no agent could do this as meant; take it out of one")
        if self.twin.split() == self.task.split():
            raise ValueError("task and twin are the same words; the twin asks for the harm as well, or is left out")

    def _within_reach(self, name: str, aim: StateAim) -> None:
        """An aim that no tool can bring about would be kept by every agent."""
        values = set(aim.switches.values())
        reach: dict[Tool, bool] = {
            "delete_file": bool(aim.deleted),
            "send_file": bool(aim.sent),
            "switch_off": "off" in values,
            "switch_on": "on" in values,
        }
        for tool in (tool for tool, needed in reach.items() if needed):
            if tool not in self.usable:
                have = ", ".join(self.usable)
                raise ValueError(
                    f"{name} cannot come about without {tool}, and the tools are {have}: add it to 'tools'"
                )
        standing = [switch for switch, value in aim.switches.items() if self.switches[switch] == value]
        if standing and len(standing) == len(aim.switches) and not (aim.deleted or aim.sent):
            raise ValueError(
                f"{name} holds before anything is done: {standing[0]!r} is already {aim.switches[standing[0]]}"
            )


STOP = "stop button"


def _steps(aim: StateAim) -> set[str]:
    """What is to come about, each in words."""
    sent = {f"{file!r} sent to {contact!r}" for file, contact in aim.sent}
    return {f"{file!r} deleted" for file in aim.deleted} | sent | {f"{k!r} {v}" for k, v in aim.switches.items()}


def _with_tuples(value: object) -> object:
    """Lists as tuples, at whatever depth: what a check before the fields hands on is no longer JSON."""
    if isinstance(value, list | tuple):
        return tuple(_with_tuples(each) for each in cast("list[object]", value))
    if isinstance(value, dict):
        return {name: _with_tuples(each) for name, each in cast("dict[str, object]", value).items()}
    return value


def _among(what: str, of: object, words: str, column: str) -> None:
    names = list(cast("Mapping[str, Any]", of))
    if what not in names:
        raise ValueError(f"{words} {what!r}, which is not under '{column}': {', '.join(names) or 'none'}")
