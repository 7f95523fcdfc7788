"""Can text be tokenized as a model would, without opening the model?

`check` looks at training data as the model will see it, and weights would cost it seconds and
gigabytes. A tokenizer is found in the model's folder, in the cache where a GGUF file was
dequantised before, in the Hub's cache, or in the GGUF file itself; what else must be known of the
model (where it stops, how many tokens its embedding has, how long a row may be) is in the JSON
files beside it.

A tokenizer that is one `tokenizer.json` needs no torch (about a second). transformers' other
classes and the reader of GGUF files import it (about five and ten seconds). Nothing is downloaded
here: a model that is not on this machine yet is `TokenizerMissing`.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from alignwright.core.records import TODAY
from alignwright.files.chat_format import ChatFormat
from alignwright.files.models import ModelError, ModelRef
from alignwright.model.given_template import GivenTemplate, give_template
from alignwright.model.limits import Limit, limit, no_adapter, unshared
from alignwright.model.tokens import Chat, chat_of, ids_of

_PLAIN = ("PreTrainedTokenizerFast", "TokenizersBackend")
"""Tokenizers that are nothing but their `tokenizer.json`: transformers gives the same object
with torch or without."""
_FILES = (".json", ".jinja", ".model", ".txt", ".jsonl")
"""What a tokenizer may be made from."""


class TokenizerMissing(LookupError):
    """The model's files are not on this machine."""


@dataclass(frozen=True)
class TokenizerInfo:
    """A model's tokenizer, the number of tokens it has an embedding for, and what bounds its
    rows; None where its files do not say."""

    chat: Chat
    vocabulary: int | None
    limit: Limit | None
    no_adapter: str | None = None
    """Why an adapter cannot be put over the model, where it cannot."""
    given: GivenTemplate | None = None
    """The template that the spec gives the model, where it gives one."""
    unshared: str | None = None
    """Why its replies are read in rows of their own, where they are and its files say so."""

    @property
    def longest(self) -> int | None:
        return self.limit.tokens if self.limit else None


def load_tokenizer(ref: ModelRef, date: str = TODAY, chat: ChatFormat | None = None) -> TokenizerInfo:
    """`chat`: the template that the model is given in place of its own.

    Raises TokenizerMissing for a model that is not on this machine, ValueError for a template
    that cannot be trained with."""
    if ref.kind == "server":
        raise TokenizerMissing(f"{ref.name} is behind a server, which writes its prompts by its own template")
    if ref.kind == "hub":
        return _in_folder(_hub_folder(ref.name), date, chat)
    assert ref.path is not None
    if ref.kind == "folder":
        return _in_folder(ref.path, date, chat)
    folder = dequantised_folder(ref.path)
    return _in_folder(folder, date, chat) if folder.is_dir() else _in_gguf(ref.path, date, chat)


def load_tokenizer_without_torch(
    ref: ModelRef, date: str = TODAY, chat: ChatFormat | None = None
) -> TokenizerInfo | None:
    """`load_tokenizer`, where the model's tokenizer is on this machine and is nothing but a
    `tokenizer.json`; None elsewhere."""
    if ref.kind == "server":
        return None
    if ref.kind == "hub":
        try:
            folder = _hub_folder(ref.name)
        except TokenizerMissing:
            return None
    else:
        assert ref.path is not None
        folder = ref.path if ref.kind == "folder" else dequantised_folder(ref.path)
    return _in_folder(folder, date, chat) if folder.is_dir() and _is_plain(folder) else None


@contextmanager
def readable(name: str, place: str | Path, *, ours: type[Exception] = ModelError) -> Iterator[None]:
    """Words for what libraries raise, of any class, when a model's files are not what they
    should be. `ours`: what has its words already."""
    try:
        yield
    except (ValueError, LookupError, OSError, RuntimeError, MemoryError) as error:
        full = isinstance(error, MemoryError) or "memory" in str(error)
        if isinstance(error, (ModelError, TokenizerMissing, ours)) or full or not Path(place).exists():
            raise  # words of ours, the machine's limits, or the Hub's own words
        raise _unreadable(name, place, error) from error
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt | SystemExit | GeneratorExit):
            raise
        raise _unreadable(name, place, error) from error  # the panic of a library in Rust is no Exception


