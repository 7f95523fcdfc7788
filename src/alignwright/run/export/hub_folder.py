"""How does a run's model leave as a repository of the Hugging Face Hub?

A folder that can be uploaded as it is: the files that were measured, unchanged since, and a card
whose metadata `huggingface_hub` reads back: licence, base model, and a `model-index` with every
promise and every number of the model. What was asked and replied is not in it: some of it was made
to draw out harm. Nothing is sent without a repository's name and a token, and a repository that is
made is private.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, cast

from alignwright.files.contents import are_marks, changed, json_object
from alignwright.files.models import HUB_ID
from alignwright.job.ledger import write_text
from alignwright.report import read
from alignwright.report.card import card, front_matter
from alignwright.report.model_index import model_index
from alignwright.run.export.new_folder import copy_files, model_files, new_folder, size
from alignwright.run.run_folder import model_folder
from alignwright.run.steered import is_steered, steered_use

if TYPE_CHECKING:
    from huggingface_hub import ModelCardData

LOGIN = "'hf auth login', or the token in the environment's HF_TOKEN"
_USE = """## How it is opened

```python
from transformers import AutoModelForCausalLM, AutoTokenizer

model = AutoModelForCausalLM.from_pretrained("{place}", dtype="float32")
tokenizer = AutoTokenizer.from_pretrained("{place}")
```

The numbers below are of these weights in float32, with this chat template."""


def write_hub(run: Path, out: Path | None, *, repo: str | None = None, dry_run: bool = False) -> tuple[Path, list[str]]:
    """Write the repository's folder, into `out` or under the run's `export/`, and upload it to `repo`
    where one is named and it is not a dry run. Returns the folder and what there is to say of it.

    Raises FileNotFoundError where the run has no model; ValueError where its files have changed,
    the card cannot be read back, or the Hub takes no upload."""
    if repo is not None and not HUB_ID.fullmatch(repo):
        raise ValueError(f"--repo {repo!r} names no repository of the Hub; write owner/name")
    place, model = out or run / "export" / "hub", model_folder(run)
    if why := _changed(model):
        raise ValueError(
            f"{model}: {why}, so it is not what was measured; run the same spec again, which saves it anew"
        )
    text = _card(run, model, repo or "this folder")
    _read_back(text)
    with new_folder(place, ours=out is None) as folder:
        copy_files([file for file in model_files(model) if file.name != "README.md"], folder)
        write_text(folder / "README.md", text)
    files = model_files(place)
    lines = [f"{place}: {len(files)} files, {size(*files)}, the weights as they were measured"]
    if dry_run:
        to = f"to https://huggingface.co/{repo}" if repo else "to the repository that --repo names"
        return place, [
            *lines,
            f"nothing was uploaded; {to} would go:",
            *(f"  {f.name}  {size(f)}" for f in files),
        ]
    if repo is None:
        return place, lines
    return place, [*lines, _upload(place, repo)]


def _changed(model: Path) -> str | None:
    """What in the run's model is no longer as it was saved."""
    marks = json_object(model / ".key").get("files")
    return changed(marks, model, more=True) if are_marks(marks) else "it is not known what was saved there"


def _card(run: Path, model: Path, place: str) -> str:
    case = read(run)
    index = model_index(case)
    front = front_matter(case) | ({"model-index": index} if index else {})
    lead = steered_use(model, place) if is_steered(model) else _USE.format(place=place)
    return card(case, front=front, lead=lead)


def _read_back(text: str) -> None:
    """Hold the card against the Hub's own reader. Raises ValueError where it reads another number of
    results than were written."""
    import yaml
    from huggingface_hub import ModelCard

    try:
        results = cast("ModelCardData", ModelCard(text).data).eval_results or []
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(f"huggingface_hub does not read the card that was made: {error}") from error
    front = yaml.safe_load(text.split("---\n")[1])
    written = sum(len(part["metrics"]) for index in front.get("model-index", ()) for part in index["results"])
    if len(results) != written:
        raise ValueError(f"huggingface_hub reads {len(results)} of the {written} results in the card that was made")


def _upload(folder: Path, repo: str) -> str:
    from huggingface_hub import HfApi, ModelCard, get_token

    if get_token() is None:
        raise ValueError(
            f"{folder} is written, but there is no token to upload it with: {LOGIN}; with --dry-run nothing is sent"
        )
    try:
        ModelCard((folder / "README.md").read_text(encoding="utf-8")).validate()
        api = HfApi()
        api.create_repo(repo, private=True, exist_ok=True)
        api.upload_folder(repo_id=repo, folder_path=os.fspath(folder), commit_message="The model of an Alignwright run")
    except Exception as error:  # a refusal of the Hub, or of any layer below it
        words = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise ValueError(f"{folder} is written, but the Hub did not take it as {repo}: {words}") from error
    return f"uploaded to https://huggingface.co/{repo}; it is private where it was made now"
