"""Which commands grade replies, and ask people about them?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from alignwright.cli.options import RunFolder


def grade(
    replies: Annotated[
        Path,
        typer.Argument(
            help="A file of replies: JSONL, JSON, CSV or Parquet; or a log of Inspect, garak, PyRIT or JailbreakBench.",
            exists=True,
            dir_okay=False,
        ),
    ],
    out: Annotated[
        Path | None, typer.Option(help="Write every row with verdict and reason here, as JSON Lines.", dir_okay=False)
    ] = None,
    examples: Annotated[int, typer.Option(help="Examples of each verdict.", min=0)] = 2,
) -> None:
    """Which replies of any log refused, and which did what was asked; and how far the graders are
    right. Loads no model.

    A row has a prompt and a reply (or response, completion, output), or messages that end with the
    assistant's turn; optionally request (the bare one, where the prompt wraps it), topic, and what
    people said: refused, fulfilled (true or false). What another tool said (tool_success; the verdicts in its log) is
    shown beside the graders', with the rows on which they contradict each other.
    """
    from alignwright.run.console import screen
    from alignwright.run.grade import grade as graded
    from alignwright.run.grade import show, write

    log = graded(replies)
    if out is not None:
        write(log, out)
    show(log, screen(), examples)
    if out is not None:
        print(f"every row with verdict and reason: {out}")


def label(
    run: RunFolder,
    out: Annotated[Path, typer.Option(help="The file to write; it must not be there yet.", dir_okay=False)] = Path(
        "labels.jsonl"
    ),
    each: Annotated[int, typer.Option(help="Replies drawn for each claim.", min=1)] = 40,
    claim: Annotated[
        str | None, typer.Option(help="Only for this claim: value.refusal, value.over_refusal or attack.success.")
    ] = None,
    stage: Annotated[str | None, typer.Option(help="Replies of the model after this stage; none: of the last.")] = None,
) -> None:
    """Draw replies of a run at random, to be labelled by people: true or false under refused or
    fulfilled."""
    from alignwright.report.text import visible
    from alignwright.run.sample_replies import draw

    for line in draw(run, out, each=each, claim=claim, stage=stage):
        print(visible(line))
    print(
        f"write true or false under 'refused' or 'fulfilled' in {out}, name it under 'labels:' in the spec, and run"
        " align again"
    )


def rate(
    source: Annotated[Path, typer.Argument(help="A run folder, a file of pairs, or one of 'label'.", exists=True)],
    rater: Annotated[str, typer.Option(help="Who answers: a name or number.")] = "",
    group: Annotated[str, typer.Option(help="The rater's group.")] = "",
    out: Annotated[Path | None, typer.Option(help="The file of votes; none: votes.jsonl.", dir_okay=False)] = None,
    limit: Annotated[int | None, typer.Option(help="At most so many questions now.", min=1)] = None,
    seed: Annotated[int, typer.Option(help="Seed of order and sides.")] = 0,
    stage: Annotated[str | None, typer.Option(help="Of a run: the model after this stage; none: the last.")] = None,
    compared: Annotated[bool, typer.Option("--compared", help="Of a run: what its voters compared.")] = False,
    form: Annotated[
        Path | None,
        typer.Option(help="Write the questions as a page for a browser here, and ask nothing now.", dir_okay=False),
    ] = None,
    collect: Annotated[
        list[Path] | None,
        typer.Option(help="Check what such a page gave for download, and add it to the votes.", exists=True),
    ] = None,
    summary: Annotated[bool, typer.Option("--summary", help="What all raters said together.")] = False,
) -> None:
    """Which of two replies is better (or: which labels are missing)? Asks a person, blind; run it again to go on.

    Of a run: the start model's replies beside those of the aligned one. --form page.html asks in a browser, without
    network; --collect answers.jsonl takes its answers.
    """
    from alignwright.run.rating import commands
    from alignwright.run.rating.source import Source

    if (form is not None) + bool(collect) + summary > 1:
        raise typer.BadParameter("--form, --collect and --summary are three things to do: give one of them")
    others: dict[str, object] = {"--rater": rater, "--group": group, "--limit": limit}
    what = Source(source, compared, stage)
    if collect:
        commands.take_answers(what, out, collect, without_effect=others)
    elif summary:
        commands.show_summary(what, out, without_effect=others)
    elif form is not None:
        commands.write_page(what, out, form, rater=rater, group=group, seed=seed, limit=limit)
    else:
        commands.rate_in_terminal(what, out, rater=rater, group=group, seed=seed, limit=limit)
