"""What `news-classifier doctor` looks at: endpoints, candidates, and the places where runs and models are kept.

A check takes what it looks at and returns one finding, or None where it does not apply. A new check is a function here
and one line in a table below.
"""

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from difflib import get_close_matches
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Literal, NamedTuple

from mlflow.tracking import MlflowClient

from agent.champion import registered_model_name
from agent.config import AgentConfig
from agent.errors import NewsClassifierError
from agent.local_model import MANIFEST
from agent.providers import create_provider
from agent.providers.databricks import GATEWAY_MODELS
from agent.redaction import redact
from eval.candidates import TRACKS
from eval.lifecycle import LIFECYCLE_FILE, NEAR_DAYS, Retirement, read_lifecycle
from eval.store import open_store
from registry.unity_catalog import standing
from registry.versions import CHAMPION, Registry
from serving.services import Service, Services

Status = Literal["ok", "warn", "fail"]
STATUSES: tuple[Status, ...] = ("ok", "warn", "fail")
"""From best to worst."""
PLACE_TIMEOUT_S = 30.0
OLD_PRICE_DAYS = 90
NEAREST = 3
"""How many similar names are told where a model is not offered."""
DATED = r"-\d{8}"
"""What Anthropic's list has behind a name that may be used without it."""
SHORT_WAITS: Mapping[str, str] = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_DATABRICKS_ENDPOINT_HTTP_RETRY_TIMEOUT": "10",
}
"""MLflow by itself tries for minutes to reach a server that is down."""


class Finding(NamedTuple):
    """What one check found."""

    check: str
    status: Status
    detail: str
    """What was found and, where that is not ok, what to do."""

    def redacted(self) -> "Finding":
        """The finding on one line and without secrets, whoever was quoted in it."""
        return self._replace(check=redact(self.check), detail=" ".join(redact(self.detail).split()))


class Candidate(NamedTuple):
    """One candidate, with what its checks need to know."""

    config: AgentConfig
    service: Service | None
    """None for a local model."""
    retirement: Retirement | None
    named: bool
    """Whether it was asked for; otherwise it is one of many, and the others suffice."""

    @property
    def fault(self) -> Status:
        """What it means that this one candidate cannot be used."""
        return "fail" if self.named else "warn"


def end_of_life(check: str, retirement: Retirement) -> Finding:
    """What the announced end of a model means today."""
    days = retirement.days_left()
    if days <= 0 or retirement.gone:
        return Finding(check, "fail", f"retired on {retirement.retires}. {retirement.advice}")
    status: Status = "warn" if days <= NEAR_DAYS else "ok"
    left = "1 day" if days == 1 else f"{days} days"
    return Finding(check, status, f"retires on {retirement.retires}, in {left}. {retirement.advice}")


def check_key(service: Service) -> Finding:
    """Whether there is a key; nothing of it is told."""
    check = f"{service.provider} key"
    if service.address:
        return Finding(check, "ok", "present")
    status: Status = "fail" if service.named else "warn"
    return Finding(check, status, f"{service.problem} Its endpoint and models were not checked.")


def check_endpoint(service: Service) -> Finding | None:
    """Whether the endpoint lists its models, and how fast."""
    if service.address is None:
        return None
    check = f"{service.provider} endpoint"
    if service.lists_none:
        return Finding(check, "warn", f"{service.address} is there and lists no models, so they were not checked.")
    if service.models is None:
        return Finding(check, "fail", f"{service.problem} Its models were not checked.")
    answer = f"{service.address} answered in {service.latency_ms:.0f} ms and offers {len(service.models):,} models"
    return Finding(check, "ok", answer)


def check_trained_model(candidate: Candidate) -> Finding | None:
    """Whether a local model is there and loads."""
    config = candidate.config
    if candidate.service:
        return None
    check = f"{config.name} trained model"
    if config.artifact and not (config.artifact / MANIFEST).exists():
        return Finding(check, "warn", f"not trained yet ({config.artifact}): make train")
    try:
        create_provider(config, config.artifact)
    except NewsClassifierError as err:
        return Finding(check, "fail", str(err))
    return Finding(check, "ok", f"{config.artifact} loads")


def check_model(candidate: Candidate) -> Finding | None:
    """Whether the endpoint offers the model."""
    config, service = candidate.config, candidate.service
    if service is None or service.models is None:
        return None
    check, model = f"{config.name} model", config.model
    if name := offered_name(config, service.models):
        return Finding(check, "ok", f"{model!r} is offered" + (f" as {name!r}" if name != model else ""))
    if config.provider == "databricks" and model.startswith(GATEWAY_MODELS):
        trial = f"news-classifier eval run --provider databricks --model {model}"
        return Finding(check, "warn", f"{model!r} is one of the AI gateway, which lists none. Try it: {trial}")
    nearest = ", ".join(map(repr, get_close_matches(model, service.models, NEAREST, cutoff=0.5))) or "none like it"
    listing = f"news-classifier models --provider {config.provider}"
    detail = f"{model!r} is not offered; nearest: {nearest}. Correct the model, or list them: {listing}"
    return Finding(check, candidate.fault, detail)


def offered_name(config: AgentConfig, models: Sequence[str]) -> str | None:
    """The name under which a list holds the candidate's model; None where it does not."""
    if config.model in models:
        return config.model
    if config.provider != "anthropic":
        return None
    return next((name for name in models if re.fullmatch(re.escape(config.model) + DATED, name)), None)


