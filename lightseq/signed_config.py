"""Recognize configuration files that lightseq has written for this user.

A run folder may come from somebody else, and its ``config.yaml`` can name classes to import and files to open. The
configuration of every run ends in a keyed hash of its text (HMAC-SHA-256, RFC 2104). The key is made once for each
user, in ``$XDG_STATE_HOME/lightseq``, else ``~/.local/state/lightseq``. A run folder may be moved or renamed; a file
that somebody else has written or changed does not match.
"""

import hmac
import os
import re
import secrets
import tempfile
from contextlib import suppress
from pathlib import Path

MARK = "# written by lightseq for this user: "
"""Begins the last line of a signed file; 64 hexadecimal digits follow."""

KEY_BYTES = 32


def sign(path: Path) -> None:
    """Append the signature to a configuration file.

    Where no key can be stored, the file stays as it is, and counts as somebody else's.
    """
    with suppress(OSError):
        key = _key(create=True)
        if key is not None:
            text = path.read_text(encoding="utf-8")
            with path.open("a", encoding="utf-8") as file:
                file.write(f"{MARK}{_hash(key, text)}\n")


def is_signed(text: str) -> bool:
    """Return whether the text of a configuration file ends in this user's signature."""
    match = re.fullmatch(rf"(.*\n|){re.escape(MARK)}([0-9a-f]{{64}})\n", text, re.DOTALL)
    key = _key(create=False) if match else None
    return match is not None and key is not None and hmac.compare_digest(_hash(key, match[1]), match[2])


def _hash(key: bytes, text: str) -> str:
    return hmac.new(key, text.encode("utf-8", "surrogatepass"), "sha256").hexdigest()


def _key(create: bool) -> bytes | None:
    """Read the key, and make it where there is none; None where that cannot be done."""
    try:
        path = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "lightseq" / "key"
        if create and not path.exists():
            _make_key(path)
        key = path.read_bytes()
    except (OSError, RuntimeError):  # pathlib raises RuntimeError where the user has no home folder
        return None
    return key if len(key) == KEY_BYTES else None


def _make_key(path: Path) -> None:
    """Write a new key, unless another process does so at this moment."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle, temporary = tempfile.mkstemp(dir=path.parent)  # readable by this user alone
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(secrets.token_bytes(KEY_BYTES))
        with suppress(FileExistsError):
            os.link(temporary, path)
    finally:
        os.unlink(temporary)
