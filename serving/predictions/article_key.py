"""Names articles by a keyed hash, so that the log tells nobody without the key whether an article was asked about."""

import contextlib
import hmac
import os
import secrets
from pathlib import Path

from agent.credentials import HashKeyCredentials
from agent.errors import ConfigError
from agent.records import Article

KEY_FILE = "hash.key"
KEY_BYTES = 32
SHORTEST_KEY = 16
"""Characters."""
HASH_CHARS = 32


class ArticleKey:
    """The key of one state folder: that of NEWS_CLASSIFIER_HASH_KEY, or a random one made once and kept there.

    Args:
        folder: The state folder; with a key of the environment nothing in it is read or written.
        make: Whether a key is made where there is none.

    Raises:
        ConfigError: the key cannot be read or made, is too short, or is not there and must not be made.
    """

    def __init__(self, folder: Path, *, make: bool = True) -> None:
        given = HashKeyCredentials.read().hash_key
        source, text = (
            ("NEWS_CLASSIFIER_HASH_KEY", given.get_secret_value()) if given else _kept_key(folder / KEY_FILE, make)
        )
        if len(text) < SHORTEST_KEY:
            raise ConfigError(
                f"The key of {source} has {len(text)} characters; at least {SHORTEST_KEY} are needed. "
                "Set NEWS_CLASSIFIER_HASH_KEY, or remove the file and let a new key be made: "
                "what was logged before is then not joined by hash to what comes."
            )
        self._key = text.encode()

    def hash(self, article: Article) -> str:
        """HMAC-SHA256 of `Article.hash`, the first 32 hexadecimal characters."""
        return hmac.digest(self._key, article.hash.encode(), "sha256").hex()[:HASH_CHARS]


def _kept_key(path: Path, make: bool) -> tuple[str, str]:
    """Where the key is, and the key."""
    try:
        if make and not path.exists():
            _make_key(path)
        return str(path), path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as err:
        raise ConfigError(
            f"The key {str(path)!r} that articles are named by cannot be read or made: {err}. "
            "Give a state folder that a server has used and that is writable, or set NEWS_CLASSIFIER_HASH_KEY."
        ) from err


def _make_key(path: Path) -> None:
    """Make a random key; of several processes that do so at once, one wins and all use its key."""
    path.parent.mkdir(parents=True, exist_ok=True)
    mine = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(mine, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(f"{secrets.token_hex(KEY_BYTES)}\n")
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(mine)  # whole or not at all, and never over another one
    finally:
        mine.unlink()
