"""How is a dictionary made inside a run? Of each model's own activations, and kept in the job's folder."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

from alignwright.core.claims import Claim
from alignwright.core.records import Conversation, Finding
from alignwright.core.stage import resolved
from alignwright.files.items import TextItem
from alignwright.job.context import JobContext
from alignwright.job.job import Result
from alignwright.job.needs import NotServed, untested
from alignwright.lens.sae.autoencoder import Architecture, Autoencoder
from alignwright.lens.sae.corpus import Corpus, Text, corpus
from alignwright.lens.sae.evaluate import (
    Errors,
    Losses,
    Moments,
    errors,
    explained,
    gaussian_batches,
    gaussian_rows,
    losses,
    moments,
    of_components,
    of_dictionary,
    part_kept,
    trial_rows,
)
from alignwright.lens.sae.features import Latent, features, latents_on
from alignwright.lens.sae.file_format import save_autoencoder
from alignwright.lens.sae.knobs import CLAIMS, SaeStage, TextsStage
from alignwright.lens.sae.neuronpedia import write_neuronpedia
from alignwright.lens.sae.train import Recipe, train
from alignwright.model.activations.layout import layout_of
from alignwright.model.activations.sites import Site, resolve_layer
from alignwright.model.activations.store import ActivationStore
from alignwright.model.training_dtype import training_dtype
from alignwright.stats.intervals import Estimate, wilson

T = TypeVar("T")
FOLDER, FEATURES, NEURONPEDIA = "sae", "features.jsonl", "neuronpedia.jsonl.gz"
STEPS = 800
"""Steps of training at least; more where there are so many tokens."""
_SPLICED, CARDS = 16, 8


def measure_sae(stage: SaeStage, job: JobContext) -> Result:
    """Train, try on held-out tokens, and save."""
    try:
        policy = job.policy()
    except NotServed as refusal:
        return Result(
            f"untested: {refusal}", [], [untested(claim, job.model, str(refusal)) for claim in stage.claims()]
        )
    site = Site(resolve_layer(stage.layer, len(layout_of(policy).blocks)))
    rows = corpus(policy, texts_of(stage, job), resolved(stage.tokens))
    fit = ActivationStore.write(policy, rows.fit, [site], job.at_work / "fit")
    trial = ActivationStore.write(policy, rows.trial, [site], job.at_work / "trial")
    cloud = moments(fit.states(site))
    recipe = recipe_of(stage, stage.architecture, job.seed, fit.tokens)
    own = train(
        recipe, lambda size, seed: fit.batches(site, size, seed=seed), folder=job.at_work / "own", progress=job.bar
    )
    dictionary = own.autoencoder()
    twin = train(recipe, gaussian_batches(cloud), folder=job.at_work / "twin", progress=job.bar).autoencoder()
    firings = latents_on(dictionary, trial, site)
    latents = features(policy, dictionary, cloud, firings, rows.trial)
    save_autoencoder(dictionary, policy, site, job.folder / FOLDER, stage.architecture)
    write_neuronpedia(job.folder / NEURONPEDIA, policy, dictionary, site, latents, firings, rows.trial)
    measured = errors(trial_rows(trial, site), of_dictionary(dictionary), cloud.mean_H)
    findings = _explained(job.model, measured, dictionary, twin, trial, site, cloud, rows)
    spliced = _spread([place for place, row in enumerate(rows.trial) if len(row) > 1], _SPLICED)
    scored = losses(policy, [rows.trial[place] for place in spliced], site, dictionary, cloud)
    findings += _recovered(job.model, scored, [rows.trial_texts[place] for place in spliced])
    dead = int((own.silent_F >= recipe.dead_after).sum())
    findings += _sparsity(job.model, stage, measured, rows.trial_texts, recipe, dead)
    findings[0].detail.update({"site": site.name, **{f"latent {f.latent}": dashboard(f) for f in latents[:CARDS]}})
    note = f"{site.name}: {findings[0].value or 0:.3f} explained by {stage.k} of {dictionary.latents} latents"
    return Result(note=note, samples=[], findings=findings, records={FEATURES: latents})


def recipe_of(stage: TextsStage, architecture: Architecture, seed: int, tokens: int) -> Recipe:
    """How a stage trains: at least `STEPS` steps, and every token once."""
    recipe = Recipe(
        architecture, resolved(stage.latents), stage.k, STEPS, seed=seed,
        coarse=training_dtype() == "bfloat16",
    )  # fmt: skip
    return recipe if tokens <= STEPS * recipe.batch else replace(recipe, steps=tokens // recipe.batch)


def texts_of(stage: TextsStage, job: JobContext) -> list[Text]:
    texts: list[Text] = [(item.text,) for name in stage.text for item in job.data.read(name, TextItem).rows]
    texts += [(conversation,) for conversation in job.data.conversations(stage.conversations, None)]
    by_prompt: dict[Conversation, dict[str, None]] = {}
    for pair in job.data.pairs(stage.pairs):
        by_prompt.setdefault(pair.prompt.conversation, {}).update(dict.fromkeys(reply.text for reply in pair.replies))
    texts += [tuple(prompt.then("assistant", text) for text in replies) for prompt, replies in by_prompt.items()]
    return texts


def _spread(rows: Sequence[T], count: int) -> list[T]:
    """At most so many of them, at even distances."""
    return [rows[place * len(rows) // count] for place in range(count)] if len(rows) > count else list(rows)


def _explained(
    model: str, own: Errors, dictionary: Autoencoder, twin: Autoencoder, trial: ActivationStore, site: Site,
    cloud: Moments, rows: Corpus,
) -> list[Finding]:  # fmt: skip
    """On held-out tokens: by the dictionary, by its Gaussian twin of Gaussian tokens, by principal components."""
    sample = gaussian_rows(cloud, own.tokens, seed=1)
    of_twin = explained(errors(sample, of_dictionary(twin), cloud.mean_H), list(range(len(own.tokens))))
    per_token = max(1, round(sum(own.on) / sum(own.tokens)))
    plain = explained(
        errors(trial_rows(trial, site), of_components(cloud, min(per_token, dictionary.hidden)), cloud.mean_H),
        rows.trial_texts,
    )
    value = explained(own, rows.trial_texts)
    beyond, low, high = over(value, of_twin)
    tokens = sum(own.tokens)
    shows = low is not None and low > 0
    words = (
        f"With {sum(own.on) / tokens:.1f} of {dictionary.latents} latents a token the dictionary explains"
        f" {value.value or 0:.1%} of the variance of {tokens} held-out tokens at {site.name}; of Gaussian activations"
        f" with the same mean and covariance, which have no features, {of_twin.value or 0:.1%}; as many principal"
        f" components explain {plain.value or 0:.1%}."
    )
    why = (
        "" if shows else "it explains no more than the same recipe does of Gaussian activations, which have no features"
    )
    method = f"at {site.name}, texts held out, sinks left out; {value.interval.method}"
    return [
        finding_of(CLAIMS, "sae.explained", model, value, tokens, method).model_copy(
            update={"note": words, "detail": {"no_signal": why} if why else {}}
        ),
        finding_of(
            CLAIMS, "sae.over_gaussian", model, None, tokens, "difference of two independent estimates"
        ).model_copy(update={"value": beyond, "low": low, "high": high}),
        finding_of(CLAIMS, "sae.gaussian", model, of_twin, tokens, "trained and tried on Gaussian activations"),
        finding_of(CLAIMS, "sae.components", model, plain, tokens, f"{per_token} components of the training tokens"),
    ]


def over(one: Estimate, other: Estimate) -> tuple[float | None, float | None, float | None]:
    """One estimate less another of other items, and its limits: the half-widths' root sum of squares."""
    if one.value is None or other.value is None:
        return None, None, None
    beyond, limits = (
        one.value - other.value,
        (one.interval.low, one.interval.high, other.interval.low, other.interval.high),
    )
    low, high, other_low, other_high = limits
    if low is None or high is None or other_low is None or other_high is None:
        return beyond, None, None
    below = ((one.value - low) ** 2 + (other_high - other.value) ** 2) ** 0.5
    above = ((high - one.value) ** 2 + (other.value - other_low) ** 2) ** 0.5
    return beyond, beyond - below, beyond + above


