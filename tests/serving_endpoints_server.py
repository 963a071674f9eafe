"""Databricks Model Serving on loopback, in the workspace that has Unity Catalog.

Rules and where they stand (read in November 2026):
    [F] databricks-sdk 0.156, service/serving.py: names, types and values of fields; states
    [A] docs.databricks.com/api/model-serving/v1: constraints; agents have inference tables alone of AI Gateway
    [C] databricks/cli, libs/testserver/serving_endpoints.go: what its authors saw of the backend: PUT ai-gateway
        replaces everything, the traffic of one version is filled in, error codes
    [T] terraform-provider-databricks, issue 4064: `scale_to_zero_enabled` must be said
What no document says is marked with (?).
"""

import dataclasses
import re
import typing
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from databricks.sdk.service import serving

from tests.unity_catalog_rules import STATUS, Json, RefusedError
from tests.unity_catalog_server import UnityCatalogServer

ENDPOINTS = "/api/2.0/serving-endpoints"
NAME = re.compile(r"[A-Za-z0-9][\w-]{0,62}")
REFERENCE = re.compile(r"\{\{secrets/([^/{}]+)/([^/{}]+)\}\}")
SIZES = ("Small", "Medium", "Large")
STATUS |= {"RESOURCE_CONFLICT": 409, "MALFORMED_REQUEST": 400, "DEADLINE_EXCEEDED": 504, "INTERNAL_ERROR": 500}


@dataclass
class Create:
    """[F] the body of a create, of which the SDK has no class."""

    name: str
    config: serving.EndpointCoreConfigInput | None = None
    ai_gateway: serving.AiGatewayConfig | None = None
    tags: list[serving.EndpointTag] | None = None
    description: str | None = None


@dataclass
class Endpoint:
    config: Json | None = None
    pending: Json | None = None
    gateway: Json = field(default_factory=dict)
    state: str = "NOT_UPDATING"
    polls: int = 0
    """Looks until the update ends."""
    fails: bool = False