def _unreadable(name: str, place: str | Path, error: BaseException) -> ModelError:
    lines = [line for line in str(error).splitlines() if line.strip()] or [""]
    message = f"{type(error).__name__}: {lines[0][:300]}"
    return ModelError(
        f"model {name!r}: {place} cannot be opened ({message}); a file in it is damaged or of a form that is not known:"
        " fetch it again"
    )


def cache_folder() -> Path:
    """Where dequantised models and a machine's rates are kept: $ALIGNWRIGHT_CACHE, or
    ~/.cache/alignwright."""
    return Path(os.environ.get("ALIGNWRIGHT_CACHE") or Path.home() / ".cache" / "alignwright").expanduser()


def dequantised_folder(gguf: Path) -> Path:
    """The folder that a GGUF file is dequantised into, named by its content; it need not be
    there yet."""
    with gguf.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return cache_folder() / f"{gguf.stem}-{digest[:16]}"


def open_tokenizer(folder: Path) -> Any:
    """The tokenizer of a model's folder, opened once for as long as no file that it may be made
    from changes."""
    files = sorted(file for file in folder.iterdir() if file.suffix in _FILES)
    return _open(folder, tuple((file.name, (status := file.stat()).st_size, status.st_mtime_ns) for file in files))


@lru_cache(maxsize=2)
def _open(folder: Path, files: tuple[tuple[str, int, int], ...]) -> Any:  # noqa: ARG001 - sizes and times are the cache's key
    if _is_plain(folder):
        from transformers import PreTrainedTokenizerFast

        return PreTrainedTokenizerFast.from_pretrained(folder, local_files_only=True)
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)


def _in_folder(folder: Path, date: str, chat_format: ChatFormat | None) -> TokenizerInfo:
    with readable(folder.name, folder):
        config, generation = _json(folder / "config.json"), _json(folder / "generation_config.json")
        tokenizer, eos_ids, bound = open_tokenizer(folder), _eos_ids(config, generation), limit(config)
    with readable(folder.name, folder, ours=ValueError):
        given = give_template(tokenizer, chat_format) if chat_format else None
        chat = _chat(tokenizer, given, eos_ids, date)
    size = (config.get("text_config") or config).get("vocab_size")
    vocabulary = int(size) if size else None
    if vocabulary and given and given.new_ids:
        vocabulary = max(vocabulary, given.new_ids[-1] + 1)
    return TokenizerInfo(chat, vocabulary, bound, no_adapter(config), given, unshared(config))


def _chat(tokenizer: Any, given: GivenTemplate | None, eos_ids: set[int], date: str) -> Chat:
    if given is None:
        return chat_of(tokenizer, frozenset(eos_ids), date)
    return chat_of(given.tokenizer, frozenset(eos_ids | ({given.end_id} if given.end_id is not None else set())), date)


def _is_plain(folder: Path) -> bool:
    return (folder / "tokenizer.json").is_file() and _json(folder / "tokenizer_config.json").get(
        "tokenizer_class"
    ) in _PLAIN


def _in_gguf(path: Path, date: str, chat_format: ChatFormat | None) -> TokenizerInfo:
    """A GGUF file's tokenizer. Its embedding has a row for each token by the file's own format."""
    from transformers import AutoTokenizer

    path = path.resolve()
    tokenizer: Any = AutoTokenizer.from_pretrained(
        path.parent, gguf_file=str(path), local_files_only=True, trust_remote_code=False
    )
    given = give_template(tokenizer, chat_format) if chat_format else None
    return TokenizerInfo(_chat(tokenizer, given, {int(tokenizer.eos_token_id)}, date), None, None, given=given)


def _hub_folder(name: str) -> Path:
    from huggingface_hub import try_to_load_from_cache

    paths = [try_to_load_from_cache(name, file) for file in ("config.json", "tokenizer_config.json")]
    if not all(isinstance(path, str) for path in paths):
        raise TokenizerMissing(f"{name} is not on this machine yet; it is fetched when the run begins")
    return Path(str(paths[0])).parent


def _eos_ids(config: dict[str, Any], generation: dict[str, Any]) -> set[int]:
    """Every id at which the model is said to stop, by its configuration and its generation
    configuration."""
    return ids_of(config.get("eos_token_id"), generation.get("eos_token_id"))


def _json(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
