"""`config/databricks.yaml`: the endpoint that the champion gets on Databricks."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

from agent.redaction import SECRET_NAME, holds_secret

SETTINGS_FILE = Path("config/databricks.yaml")
SECRET_PART = r"^[\w.@-]{1,128}$"
"""Of a scope or a key of Databricks secrets."""
REFERENCE = re.compile(r"\{\{secrets/[\w.@-]{1,128}/[\w.@-]{1,128}\}\}")
EndpointName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][\w-]{0,62}$")]
SecretName = Annotated[str, StringConstraints(pattern=SECRET_PART)]
Variable = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_]\w*$")]


class Settings(BaseModel):
    """What every group of settings has in common."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class SecretSettings(Settings):
    """Where the keys of the providers are kept. Values are never read here."""

    scope: SecretName
    """Scope of Databricks secrets; whoever deploys needs READ on it."""
    keys: Mapping[str, Mapping[Variable, SecretName]]
    """Provider to the variables that it needs, each with the name of its secret; every provider that is served."""


class InferenceTable(Settings):
    """Where AI Gateway keeps requests and answers."""

    catalog_name: str | None = None
    """Catalog of the table; the model's own unless set."""
    schema_name: str | None = None
    """Schema of the table; the model's own unless set."""
    table_name_prefix: str = Field(pattern=r"^\w{1,200}$")
    """First part of the table's name."""


class RateLimit(Settings):
    """How many calls AI Gateway lets through."""

    calls: int = Field(ge=0)
    """Calls in a minute."""
    key: Literal["endpoint", "user", "user_group", "service_principal"] = "endpoint"
    """Who is counted: all callers together, each user, or one principal."""
    principal: str | None = None
    """Group, application id or e-mail address that the limit is for; none for all."""
    renewal_period: Literal["minute"] = "minute"
    """When the count begins anew."""

    @model_validator(mode="after")
    def _names_whom_it_is_for(self) -> "RateLimit":
        if self.principal and self.key == "endpoint":
            raise ValueError("a limit of the endpoint is for all; remove 'principal', or set 'key' to what it is")
        if not self.principal and self.key in ("user_group", "service_principal"):
            raise ValueError(f"a limit of a {self.key} needs the 'principal' that it is for")
        return self


class Gateway(Settings):
    """What AI Gateway does for the endpoint."""

    inference_table: InferenceTable | None = None
    """Where requests and answers are kept; nowhere unless set."""
    usage_tracking: bool = False
    """Whether calls are counted in Databricks' system tables."""
    rate_limits: tuple[RateLimit, ...] = ()
    """How many calls are let through; all of them unless set."""


class SmokeTest(Settings):
    """An article whose category nobody disputes."""

    title: str
    """Its title."""
    content: str
    """Its content."""
    category: str
    """What every version must say of it."""


class DatabricksSettings(Settings):
    """`config/databricks.yaml`."""

    endpoint: EndpointName
    """Name of the serving endpoint."""
    workload_size: Literal["Small", "Medium", "Large"] = "Small"
    """How much compute each version has."""
    scale_to_zero: bool = True
    """Whether the compute goes away while nobody asks."""
    challenger_percent: int = Field(default=0, ge=0, le=99)
    """Share of the traffic that the challenger gets where there is one, in percent."""
    secrets: SecretSettings
    """Where the keys are."""
    environment: Mapping[Variable, str] = {}
    """Further variables of the served model."""
    ai_gateway: Gateway = Gateway()
    """What is logged, counted and limited."""
    smoke_test: SmokeTest
    """What is asked after a deployment."""

    @field_validator("environment")
    @classmethod
    def _holds_no_secret(cls, value: Mapping[str, str]) -> Mapping[str, str]:
        """Requests are shown, and the endpoint shows its variables to whoever may view it."""
        for name, text in value.items():
            if not REFERENCE.fullmatch(text) and (SECRET_NAME.search(name) or holds_secret(text)):
                raise ValueError(f"{name} must be a reference such as {{{{secrets/SCOPE/KEY}}}}, never the key itself")
        return value
