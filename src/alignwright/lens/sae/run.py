"""How is a dictionary made inside a run? Of each model's own activations, and kept in the job's folder; or one of the
start model's is opened, and tried on every model of the run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import isnan
from typing import TypeVar

import torch

from alignwright.core.claims import Claim
from alignwright.core.records import Conversation, Finding
from alignwright.core.stage import resolved
from alignwright.files.fingerprint import weights_hash
from alignwright.files.items import TextItem
from alignwright.files.models import resolve
from alignwright.job.context import JobContext
from alignwright.job.job import BASELINE, Result
from alignwright.job.needs import NotServed, untested
from alignwright.lens.sae.alike import ALIKE
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
from alignwright.lens.sae.features import Firings, Latent, features, latents_on
from alignwright.lens.sae.file_format import load_autoencoder, save_autoencoder
from alignwright.lens.sae.knobs import CLAIMS, SaeStage, TextsStage
from alignwright.lens.sae.neuronpedia import write_neuronpedia
from alignwright.lens.sae.random_weights import LEAST_ON, NoRandomWeights, beside_random_weights
from alignwright.lens.sae.train import Recipe, train
from alignwright.model.activations.layout import layout_of
from alignwright.model.activations.sites import Site, resolve_layer
from alignwright.model.activations.store import ActivationStore
from alignwright.model.local_model import LocalModel
from alignwright.model.training_dtype import training_dtype
from alignwright.stats.intervals import Estimate, wilson

T = TypeVar("T")
FOLDER, FEATURES, NEURONPEDIA = "sae", "features.jsonl", "neuronpedia.jsonl.gz"
STEPS = 800
"""Steps of training at least; more where there are so many tokens."""
_SPLICED, CARDS = 16, 8


def measure_sae(stage: SaeStage, job: JobContext) -> Result:
    """Train (or open), try on held-out tokens, and save."""
    try:
        policy = job.policy()
    except NotServed as refusal:
        return Result(
            f"untested: {refusal}", [], [untested(claim, job.model, str(refusal)) for claim in stage.claims()]
        )
    opened = None if stage.dictionary is None else load_autoencoder(job.data.path(stage.dictionary), job.start())
    site = opened[1] if opened else Site(resolve_layer(stage.layer, len(layout_of(policy).blocks)))
    rows = corpus(policy, texts_of(stage, job), resolved(stage.tokens))
    fit = ActivationStore.write(policy, rows.fit, [site], job.at_work / "fit")
    trial = ActivationStore.write(policy, rows.trial, [site], job.at_work / "trial")
    made = _trained(stage, job, fit, site) if opened is None else _opened(opened[0], job, fit, site)
    dictionary, recipe, cloud = made.dictionary, made.recipe, moments(fit.states(site))
    twin = train(recipe, gaussian_batches(cloud), folder=job.at_work / "twin", progress=job.bar).autoencoder()
    firings = latents_on(dictionary, trial, site)
    latents = features(policy, dictionary, cloud, firings, rows.trial)
    if opened is None:
        save_autoencoder(dictionary, policy, site, job.folder / FOLDER, stage.architecture, _files_of(job))
    write_neuronpedia(job.folder / NEURONPEDIA, policy, dictionary, site, latents, firings, rows.trial)
    measured = errors(trial_rows(trial, site), of_dictionary(dictionary), cloud.mean_H)
    findings = _explained(job.model, measured, dictionary, twin, trial, site, cloud, rows)
    spliced = _spread([place for place, row in enumerate(rows.trial) if len(row) > 1], _SPLICED)
    scored = losses(policy, [rows.trial[place] for place in spliced], site, dictionary, cloud)
    findings += _recovered(job.model, scored, [rows.trial_texts[place] for place in spliced])
    findings += _sparsity(job.model, made, measured, rows.trial_texts)
    if stage.random_weights:
        latents, beside = _beside_random(policy, made, rows, site, firings, latents, job)
        findings[0] = findings[0].model_copy(update={"note": f"{findings[0].note} {beside[-1].note}"})
        findings += beside
    findings[0].detail.update({"site": site.name, **{f"latent {f.latent}": dashboard(f) for f in latents[:CARDS]}})
    note = f"{site.name}: {findings[0].value or 0:.3f} explained by {recipe.k} of {dictionary.latents} latents"
    return Result(note=note, samples=[], findings=findings, records={FEATURES: latents})


@dataclass(frozen=True, eq=False)
class _Made:
    """A dictionary, the recipe that its controls are trained by, and how many latents were never on, where."""

    dictionary: Autoencoder
    recipe: Recipe
    dead: int
    where: str


def _trained(stage: SaeStage, job: JobContext, fit: ActivationStore, site: Site) -> _Made:
    recipe = recipe_of(stage.architecture, resolved(stage.latents), stage.k, job.seed, fit.tokens)
    own = train(
        recipe, lambda size, seed: fit.batches(site, size, seed=seed), folder=job.at_work / "own", progress=job.bar
    )
    dead = int((own.silent_F >= recipe.dead_after).sum())
    return _Made(own.autoencoder(), recipe, dead, f"the last {recipe.dead_after} tokens of training")


def _opened(dictionary: Autoencoder, job: JobContext, fit: ActivationStore, site: Site) -> _Made:
    """One that others trained. Its controls have as many latents, and as many on per token as it has here."""
    on_F, tokens = torch.zeros(dictionary.latents, dtype=torch.long), 0
    for states_NH in fit.states(site):
        active = dictionary.encode(states_NH.float())
        on_F += torch.bincount(active.latent_A, minlength=dictionary.latents)
        tokens += active.tokens
    rule: Architecture = "topk" if dictionary.k is not None else "batch_topk"
    k = dictionary.k or min(dictionary.latents, max(1, round(float(on_F.sum()) / tokens)))
    recipe = recipe_of(rule, dictionary.latents, k, job.seed, fit.tokens)
    return _Made(dictionary, recipe, int((on_F == 0).sum()), f"{tokens} tokens")


def _files_of(job: JobContext) -> str | None:
    """What names the files of the job's model, where it has some of its own."""
    if job.model != BASELINE or job.kept_as is None:
        return None
    return weights_hash(resolve(str(job.kept_as)))