def _recovered(model: str, losses: Losses, texts: Sequence[int]) -> list[Finding]:
    per_token = [sum(each) / losses.tokens for each in (losses.own, losses.spliced, losses.zero, losses.mean)]
    method = (
        "next-token loss {:.3f} nats, {:.3f} with the reconstruction, {:.3f} with zeros, {:.3f} with the mean".format(
            *per_token
        )
    )
    findings: list[Finding] = []
    for claim, worst, what in (
        ("sae.recovered", losses.zero, "zeros"),
        ("sae.recovered_mean", losses.mean, "the mean"),
    ):
        value = losses.recovered(worst, texts)
        why = f"the loss is no larger with {what} in the activations' place, so there is nothing to recover"
        finding = finding_of(CLAIMS, claim, model, value, losses.tokens, method)
        findings.append(finding if value else finding.model_copy(update={"detail": {"untested": why}}))
    return findings


def _sparsity(
    model: str, stage: SaeStage, own: Errors, texts: Sequence[int], recipe: Recipe, dead: int
) -> list[Finding]:
    tokens = sum(own.tokens)
    missing = [mean - on for on, mean in zip(own.on, own.tokens, strict=True)]
    silent = wilson(dead, recipe.latents)
    return [
        finding_of(
            CLAIMS, "sae.on", model, part_kept(missing, own.tokens, texts), tokens,
            f"{stage.architecture}, k {stage.k}",
        ),
        finding_of(CLAIMS,
            "sae.dead", model, None, recipe.latents,
            f"on at none of the last {recipe.dead_after} tokens of training; {silent.method}",
        ).model_copy(update={"value": dead / recipe.latents, "low": silent.low, "high": silent.high}),
    ]  # fmt: skip


def finding_of(
    claims: Sequence[Claim], claim: str, model: str, estimate: Estimate | None, n: int, method: str
) -> Finding:
    of = next(each for each in claims if each.name == claim)
    finding = Finding(
        claim=claim, stage=model, axis=of.axis, value=None, n=n, method=method, unit=of.unit, better=of.better
    )
    if estimate is None:
        return finding
    limits = {"low": estimate.interval.low, "high": estimate.interval.high}
    return finding.model_copy(update={"value": estimate.value, "clusters": estimate.clusters, **limits})


def dashboard(feature: Latent) -> str:
    """A latent as the report's section reads it: JSON, since a finding's detail holds plain values alone."""
    return json.dumps(feature.model_dump())
