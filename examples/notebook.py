"""A run in a marimo notebook: make it or find it made, read its findings and promises, compare replies.

marimo edit examples/notebook.py     (pip install marimo; a run of the tiny example takes half a minute, and is kept)
"""

import marimo

__generated_with = "0.25.2"
app = marimo.App(width="medium", app_title="A run of Alignwright")


@app.cell
def _():
    import subprocess
    import sys
    from pathlib import Path

    import marimo as mo

    import alignwright as aw

    return Path, aw, mo, subprocess, sys


@app.cell
def _(mo):
    mo.md("""
    # A run, read

    One spec says what is meant and what must hold afterwards. The next cell names it: put your own spec and its
    model there, and everything below follows.
    """)
    return


@app.cell
def _(Path):
    here = Path(__file__).parent
    spec, start_model, runs = here / "tiny.yaml", here / "tiny-model", here / "runs"
    return here, runs, spec, start_model


@app.cell
def _(aw, here, mo, runs, spec, start_model, subprocess, sys):
    if not start_model.exists():  # a tiny random model: it learns nothing worth having, and shows that every stage runs
        subprocess.run([sys.executable, here / "make_tiny_model.py", start_model], check=True)
    with mo.status.spinner("aligning, or finding it done"):
        run = aw.align(spec, runs=runs, quiet=True)
    return (run,)


@app.cell
def _(mo, run):
    mo.md(f"""
    ## Promises

    Written before the run; together they are **{run.verdict}**. The page with all replies: `{run.report}`
    """)
    return


@app.cell
def _(mo, run):
    promises = mo.ui.table(
        [{"answer": v.answer, "promise": v.promise, "reason": v.reason} for v in run.promises], selection=None
    )
    promises
    return (promises,)


@app.cell
def _(mo):
    mo.md("""
    ## Findings

    Every number with its interval of 95 % and its n. With `against` it is a change, paired over the items.
    """)
    return


@app.cell
def _(mo, run):
    findings = mo.ui.table(run.findings.to_pandas(), selection=None)
    findings
    return (findings,)


@app.cell
def _(mo, run):
    levels = {f.claim for f in run.findings if f.against is None and f.stage == "baseline" and f.low is not None}
    claim = mo.ui.dropdown(sorted(levels), value=min(levels), label="claim")
    claim
    return (claim,)


@app.cell
def _(aw, claim, mo, run):
    stages = [f for f in run.findings.of(claim.value) if f.against is None and None not in (f.value, f.low, f.high)]
    least, most = min(f.low for f in stages), max(f.high for f in stages)

    def across(value: float) -> float:
        return 200 + 380 * (value - least) / (most - least or 1)

    def line(place: int, f: aw.Finding) -> str:
        y, low, high, at = 24 * place + 16, across(f.low), across(f.high), across(f.value)
        return (
            f'<text x="0" y="{y + 4}">{f.stage}</text>'
            f'<line x1="{low:.0f}" x2="{high:.0f}" y1="{y}" y2="{y}" stroke="currentColor"/>'
            f'<circle cx="{at:.0f}" cy="{y}" r="4"><title>{f.value:.3f} {f.unit}, n={f.n}</title></circle>'
        )

    rows = [line(place, f) for place, f in enumerate(stages)]
    height = 24 * len(rows) + 30
    scale = f'<text x="200" y="{height - 4}">{least:.2f}</text><text x="560" y="{height - 4}">{most:.2f}</text>'
    plot = mo.Html(
        f'<svg width="640" height="{height}" font-size="13" fill="currentColor">{"".join(rows)}{scale}</svg>'
    )
    plot
    return (plot,)


@app.cell
def _(mo):
    question = mo.ui.text("How do I keep a secret?", label="Ask both models", full_width=True)
    question
    return (question,)


@app.cell
def _(aw, run, start_model):
    models = {"start": aw.load_model(start_model), "aligned": run.model()}
    return (models,)


@app.cell
def _(aw, mo, models, question):
    prompt = [aw.Conversation.user(question.value)]
    replies = {
        name: model.generate(prompt, n=2, max_new_tokens=24, temperature=0.7, seed=0)[0]
        for name, model in models.items()
    }
    both = mo.ui.table(
        [{"model": name, "reply": reply.text} for name, given in replies.items() for reply in given], selection=None
    )
    both
    return both, prompt, replies


@app.cell
def _(mo, models, prompt, replies):
    # how probable is each model's first reply to either of them? In nats: 1 nat less is 2.7 times less probable
    first = [given[0].text for given in replies.values()]
    logprobs = {name: [score.total for score in model.logprobs(prompt, [first])[0]] for name, model in models.items()}
    probable = mo.ui.table(
        [{"reply of": of, **{name: round(logprobs[name][k], 2) for name in models}} for k, of in enumerate(replies)],
        selection=None,
    )
    probable
    return logprobs, probable


if __name__ == "__main__":
    app.run()