def check_end_of_life(candidate: Candidate) -> Finding | None:
    """Whether the model is near its end, or past it."""
    if candidate.service is None:
        return None
    check = f"{candidate.config.name} end of life"
    if candidate.retirement is None:
        return Finding(check, "ok", f"none announced for {candidate.config.model!r} in {LIFECYCLE_FILE}")
    found = end_of_life(check, candidate.retirement)
    status = candidate.fault if found.status == "fail" else found.status
    return found._replace(status=status, detail=f"{candidate.config.model!r} {found.detail}")


def check_price(candidate: Candidate) -> Finding | None:
    """Whether the price is known and fresh."""
    if candidate.service is None:
        return None
    check, price = f"{candidate.config.name} price", candidate.config.price
    if price is None:
        return Finding(check, "warn", "unknown, so costs stay unknown. Add it to the price table.")
    origin = f"as of {price.as_of or 'no date'} ({price.source or 'no source'})"
    detail = f"${price.input:g} in, ${price.output:g} out per million tokens, {origin}"
    if price.as_of and (datetime.now(UTC).date() - price.as_of).days <= OLD_PRICE_DAYS:
        return Finding(check, "ok", detail)
    return Finding(
        check, "warn", f"{detail}; not looked up for {OLD_PRICE_DAYS} days. Look it up and update the table."
    )


def check_tracking_store(check: str) -> Finding:
    """Whether the store of the runs answers; MLflow is pointed at it."""
    return Finding(check, "ok", f"{open_store().tracking_uri} answers")


def check_registry(check: str) -> Finding:
    """Whether the registry answers, and who is champion. MLflow was pointed at it by the check before."""
    name = registered_model_name()
    snapshot = Registry(name, MlflowClient()).snapshot()
    champion, count = snapshot.holder(CHAMPION), len(snapshot.versions)
    holder = f"champion is version {champion.number}" if champion else "no champion; make one: news-classifier run"
    return Finding(check, "ok", f"{name} has {count} version{'' if count == 1 else 's'}, {holder}")


def check_unity_catalog(check: str) -> Finding:
    """Whether models can be registered in Unity Catalog, where that is wanted."""
    registry_uri = os.environ.get("MLFLOW_REGISTRY_URI", "")
    catalog, schema = os.environ.get("UC_CATALOG"), os.environ.get("UC_SCHEMA")
    if not (catalog or schema or registry_uri.startswith("databricks")):
        return Finding(check, "ok", "not used")
    if not (catalog and schema):
        missing = " and ".join(name for name in ("UC_CATALOG", "UC_SCHEMA") if not os.environ.get(name))
        return Finding(check, "fail", f"{missing} not set. A model in Unity Catalog needs both: set them.")
    if not registry_uri.startswith("databricks-uc"):
        detail = f"models are to go to {catalog}.{schema}, but MLFLOW_REGISTRY_URI is {registry_uri!r}."
        return Finding(check, "fail", f"{detail} Set it to 'databricks-uc', or unset UC_CATALOG and UC_SCHEMA.")
    found = standing(registered_model_name(), registry_uri)
    if found.missing:
        return Finding(check, "fail", f"{found.user} may not register models. {found.sentence}")
    return Finding(check, "ok", f"{found.user} may register models in {catalog}.{schema}")


def in_time(name: str, check: Callable[[str], Finding]) -> Finding:
    """What a check finds, or that it found nothing in time: some waits inside MLflow last minutes and cannot be set."""
    found: SimpleQueue[Finding] = SimpleQueue()

    def run() -> None:
        try:
            found.put(check(name))
        except Exception as err:
            found.put(Finding(name, "fail", str(err)))

    Thread(target=run, daemon=True).start()
    try:
        return found.get(timeout=PLACE_TIMEOUT_S)
    except Empty:
        return Finding(name, "fail", f"no answer within {PLACE_TIMEOUT_S:g} s. Check its address and the network.")


@contextmanager
def short_waits() -> Iterator[None]:
    """Make MLflow give up soon, unless the environment says otherwise."""
    added = {name: value for name, value in SHORT_WAITS.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            del os.environ[name]


SERVICE_CHECKS: tuple[Callable[[Service], Finding | None], ...] = (check_key, check_endpoint)
"""Made once for each endpoint."""
CANDIDATE_CHECKS: tuple[Callable[[Candidate], Finding | None], ...] = (
    check_trained_model,
    check_model,
    check_end_of_life,
    check_price,
)
"""Made for each candidate."""
PLACE_CHECKS: Mapping[str, Callable[[str], Finding]] = {
    "tracking store": check_tracking_store,
    "registry": check_registry,
    "Unity Catalog": check_unity_catalog,
}
"""Made once, in this order. What one of them raises is a fault."""


def examine(configs: Sequence[AgentConfig], *, named: bool) -> list[Finding]:
    """Make every check.

    Args:
        configs: The candidates to look at.
        named: Whether they were asked for. Of candidates that were not, one that cannot be used is only warned about,
            because others can; a key that is there and does not work is a fault all the same.

    Raises:
        ConfigError: the file of a candidate, or that of announced ends, is wrong.
    """
    services, lifecycle = Services(named=named), read_lifecycle()
    candidates = [
        Candidate(
            config=config,
            service=services.of(config) if config.provider in TRACKS else None,
            retirement=lifecycle.of(config.provider, config.model) if lifecycle else None,
            named=named,
        )
        for config in configs
    ]
    found = [check(service) for service in services.all() for check in SERVICE_CHECKS]
    found += [check(candidate) for candidate in candidates for check in CANDIDATE_CHECKS]
    with short_waits():
        found += [in_time(name, check) for name, check in PLACE_CHECKS.items()]
    return list(dict.fromkeys(finding.redacted() for finding in found if finding))


def worst(findings: Sequence[Finding]) -> Status:
    """The worst status of all."""
    return max((finding.status for finding in findings), key=STATUSES.index, default="ok")