def recipe_of(architecture: Architecture, latents: int, k: int, seed: int, tokens: int) -> Recipe:
    """How a stage trains: at least `STEPS` steps, and every token once."""
    recipe = Recipe(architecture, latents, k, STEPS, seed=seed, coarse=training_dtype() == "bfloat16")
    return recipe if tokens <= STEPS * recipe.batch else replace(recipe, steps=tokens // recipe.batch)


def _beside_random(
    policy: LocalModel, made: _Made, rows: Corpus, site: Site, firings: Firings, latents: Sequence[Latent],
    job: JobContext,
) -> tuple[list[Latent], list[Finding]]:  # fmt: skip
    """What a model with random weights has as well, of all and of each latent; the last finding's note says it."""
    names = ("sae.random_weights", "sae.as_random")
    try:
        twin = beside_random_weights(
            policy, made.recipe, rows, site, firings, made.dictionary.latents, job.at_work, job.bar
        )
    except NoRandomWeights as why:
        return list(latents), [
            untested(claim_of(CLAIMS, name), job.model, str(why)).model_copy(update={"note": f"{why}."})
            for name in names
        ]
    alike, chance, count = twin.shared()
    whole = finding_of(
        CLAIMS, names[0], job.model, twin.explained, twin.tokens,
        "the same recipe on the same rows, every weight tensor drawn anew with its own mean and variance",
    )  # fmt: skip
    method = f"latents on at {LEAST_ON} held-out tokens or more; correlation of {ALIKE} or more"
    part = finding_of(CLAIMS, names[1], job.model, None, count, method)
    if not count:
        why = f"no latent is on at {LEAST_ON} held-out tokens"
        return list(latents), [whole, part.model_copy(update={"detail": {"untested": why}, "note": f"{why}."})]
    words = (
        f"With random weights in the model's place the same recipe explains {twin.explained.value or 0:.1%} of what"
        f" such a model holds, and {alike or 'none'} of {count} latents {'is' if alike < 2 else 'are'} on as one of"
        f" that dictionary is ({chance or 'none'} by chance)"
        f"{': what such a one shows is in the tokens and not in what was learnt' if alike else ''}."
    )
    limits = wilson(alike, count)
    part = part.model_copy(
        update={"value": alike / count, "low": limits.low, "high": limits.high, "note": words,
                "method": f"{method}; {limits.method}", "detail": {"by_chance": chance / count}}
    )  # fmt: skip
    like_F = twin.like_F.tolist()
    return [
        each if isnan(like_F[each.latent]) else each.model_copy(update={"as_random": like_F[each.latent]})
        for each in latents
    ], [whole, part]


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


def _sparsity(model: str, made: _Made, own: Errors, texts: Sequence[int]) -> list[Finding]:
    tokens, recipe = sum(own.tokens), made.recipe
    missing = [mean - on for on, mean in zip(own.on, own.tokens, strict=True)]
    silent = wilson(made.dead, recipe.latents)
    return [
        finding_of(
            CLAIMS, "sae.on", model, part_kept(missing, own.tokens, texts), tokens,
            f"{recipe.architecture}, k {recipe.k}",
        ),
        finding_of(CLAIMS,
            "sae.dead", model, None, recipe.latents,
            f"on at none of {made.where}; {silent.method}",
        ).model_copy(update={"value": made.dead / recipe.latents, "low": silent.low, "high": silent.high}),
    ]  # fmt: skip


def claim_of(claims: Sequence[Claim], name: str) -> Claim:
    return next(each for each in claims if each.name == name)


def finding_of(
    claims: Sequence[Claim], claim: str, model: str, estimate: Estimate | None, n: int, method: str
) -> Finding:
    of = claim_of(claims, claim)
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
