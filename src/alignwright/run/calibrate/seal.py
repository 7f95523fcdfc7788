"""How are the labels of a blind game kept from whoever plays, and from being changed afterwards?

They are encrypted under a secret that lies beside the game's folder and not in it: a stream of SHAKE-256 of
secret and nonce, and an HMAC-SHA256 over the whole, which is looked at first. Whoever has the folder has
neither the labels nor their length (they are filled up to whole blocks of four kilobytes), and what they
change is seen.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
from pathlib import Path

from pydantic import ValidationError

from alignwright.core.records import Record
from alignwright.job.ledger import write_text

BLOCK = 4096


class Sealed(Record):
    """The file that is given away."""

    format: int = 1
    nonce: str
    text: str
    mac: str


def seal(path: Path, secret: str, value: object) -> None:
    """Write a value so that only who has the secret can read it."""
    plain = json.dumps(value, sort_keys=True).encode()
    plain += b" " * (-len(plain) % BLOCK)
    nonce = secrets.token_hex(16)
    text = base64.b64encode(_mix(plain, secret, nonce)).decode()
    sealed = Sealed(nonce=nonce, text=text, mac=_mac(secret, nonce, text))
    write_text(path, sealed.model_dump_json(indent=1) + "\n")


def unseal(path: Path, secret: str) -> object:
    """The value that was sealed. Raises ValueError for another secret, or a file that was changed."""
    try:
        sealed = Sealed.model_validate_json(path.read_text(encoding="utf-8"))
    except (ValidationError, UnicodeDecodeError):
        raise ValueError(f"{path}: no sealed key as this version writes it") from None
    if not hmac.compare_digest(sealed.mac, _mac(secret, sealed.nonce, sealed.text)):
        raise ValueError(f"{path}: does not open with this secret, or was changed since it was sealed")
    return json.loads(_mix(base64.b64decode(sealed.text), secret, sealed.nonce))


def _mix(text: bytes, secret: str, nonce: str) -> bytes:
    stream = hashlib.shake_256(f"labels {secret} {nonce}".encode()).digest(len(text))
    return bytes(a ^ b for a, b in zip(text, stream, strict=True))


def _mac(secret: str, nonce: str, text: str) -> str:
    return hmac.new(f"seal {secret}".encode(), f"{nonce} {text}".encode(), hashlib.sha256).hexdigest()
