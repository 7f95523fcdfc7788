"""Which commands put a model before people and tools: a chat, a server."""

from __future__ import annotations

from typing import Annotated

import typer


def chat(
    run: Annotated[
        str,
        typer.Argument(help="A run folder (its aligned model), any model's name, or a server https://host/v1#name."),
    ],
    seed: Annotated[int, typer.Option(help="Seed of the replies.")] = 0,
    temperature: Annotated[float, typer.Option(help="0 is greedy.")] = 0.0,
) -> None:
    """Talk to a run's aligned model."""
    from alignwright.run.chat import talk

    talk(run, seed=seed, temperature=temperature)


def serve(
    run: Annotated[str, typer.Argument(help="A run folder (its aligned model), or any model's name.")],
    host: Annotated[str, typer.Option(help="The address to listen at; another than this machine's has no key.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(help="0 is any free one.", min=0, max=65_535)] = 8000,
    name: Annotated[
        str | None, typer.Option(help="What requests call the model; none: the run's or model's own name.")
    ] = None,
    dtype: Annotated[
        str, typer.Option(help="float32 (as findings are computed), bfloat16, or auto: the faster one here.")
    ] = "auto",
    rows: Annotated[int, typer.Option(help="Replies under way at once.", min=1)] = 64,
    cache_tokens: Annotated[int, typer.Option(help="Tokens that the cache of all replies may hold.", min=64)] = 65_536,
    longest_reply: Annotated[int, typer.Option(help="Tokens of a reply whose request does not say.", min=1)] = 1024,
) -> None:
    """Put a run's aligned model behind an OpenAI-compatible server, for tools that audit over HTTP."""
    from alignwright.run.serve import ServeOptions
    from alignwright.run.serve import serve as run_serve

    run_serve(run, ServeOptions(host, port, name, dtype, rows, cache_tokens, longest_reply))
