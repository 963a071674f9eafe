"""What an endpoint is and does now, read from what Databricks says of it."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from databricks.sdk.service.serving import ServingEndpointDetailed

UPDATING = "IN_PROGRESS"
FAILED = ("UPDATE_FAILED", "UPDATE_CANCELED")
Json = dict[str, Any]


def entities_of(found: "ServingEndpointDetailed") -> Sequence[Any]:
    """What an endpoint serves; where it never came up, what it was to serve."""
    config = found.config if found.config and found.config.served_entities else found.pending_config
    return config.served_entities or [] if config else []


def traffic_of(found: "ServingEndpointDetailed") -> dict[tuple[str, str], int]:
    """Model and version to the share in percent that it really has now, without those that have none."""
    config = found.config
    if config is None:
        return {}
    versions = {one.name: (str(one.entity_name), str(one.entity_version)) for one in config.served_entities or ()}
    routes = (config.traffic_config.routes if config.traffic_config else None) or ()
    return {
        versions[name]: route.traffic_percentage
        for route in routes
        if route.traffic_percentage and (name := route.served_entity_name or route.served_model_name) in versions
    }


def gateway_of(found: "ServingEndpointDetailed") -> Json:
    """What AI Gateway does for an endpoint now; what is switched off is left out."""
    held: Json = found.ai_gateway.as_dict() if found.ai_gateway else {}
    return {
        feature: value
        for feature, value in held.items()
        if value and not (isinstance(value, dict) and value.get("enabled") is False)
    }


def config_of(found: "ServingEndpointDetailed") -> Json:
    """The configuration that an endpoint serves now, as a request that brings it back."""
    from databricks.sdk.service.serving import ServedEntityInput  # a second to import

    config = found.config
    assert config
    entities = [ServedEntityInput.from_dict(one.as_dict()).as_dict() for one in config.served_entities or ()]
    routes = [
        {"served_entity_name": route.served_entity_name or route.served_model_name,
         "traffic_percentage": route.traffic_percentage}
        for route in (config.traffic_config.routes if config.traffic_config else None) or ()
    ]  # fmt: skip
    return {"served_entities": entities, "traffic_config": {"routes": routes}}


def is_updating(found: "ServingEndpointDetailed") -> bool:
    """Whether an update is in progress, which no other may disturb."""
    return bool(found.state and found.state.config_update and found.state.config_update.value == UPDATING)


def is_ready(found: "ServingEndpointDetailed") -> bool:
    """Whether the endpoint answers."""
    return bool(found.state and found.state.ready and found.state.ready.value == "READY")


def has_failed(found: "ServingEndpointDetailed") -> bool:
    """Whether the last update failed; what was served before it may still be."""
    return bool(found.state and found.state.config_update and found.state.config_update.value in FAILED)


def state_sentence(found: "ServingEndpointDetailed") -> str:
    """The state of an endpoint and of what it serves, or is to serve."""
    state = found.state
    words = [one.value for one in (state.ready, state.config_update) if one] if state else ["no state"]
    config = found.pending_config or found.config
    for entity in (config.served_entities or ()) if config else ():
        if entity.state and entity.state.deployment:
            message = f" ({entity.state.deployment_state_message})" if entity.state.deployment_state_message else ""
            words.append(f"{entity.name} {entity.state.deployment.value}{message}")
    return ", ".join(words)


def where_to_look(found: "ServingEndpointDetailed") -> str:
    """The command that shows why a version did not come up."""
    config = found.pending_config or found.config
    states = {one.name: one.state.deployment for one in (config.served_entities or ()) if one.state} if config else {}
    down = [name for name, state in states.items() if state and state.value != "DEPLOYMENT_READY"]
    return f" Why: databricks serving-endpoints build-logs {found.name} {down[0]}." if down else ""


def serving_sentence(found: "ServingEndpointDetailed | None") -> str:
    """What answers now."""
    traffic = traffic_of(found) if found and (is_ready(found) or is_updating(found)) else {}
    return f"{shares(traffic)} served" if traffic else "nothing was served"


def shares(traffic: Mapping[tuple[str, str], int]) -> str:
    """Versions with their share of the traffic."""
    return " and ".join(f"version {version} ({percent} %)" for (_, version), percent in traffic.items()) or "nothing"