class ServingServer(UnityCatalogServer):
    """The workspace. `managers` may make and change endpoints; `secrets` are there; what is refused is kept."""

    def __init__(self) -> None:
        super().__init__()
        self.endpoints: dict[str, Endpoint] = {}
        self.managers = {"ann"}
        self.secrets = {("news-classifier-secrets", "openai-api-key"), ("news-classifier-secrets", "anthropic-api-key")}
        self.polls = 2
        self.broken: set[str] = set()
        """Versions that never come up."""
        self.says: dict[str, str] = {}
        """Version to the category that it gives every article, instead of Sports."""
        self.silent = 0
        """So many questions are answered with 504 first."""
        self.sent: list[tuple[str, str, Json]] = []
        """Every request that was to change something, as it came."""
        self.asked: list[tuple[str, Json]] = []

    def dispatch(self, method: str, path: str, user: str, body: Json, raw: bytes) -> Json | bytes | None:
        if match := re.fullmatch(r"/serving-endpoints/([^/]+)(?:/served-models/([^/]+))?/invocations", path):
            return self.invoke(match[1], match[2], path, body)
        if not path.startswith(ENDPOINTS):
            return super().dispatch(method, path, user, body, raw)
        name, _, rest = path.removeprefix(ENDPOINTS).lstrip("/").partition("/")
        if method != "GET":
            self.sent.append((method, path, body))
            if user not in self.managers:
                raise RefusedError("PERMISSION_DENIED", f"{user} does not have CAN MANAGE on endpoint {name}.")
        match method, rest:
            case "POST", "" if not name:
                return self.create(user, body)
            case "GET", "":
                return self.look(name) if name else {"endpoints": [self.shown(one) for one in self.endpoints]}
            case "PUT", "config":
                return self.update(user, name, body)
            case "PUT", "ai-gateway":
                checked_fields(body, serving.AiGatewayConfig)
                self.put_gateway(self.endpoint(name), body)
                return self.endpoint(name).gateway
            case "DELETE", "":
                self.endpoint(name)
                del self.endpoints[name]
                return {}
        raise RefusedError("NOT_FOUND", f"No API found for '{method} {path}'")

    def endpoint(self, name: str) -> Endpoint:
        if name not in self.endpoints:
            raise RefusedError("RESOURCE_DOES_NOT_EXIST", f"Endpoint with name '{name}' does not exist.")
        return self.endpoints[name]

    def create(self, user: str, body: Json) -> Json:
        checked_fields(body, Create)
        name = body["name"]
        if not NAME.fullmatch(name):
            raise RefusedError("INVALID_PARAMETER_VALUE", f"Endpoint name '{name}' is invalid.")
        if name in self.endpoints:
            raise RefusedError("RESOURCE_ALREADY_EXISTS", f"Endpoint with name '{name}' already exists.")
        config = self.checked_config(user, body["config"])
        made = Endpoint()
        self.put_gateway(made, body.get("ai_gateway", {}))
        self.endpoints[name] = made
        self.begin(made, config)
        return self.shown(name)

    def update(self, user: str, name: str, body: Json) -> Json:
        checked_fields(body, serving.EndpointCoreConfigInput)
        endpoint = self.endpoint(name)
        if endpoint.state == "IN_PROGRESS":  # [F] no other update until it completes or fails; code (?)
            raise RefusedError("RESOURCE_CONFLICT", f"Endpoint '{name}' is being updated.")
        self.begin(endpoint, self.checked_config(user, body))
        return self.shown(name)

    def begin(self, endpoint: Endpoint, config: Json) -> None:
        endpoint.pending, endpoint.state, endpoint.polls = config, "IN_PROGRESS", self.polls
        endpoint.fails = any(entity["entity_version"] in self.broken for entity in config["served_entities"])
        self.go_on(endpoint)

    def go_on(self, endpoint: Endpoint) -> None:
        if endpoint.state != "IN_PROGRESS" or endpoint.polls > 0:
            endpoint.polls -= 1
        elif endpoint.fails:  # [A] what was served before goes on being served
            endpoint.state = "UPDATE_FAILED"
        else:
            endpoint.state, endpoint.config, endpoint.pending = "NOT_UPDATING", endpoint.pending, None

    def look(self, name: str) -> Json:
        shown = self.shown(name)
        self.go_on(self.endpoint(name))
        return shown

    def shown(self, name: str) -> Json:
        endpoint = self.endpoint(name)
        found: Json = {
            "name": name,
            "state": {"ready": "READY" if endpoint.config else "NOT_READY", "config_update": endpoint.state},
        }
        if endpoint.config:
            found["config"] = output(endpoint.config, "DEPLOYMENT_READY")
        if endpoint.pending:
            failed = endpoint.state == "UPDATE_FAILED"
            found["pending_config"] = output(endpoint.pending, "DEPLOYMENT_FAILED" if failed else "DEPLOYMENT_CREATING")
        return found | ({"ai_gateway": endpoint.gateway} if endpoint.gateway else {})

    def checked_config(self, user: str, config: Json) -> Json:
        entities = config.get("served_entities") or []
        names = [entity.get("name") or f"{entity['entity_name']}-{entity['entity_version']}" for entity in entities]
        if not entities or len(set(names)) < len(names):
            raise RefusedError("INVALID_PARAMETER_VALUE", "Served entities must have unique names.")
        for entity in entities:
            self.check_entity(user, entity)
        routes = config.get("traffic_config", {}).get("routes") or (
            [{"served_entity_name": names[0], "traffic_percentage": 100}] if len(names) == 1 else []
        )
        if {route.get("served_entity_name") for route in routes} != set(names):
            raise RefusedError("INVALID_PARAMETER_VALUE", "Every served entity needs one route.")
        if sum(route["traffic_percentage"] for route in routes) != 100:
            raise RefusedError("INVALID_PARAMETER_VALUE", "Traffic percentages must sum to 100.")
        return {"served_entities": entities, "traffic_config": {"routes": routes}}

    def check_entity(self, user: str, entity: Json) -> None:
        model, number = entity["entity_name"], entity["entity_version"]
        if self.catalog.need(user, model, "EXECUTE").versions.get(number) is None:
            raise RefusedError("RESOURCE_DOES_NOT_EXIST", f"Model version {number} of '{model}' does not exist.")
        if self.catalog.models[model].versions[number].status != "READY":
            raise RefusedError("INVALID_PARAMETER_VALUE", f"Model version {number} of '{model}' is not READY.")
        if not NAME.fullmatch(entity["name"]):
            raise RefusedError("INVALID_PARAMETER_VALUE", f"Served entity name '{entity['name']}' is invalid.")
        if entity.get("workload_size") not in SIZES:
            raise RefusedError("INVALID_PARAMETER_VALUE", f"Workload size {entity.get('workload_size')} is invalid.")
        if "scale_to_zero_enabled" not in entity:
            raise RefusedError("INVALID_PARAMETER_VALUE", "scaleToZeroEnabled is undefined.")
        for variable, value in entity.get("environment_vars", {}).items():
            if (match := REFERENCE.fullmatch(value)) and match.groups() not in self.secrets:
                raise RefusedError("RESOURCE_DOES_NOT_EXIST", f"{variable}: secret {match[1]}/{match[2]} not found.")

    def put_gateway(self, endpoint: Endpoint, wanted: Json) -> None:
        if beyond := {"rate_limits", "usage_tracking_config"} & set(wanted):  # [A]; that it is refused (?)
            raise RefusedError("INVALID_PARAMETER_VALUE", f"{sorted(beyond)} are not supported for agent endpoints.")
        before, after = endpoint.gateway.get("inference_table_config", {}), wanted.get("inference_table_config", {})
        if after.get("enabled") and not (after.get("catalog_name") and after.get("schema_name")):
            raise RefusedError("INVALID_PARAMETER_VALUE", "Inference tables need catalog_name and schema_name.")
        if before.get("enabled") and after.get("enabled") and before != after:
            raise RefusedError("INVALID_PARAMETER_VALUE", "Disable the inference table before changing its place.")
        endpoint.gateway = wanted

    def invoke(self, name: str, served: str | None, path: str, body: Json) -> Json:
        config = self.endpoint(name).config
        if config is None:
            raise RefusedError("TEMPORARILY_UNAVAILABLE", f"Endpoint '{name}' is not ready.")
        self.asked.append((path, body))
        if self.silent:
            self.silent -= 1
            raise RefusedError("DEADLINE_EXCEEDED", "The endpoint is waking up.")
        route = max(config["traffic_config"]["routes"], key=lambda one: one["traffic_percentage"])
        chosen = served or route["served_entity_name"]
        [number] = [one["entity_version"] for one in config["served_entities"] if one["name"] == chosen]
        said = self.says.get(number, "Sports")
        record: Json = {"id": "0", "category": said, "sentiment": "Positive", "error": None}
        if said == "error":
            record = {"id": "0", "category": None, "error": {"kind": "provider", "message": "the key was refused"}}
        return {"object": "response", "output": [], "custom_outputs": {"classifications": [record]}}


