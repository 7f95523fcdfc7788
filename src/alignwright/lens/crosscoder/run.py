"""How are two models taken apart together inside a run? A trained one beside the start model, on the same tokens."""

from __future__ import annotations

from collections.abc import Sequence
from math import isnan

import torch
from torch import Tensor

from alignwright.core.records import Finding
from alignwright.core.stage import resolved
from alignwright.job.context import JobContext
from alignwright.job.job import BASELINE, Result
from alignwright.job.needs import NotServed, untested
from alignwright.lens.crosscoder.crosscoder import LEAST_ON, Crosscoder, ModelPair, crosscoder, side
from alignwright.lens.crosscoder.knobs import CLAIMS, CrosscoderStage
from alignwright.lens.crosscoder.latent_scaling import LIMITS, LatentScaling, latent_scaling
from alignwright.lens.diff.weights import same_shape
from alignwright.lens.other_model import other_model
from alignwright.lens.sae.autoencoder import Active, Autoencoder
from alignwright.lens.sae.corpus import Corpus, corpus
from alignwright.lens.sae.evaluate import Moments, moments, part_kept
from alignwright.lens.sae.features import Firings, Latent, features
from alignwright.lens.sae.run import CARDS, dashboard, finding_of, recipe_of, texts_of
from alignwright.model.activations.layout import layout_of
from alignwright.model.activations.sites import Site, resolve_layer
from alignwright.model.activations.store import ActivationStore
from alignwright.model.local_model import LocalModel
from alignwright.model.weights import write_tensors

FILE, FEATURES = "crosscoder.safetensors", "features.jsonl"


def measure_crosscoder(stage: CrosscoderStage, job: JobContext) -> Result:
    """Train on both models, and try the latents on held-out tokens."""
    if stage.against is None and job.model == BASELINE:
        return Result(note="the start model has none before it to be held against", samples=[], findings=[])
    try:
        policy = job.policy()
    except NotServed as refusal:
        return Result(
            f"untested: {refusal}", [], [untested(claim, job.model, str(refusal)) for claim in stage.claims()]
        )
    before = job.start() if stage.against is None else other_model(stage.against, job)
    same_shape(policy, before)
    site = Site(resolve_layer(stage.layer, len(layout_of(policy).blocks)))
    rows = corpus(policy, texts_of(stage, job), resolved(stage.tokens))
    trained = [_store(policy, part, site, job, f"{name}-trained") for name, part in _parts(rows)]
    start = [_store(before, part, site, job, f"{name}-start") for name, part in _parts(rows)]
    clouds = [moments(store.states(site)) for store in (start[0], trained[0])]
    scales = [layout_of(policy).hidden ** 0.5 / cloud.length for cloud in clouds]
    factors = (scales[0], scales[1])
    fit, trial = (ModelPair(one, other, site, factors) for one, other in zip(start, trained, strict=True))
    scaled = Moments(clouds[0].count, clouds[0].mean_H * factors[0], clouds[0].covariance_HH * factors[0] ** 2)
    recipe = recipe_of("batch_topk", resolved(stage.latents), stage.k, job.seed, trained[0].tokens)
    both = crosscoder(recipe, fit.batches, scaled, _change(fit, scaled), folder=job.at_work, progress=job.bar)
    firings, measured = _trial(both.dictionary, trial)
    on_F = torch.bincount(firings.active.latent_A, minlength=both.dictionary.latents)
    scaling = latent_scaling(both.dictionary, zip(measured.states, measured.active, strict=True))
    looks_F = both.of_trained(on_F)
    own_F, lost_F = scaling.absent(looks_F), scaling.absent(both.of_start(on_F))
    findings = _findings(job.model, both, measured, rows, own_F, lost_F, site, len(clouds[0].mean_H))
    findings += _scaling_findings(job.model, both, scaling, looks_F, own_F, on_F)
    findings[0] = findings[0].model_copy(update={"note": f"{findings[0].note} {findings[-1].note}"})
    write_tensors(
        {"encoder": both.dictionary.encoder_FH, "bias": both.dictionary.bias_F, "share": both.share_F,
         "decoder": both.dictionary.decoder_FH, "centre": both.dictionary.centre_H,
         "threshold": torch.as_tensor(both.dictionary.threshold_F), "factors": torch.tensor(factors),
         "nu_error": scaling.error_F.float(), "nu_reconstruction": scaling.reconstruction_F.float()},
        job.folder / FILE,
    )  # fmt: skip
    first = _first(policy, both, clouds[1], factors[1], firings, rows, own_F)
    findings[0].detail.update({f"latent {each.latent}": dashboard(each) for each in first})
    note = f"{site.name}: {len(own_F)} latents of the trained model alone, {len(lost_F)} of the start model alone"
    return Result(note=note, samples=[], findings=findings, records={FEATURES: first})


