"""Tells people about a regression, over apprise: Slack, Teams, e-mail, a webhook and many more.

An address is a secret, because whoever knows it can post there. It is never part of a message, an error or a log.
"""

import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlencode, urlsplit

from agent.credentials import NotifyCredentials
from agent.errors import ConfigError

if TYPE_CHECKING:
    from apprise import NotifyBase

WEBHOOK = "https"
ADVICE = "see https://appriseit.com/services; a webhook is https://..."


def configured_urls() -> list[str]:
    """The addresses in the environment. Raises ConfigError."""
    urls = NotifyCredentials.read().notify_urls
    return urls.get_secret_value().split() if urls else []


def open_targets(urls: Sequence[str]) -> "list[NotifyBase]":
    """What apprise makes of addresses; nothing is sent yet.

    Raises:
        ConfigError: one is not understood, or would send in plain text. It is named by its place, not quoted.
    """
    return [_open(url, place) for place, url in enumerate(urls, 1)]


def send(targets: "Iterable[NotifyBase]", title: str, text: str) -> Iterator[str]:
    """Send one message to every target; yield a warning for each that it cannot be sent to."""
    from apprise import NotifyFormat, NotifyType

    for target in targets:
        with _silence():
            try:
                done = target.notify(
                    title=title, body=text, notify_type=NotifyType.FAILURE, body_format=NotifyFormat.TEXT
                )
            except Exception:  # whatever the many services raise; its text can quote the address
                done = False
        if not done:
            yield f"The notification to {target.service_name} could not be sent."


def _open(url: str, place: int) -> "NotifyBase":
    from apprise import Apprise, AppriseAsset  # a third of a second to import, and only needed here

    if url.lower().startswith("http://"):  # apprise takes some of them as their encrypted selves
        raise ConfigError(f"Notification address {place} (http) is not encrypted. Use https; {ADVICE}.")
    with _silence():
        target = Apprise.instantiate(_webhook(url), asset=AppriseAsset(http_redirects=False))
    if target is None:
        raise ConfigError(f"Notification address {place} is not understood. Correct it; {ADVICE}.")
    if target.schema not in _names(target.secure_protocol):
        secure = ", ".join(sorted(_names(target.secure_protocol))) or "another service"
        raise ConfigError(f"Notification address {place} ({target.schema}) is not encrypted. Use {secure}; {ADVICE}.")
    target.redirects = False  # an address may ask for them
    return target


def _webhook(url: str) -> str:
    """A web address that apprise knows no service for is a webhook that takes JSON; its query is kept as it is."""
    from apprise import Apprise

    if not url.lower().startswith(f"{WEBHOOK}://") or Apprise.instantiate(url) is not None:
        return url
    try:
        parts = urlsplit(url)
    except ValueError:
        return url  # is refused where it is opened
    query = urlencode([(f"-{name}", value) for name, value in parse_qsl(parts.query, keep_blank_values=True)])
    return parts._replace(scheme="jsons", query=query, fragment="").geturl()


def _names(schemas: str | Iterable[str] | None) -> set[str]:
    return {schemas} if isinstance(schemas, str) else set(schemas or ())


@contextmanager
def _silence() -> Iterator[None]:
    """Apprise logs hosts, and addresses that it does not understand."""
    logger = logging.getLogger("apprise")
    before = logger.disabled
    logger.disabled = True
    try:
        yield
    finally:
        logger.disabled = before
