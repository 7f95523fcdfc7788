"""What does the aligned model say? A conversation in the terminal, with a run's model or any other.

Replies are shown as plain text: control characters of the model's output never reach the terminal.
"""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from alignwright.core.records import Conversation, Message


def talk(run: str, *, seed: int, temperature: float) -> None:
    """Read lines, answer them, until end of input. `/new` forgets the conversation."""
    from alignwright.model.load import load

    console = Console()
    place = Path(run) / "model"
    if Path(run).is_dir() and not place.is_dir() and not (Path(run) / "config.json").exists():
        raise FileNotFoundError(f"{run} has no model/ folder: the run has not trained to its end; resume it with alignwright align")
    policy = load(str(place) if place.is_dir() else run)
    console.print("Write and press enter. /new starts over, Ctrl-D ends.", style="dim")
    messages: tuple[Message, ...] = ()
    while True:
        try:
            line = console.input("[bold]you[/] ").strip()
        except EOFError:
            return
        if line == "/new":
            messages = ()
        elif line:
            messages = (*messages, Message(role="user", content=line))
            reply = policy.reply([Conversation(messages=messages)], max_new_tokens=256, temperature=temperature, seed=seed)[0][0].text
            console.print("".join(c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in reply), markup=False, highlight=False)
            messages = (*messages, Message(role="assistant", content=reply))