def _parts(rows: Corpus) -> list[tuple[str, list[list[int]]]]:
    return [("fit", rows.fit), ("trial", rows.trial)]


def _store(policy: LocalModel, rows: Sequence[list[int]], site: Site, job: JobContext, name: str) -> ActivationStore:
    return ActivationStore.write(policy, rows, [site], job.at_work / name)


def _change(pair: ModelPair, cloud: Moments) -> float:
    """The mean squared difference of both models' scaled activations, over the start model's variance."""
    total = count = 0.0
    for shard in pair.shards():
        start_NH, trained_NH = shard["states"].chunk(2, dim=1)
        total += float((trained_NH - start_NH).double().square().sum())
        count += len(start_NH)
    return total / count / float(cloud.covariance_HH.trace())


class _Tally:
    """Of each held-out row: squared distance from the mean and squared error of [start, trained], the row's number, and
    the latents that were on."""

    def __init__(self) -> None:
        self.rows: list[int] = []
        self.states: list[Tensor] = []
        self.active: list[Active] = []


def _trial(dictionary: Autoencoder, pair: ModelPair) -> tuple[Firings, _Tally]:
    tally, parts, tokens = _Tally(), [], 0
    for shard in pair.shards():
        for row in shard["row"].unique_consecutive().tolist():
            here_N = shard["row"] == row
            states_ND = shard["states"][here_N]
            active = dictionary.encode(states_ND)
            position_A = shard["position"][here_N].long()[active.token_A]
            parts.append((active.token_A + tokens, active.latent_A, active.value_A, position_A,
                          torch.full_like(position_A, row)))  # fmt: skip
            tokens += len(states_ND)
            tally.rows.append(row)
            tally.states.append(states_ND)
            tally.active.append(active)
    token_A, latent_A, value_A, position_A, row_A = (torch.cat(part) for part in zip(*parts, strict=True))
    return Firings(Active(token_A, latent_A, value_A, tokens), row_A, position_A), tally