def output(config: Json, deployment: str) -> Json:
    """A configuration as it is shown: with states, and with both names of a route [C]."""
    routes = [{**one, "served_model_name": one["served_entity_name"]} for one in config["traffic_config"]["routes"]]
    entities = [
        {**one, "creator": "ann", "creation_timestamp": 1, "workload_type": "CPU", "state": {"deployment": deployment}}
        for one in config["served_entities"]
    ]
    return {"served_entities": entities, "traffic_config": {"routes": routes}, "config_version": 1}


def checked_fields(value: Any, kind: Any, place: str = "") -> None:
    """Refuse unknown fields, wrong types and unknown words, going down the classes of the SDK [F]."""
    inner = [one for one in typing.get_args(kind) if one is not type(None)]
    if typing.get_origin(kind) is dict:
        parts = [(part, inner[1], place) for part in value.values()]
    elif typing.get_origin(kind) is list:
        parts = [(part, inner[0], place) for part in value]
    elif inner:
        parts = [(value, inner[0], place)]
    elif dataclasses.is_dataclass(kind):
        parts = [(part, hint_of(kind, name, place), f"{place}{name}.") for name, part in value.items()]
    else:
        parts = []
        allowed = [one.value for one in kind] if issubclass(kind, Enum) else None
        if value not in allowed if allowed else type(value) is not kind:
            raise RefusedError("MALFORMED_REQUEST", f"{place} cannot be {value!r}.")
    for part in parts:
        checked_fields(*part)


def hint_of(kind: Any, name: str, place: str) -> Any:
    """The type of a field. Refuses one that there is not."""
    hints = typing.get_type_hints(kind)
    if name not in hints:
        raise RefusedError("MALFORMED_REQUEST", f"Unknown field '{place}{name}'.")
    return hints[name]
