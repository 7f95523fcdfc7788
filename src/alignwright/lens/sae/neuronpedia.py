"""How are latents shown to others? As Neuronpedia's feature JSON, a row a latent.

The keys are those of its API's features: `modelId`, `layer` (`15-NAME`: the block and the set), `index`,
`maxActApprox`, `frac_nonzero`, `pos_str` and `pos_values`, `neg_str` and `neg_values`, `vector` (the decoder's row),
`hookName`, and `activations`, each a row of `tokens` with the latent's `values`. There are no explanations: nobody
wrote any.

Shapes: A kept latents of all tokens together.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from alignwright.lens.sae.autoencoder import Autoencoder
from alignwright.lens.sae.features import Firings, Latent, token_text
from alignwright.model.activations.sites import Site
from alignwright.model.local_model import LocalModel

SET = "alignwright"
_DIGITS = 6


def write_neuronpedia(
    path: Path,
    policy: LocalModel,
    dictionary: Autoencoder,
    site: Site,
    latents: Sequence[Latent],
    firings: Firings,
    rows: Sequence[Sequence[int]],
) -> None:
    """A gzipped line of JSON for each latent; the same bytes for the same latents."""
    with path.open("wb") as file, gzip.GzipFile("", "wb", fileobj=file, mtime=0) as zipped:
        for row in feature_rows(policy, dictionary, site, latents, firings, rows):
            zipped.write(json.dumps(row, ensure_ascii=False).encode("utf-8") + b"\n")


def feature_rows(
    policy: LocalModel,
    dictionary: Autoencoder,
    site: Site,
    latents: Sequence[Latent],
    firings: Firings,
    rows: Sequence[Sequence[int]],
) -> Iterator[dict[str, Any]]:
    """Latent by latent, in the order given."""
    order = firings.active.latent_A.argsort(stable=True)
    counts = firings.active.latent_A.bincount(minlength=dictionary.latents).tolist()
    entries = order.split(counts)
    head = {"modelId": policy.name, "layer": f"{site.layer}-{SET}", "sourceSetName": SET, "hookName": site.name}
    for latent in latents:
        yield head | {
            "index": str(latent.latent), "maxActApprox": latent.largest, "frac_nonzero": latent.rate,
            "pos_str": [word for word, _ in latent.promotes], "pos_values": [value for _, value in latent.promotes],
            "neg_str": [word for word, _ in latent.suppresses],
            "neg_values": [value for _, value in latent.suppresses],
            "vector": [round(value, _DIGITS) for value in dictionary.decoder_FH[latent.latent].tolist()],
            "explanations": [],
            "activations": [
                _activation(policy, firings, entries[latent.latent], example.row, rows[example.row])
                for example in latent.examples
            ],
        }  # fmt: skip


def _activation(policy: LocalModel, firings: Firings, entry_A: Tensor, row: int, ids: Sequence[int]) -> dict[str, Any]:
    """A whole row of tokens with a latent's value at each."""
    here_A = entry_A[firings.row_A[entry_A] == row]
    values = [0.0] * len(ids)
    places = zip(firings.position_A[here_A].tolist(), firings.active.value_A[here_A].tolist(), strict=True)
    for position, value in places:
        values[position] = round(value, _DIGITS)
    largest = max(values)
    return {
        "tokens": [token_text(policy, token) for token in ids], "values": values, "maxValue": largest,
        "maxValueTokenIndex": values.index(largest), "minValue": min(values), "dataIndex": str(row),
    }  # fmt: skip
