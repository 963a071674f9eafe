"""What the endpoint should be: from champion, challenger and settings to the exact requests. It asks nobody."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import BaseModel, ConfigDict, model_validator

from agent.errors import ConfigError, DeploymentError, RegistryError
from registry.versions import Version
from serving.databricks.present import Json, entities_of, gateway_of, traffic_of
from serving.databricks.settings import SETTINGS_FILE, DatabricksSettings, InferenceTable

if TYPE_CHECKING:
    from databricks.sdk.service.serving import ServingEndpointDetailed

ENDPOINTS = "/api/2.0/serving-endpoints"
KEPT_FEATURES = ("fallback_config", "guardrails")
"""Of AI Gateway; no business of this product, but a request that leaves them out removes them."""


class Request(NamedTuple):
    """One call of the API, as it is shown and as it is sent."""

    method: str
    path: str
    body: Json | None = None


class ServedEntity(BaseModel):
    """One version on the endpoint, with the names of the API."""

    model_config = ConfigDict(frozen=True)

    name: str
    """From model and version, so that a challenger that becomes champion keeps its compute."""
    entity_name: str
    """The registered model."""
    entity_version: str
    """The version."""
    workload_size: str
    """How much compute it has."""
    scale_to_zero_enabled: bool
    """Whether the compute goes away while nobody asks."""
    environment_vars: Mapping[str, str]
    """Its variables; keys only as references to secrets."""


class Endpoint(BaseModel):
    """The wanted endpoint."""

    model_config = ConfigDict(frozen=True)

    name: str
    """Its name in the workspace."""
    entities: tuple[ServedEntity, ...]
    """The champion, and the challenger where it has a share."""
    percents: tuple[int, ...]
    """Share of the traffic of each of them, together 100."""
    ai_gateway: Mapping[str, Any]
    """What AI Gateway does, with the names of the API; empty for nothing."""

    @model_validator(mode="after")
    def _all_traffic_goes_somewhere(self) -> "Endpoint":
        if len(self.percents) != len(self.entities) or sum(self.percents) != 100:
            raise ValueError(f"the shares {self.percents} of {len(self.entities)} versions are not 100 together")
        return self

    @property
    def traffic(self) -> dict[tuple[str, str], int]:
        """Model and version to its share in percent."""
        pairs = zip(self.entities, self.percents, strict=True)
        return {(entity.entity_name, entity.entity_version): percent for entity, percent in pairs}

    @property
    def config(self) -> Json:
        """Versions and traffic, as the API takes them."""
        routes = [
            {"served_entity_name": entity.name, "traffic_percentage": percent}
            for entity, percent in zip(self.entities, self.percents, strict=True)
        ]
        entities = [entity.model_dump(mode="json") for entity in self.entities]
        return {"served_entities": entities, "traffic_config": {"routes": routes}}


def wanted_endpoint(
    model: str, champion: Version, challenger: Version | None, percent: int, settings: DatabricksSettings
) -> Endpoint:
    """The endpoint that serves the champion and, where it has a share, the challenger.

    Args:
        model: The registered model.
        champion: Its champion.
        challenger: Its challenger, None to serve the champion alone.
        percent: Share of the challenger, 1 to 99; of no effect without one.
        settings: Everything else.

    Raises:
        RegistryError: a version does not say which provider it asks.
        ConfigError: the settings do not say which keys that provider needs.
    """
    versions = (champion, challenger) if challenger else (champion,)
    return Endpoint(
        name=settings.endpoint,
        entities=tuple(served_entity(model, version, settings) for version in versions),
        percents=(100 - percent, percent) if challenger else (100,),
        ai_gateway=gateway_json(model, settings),
    )


def served_entity(model: str, version: Version, settings: DatabricksSettings) -> ServedEntity:
    """One version, with the keys that its provider needs. Raises as `wanted_endpoint` does."""
    provider = version.tags.get("provider")
    if provider is None:
        raise RegistryError(
            f"Version {version.number} of {model} has no tag 'provider': it was not registered by this product. "
            "Register its evaluation: news-classifier registry register RUN_ID."
        )
    if provider not in settings.secrets.keys:
        raise ConfigError(
            f"Version {version.number} asks the provider {provider!r}, whose keys are not in {SETTINGS_FILE}: "
            f"add 'secrets.keys.{provider}', {{}} if it needs none."
        )
    keys = settings.secrets.keys[provider]
    references = {variable: f"{{{{secrets/{settings.secrets.scope}/{key}}}}}" for variable, key in keys.items()}
    return ServedEntity(
        name=f"{model.rpartition('.')[2]}-{version.number}",
        entity_name=model,
        entity_version=version.number,
        workload_size=settings.workload_size,
        scale_to_zero_enabled=settings.scale_to_zero,
        environment_vars={**settings.environment, **references},
    )


def gateway_json(model: str, settings: DatabricksSettings) -> Json:
    """What AI Gateway should do, as the API takes it; what is off is left out, which switches it off."""
    gateway = settings.ai_gateway
    found: Json = {}
    if gateway.inference_table and (place := table_place(model, gateway.inference_table)):
        found["inference_table_config"] = {"enabled": True, **place}
    if gateway.usage_tracking:
        found["usage_tracking_config"] = {"enabled": True}
    if gateway.rate_limits:
        found["rate_limits"] = [limit.model_dump(exclude_none=True) for limit in gateway.rate_limits]
    return found


def table_place(model: str, table: InferenceTable) -> Json | None:
    """Catalog, schema and prefix of the inference table; None where neither settings nor model name a catalog."""
    catalog, schema = model.split(".")[:2] if model.count(".") == 2 else (None, None)
    place = {
        "catalog_name": table.catalog_name or catalog,
        "schema_name": table.schema_name or schema,
        "table_name_prefix": table.table_name_prefix,
    }
    return place if all(place.values()) else None


def requests_for(wanted: Endpoint, found: "ServingEndpointDetailed | None") -> list[Request]:
    """What makes the wanted endpoint of what is there, in order; nothing where it is that already.

    AI Gateway comes first, because a request that it refuses has then changed nothing.

    Raises:
        DeploymentError: the endpoint of that name serves something else.
    """
    if found is None:
        gateway = {"ai_gateway": dict(wanted.ai_gateway)} if wanted.ai_gateway else {}
        return [Request("POST", ENDPOINTS, {"name": wanted.name, "config": wanted.config, **gateway})]
    refuse_strangers(wanted, found)
    requests = gateway_requests(wanted.name, dict(wanted.ai_gateway), gateway_of(found))
    if not is_served(wanted, found):
        requests.append(config_request(wanted.name, wanted.config))
    return requests


def config_request(name: str, config: Json) -> Request:
    """What gives an endpoint its versions and traffic."""
    return Request("PUT", f"{ENDPOINTS}/{name}/config", config)


def gateway_requests(name: str, wanted: Json, found: Json) -> list[Request]:
    """What makes AI Gateway do what is wanted; what others set beside that stays."""
    path = f"{ENDPOINTS}/{name}/ai-gateway"
    kept = {feature: found[feature] for feature in KEPT_FEATURES if feature in found}
    if {**kept, **wanted} == found:
        return []
    requests = [Request("PUT", path, {**kept, **wanted})]
    before, after = found.get("inference_table_config"), wanted.get("inference_table_config")
    if before and after and before != after:  # the table moves only while it is switched off
        rest = {feature: value for feature, value in found.items() if feature != "inference_table_config"}
        requests.insert(0, Request("PUT", path, {**rest, "inference_table_config": {**before, "enabled": False}}))
    return requests


def refuse_strangers(wanted: Endpoint, found: "ServingEndpointDetailed") -> None:
    """Raise DeploymentError where an endpoint of that name serves another model, or is none of a model."""
    ours = wanted.entities[0].entity_name
    if others := sorted({str(entity.entity_name) for entity in entities_of(found)} - {ours}):
        raise DeploymentError(
            f"The endpoint {wanted.name!r} serves {', '.join(others)}, and not {ours}. Nothing was changed. "
            "Give another name with --name."
        )


def is_served(wanted: Endpoint, found: "ServingEndpointDetailed") -> bool:
    """Whether an endpoint has the versions, their settings and the traffic that are wanted."""
    served = {str(entity.name): entity.as_dict() for entity in entities_of(found)}
    return (
        traffic_of(found) == wanted.traffic
        and len(served) == len(wanted.entities)
        and all(
            {"environment_vars": {}, **served.get(entity.name, {})}.get(field) == value
            for entity in wanted.entities
            for field, value in entity.model_dump(mode="json").items()
        )
    )