def _findings(
    model: str, both: Crosscoder, tally: _Tally, rows: Corpus, own_F: Tensor, lost_F: Tensor, site: Site, hidden: int
) -> list[Finding]:
    texts = [rows.trial_texts[row] for row in tally.rows]
    mean_D = torch.cat(tally.states).mean(0)
    own = set(own_F.tolist())
    rest: dict[str, list[float]] = {"start": [], "trained": [], "shared": []}
    total: dict[str, list[float]] = {"start": [], "trained": []}
    for states_ND, active in zip(tally.states, tally.active, strict=True):
        rest_ND = states_ND - both.dictionary.decode(active)
        keep_A = torch.tensor([latent not in own for latent in active.latent_A.tolist()], dtype=torch.bool)
        shared = Active(active.token_A[keep_A], active.latent_A[keep_A], active.value_A[keep_A], active.tokens)
        rest["start"].append(float(rest_ND[:, :hidden].square().sum()))
        rest["trained"].append(float(rest_ND[:, hidden:].square().sum()))
        without_ND = states_ND - both.dictionary.decode(shared)
        rest["shared"].append(float(without_ND[:, hidden:].square().sum()))
        for name, half in (("start", slice(None, hidden)), ("trained", slice(hidden, None))):
            total[name].append(float((states_ND - mean_D)[:, half].square().sum()))
    less = [whole - (more - error) for whole, more, error in zip(total["trained"], rest["shared"], rest["trained"],
                                                             strict=True)]  # fmt: skip
    new = part_kept(less, total["trained"], texts)
    tokens = sum(len(states_ND) for states_ND in tally.states)
    rule = (
        f"share further from 1/2 than {both.limit:.2f}, twice the furthest of the start model against itself with noise"
    )
    words = (
        f"At {site.name} {len(own)} of {both.dictionary.latents} latents are the trained model's alone and"
        f" {len(lost_F)} the start model's: their {rule}. Those of the trained model carry {new.value or 0:.1%} of its"
        " variance on held-out tokens."
    )
    blunt = (
        f"the start model against itself with noise has a latent whose share is {both.furthest:.2f} from one half, so"
        " that no share could be told from chance here; try more tokens, or fewer latents"
    )
    nothing = (
        "no latent is the trained model's alone beyond what the start model against itself has by chance, and"
        " absent from the start model by latent scaling"
    )
    counts = {"of_trained": float(len(own)), "of_start": float(len(lost_F)), "limit": both.limit}
    words = words if both.tells else f"{words} That none is found says nothing: {blunt}."
    findings = [
        finding_of(CLAIMS, "crosscoder.new", model, new, tokens, f"at {site.name}; {rule}").model_copy(
            update={
                "note": words,
                "detail": {"site": site.name} | ({} if own else {"no_signal": nothing if both.tells else blunt}),
            }
        ),
        *(
            finding_of(CLAIMS, claim, model, part_kept(rest[name], total[name], texts), tokens, "sinks left out")
            for claim, name in (("crosscoder.explained", "trained"), ("crosscoder.explained_start", "start"))
        ),
    ]
    for name, value in counts.items():
        finding = finding_of(CLAIMS, f"crosscoder.{name}", model, None, both.dictionary.latents, rule)
        says = both.tells or name == "limit"
        findings.append(finding.model_copy(update={"value": value} if says else {"detail": {"untested": blunt}}))
    return findings


def _scaling_findings(
    model: str, both: Crosscoder, scaling: LatentScaling, looks_F: Tensor, own_F: Tensor, on_F: Tensor
) -> list[Finding]:
    """How many latents only look like the trained model's own, and what the same says of latents that both share."""
    shared_F = ((both.share_F - 0.5).abs() <= both.limit) & (on_F >= LEAST_ON)
    medians = [float(nu_F[shared_F].median()) for nu_F in (scaling.error_F, scaling.reconstruction_F)]
    counts = {
        "shrunk": (scaling.shrunk_F, f"nu of the errors at least {LIMITS[0]}", medians[0]),
        "decoupled": (scaling.decoupled_F, f"nu of the reconstructions at least {LIMITS[1]}", medians[1]),
    }
    findings: list[Finding] = []
    for name, (fails_F, rule, median) in counts.items():
        finding = finding_of(CLAIMS, f"crosscoder.{name}", model, None, len(looks_F), rule)
        detail = {} if isnan(median) else {"median_of_shared": median}
        findings.append(finding.model_copy(update={"value": float(fails_F[looks_F].sum()), "detail": detail}))
    words = (
        f"Of {len(looks_F)} latents that look like the trained model's alone, latent scaling finds {len(own_F)} absent"
        f" from the start model ({findings[0].value:.0f} are in its errors, {findings[1].value:.0f} in what other"
        f" latents make of it); of the {int(shared_F.sum())} that both share the medians are {medians[0]:.2f} and"
        f" {medians[1]:.2f}, where 1 is there as much."
    )
    findings[-1] = findings[-1].model_copy(update={"note": words})
    return findings


def _first(
    policy: LocalModel, both: Crosscoder, cloud: Moments, factor: float, firings: Firings, rows: Corpus, own_F: Tensor
) -> list[Latent]:
    """The trained model's own latents to read, the most exclusive first; where there are none, those nearest to it."""
    dictionary = side(both.dictionary, trained=True, factor=factor)
    latents = {latent.latent: latent for latent in features(policy, dictionary, cloud, firings, rows.trial)}
    order = own_F.tolist() or both.share_F.argsort(descending=True, stable=True).tolist()
    return [latents[latent] for latent in order if latent in latents][:CARDS]
