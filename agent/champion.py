"""The model in production, for callers who want answers rather than MLflow."""

import os

from agent.errors import ConfigError
from agent.isolation import IsolatedModel

MODEL_NAME = "news_classifier"
CHAMPION = "champion"


def registered_model_name() -> str:
    """`news_classifier`, or its three-level name in Unity Catalog where UC_CATALOG and UC_SCHEMA are set.

    Raises:
        ConfigError: only one of the two is set.
    """
    return registered_name(MODEL_NAME)


def registered_name(name: str) -> str:
    """A name as the registry knows it: with catalog and schema where UC_CATALOG and UC_SCHEMA are set.

    Raises:
        ConfigError: only one of the two is set.
    """
    catalog, schema = os.environ.get("UC_CATALOG"), os.environ.get("UC_SCHEMA")
    if bool(catalog) != bool(schema):
        raise ConfigError("Only one of UC_CATALOG and UC_SCHEMA is set. Set both for Unity Catalog, or none.")
    return f"{catalog}.{schema}.{name}" if catalog and schema else name


def load_champion(alias: str = CHAMPION) -> IsolatedModel:
    """The champion, in a process of its own and with its own code.

        with load_champion() as champion:
            champion.classify(title="Rowers win gold", content="...").category

    Args:
        alias: Another alias to load instead.

    Raises:
        IsolationError: there is no such version, or it cannot be loaded.
    """
    return IsolatedModel(f"models:/{registered_model_name()}@{alias}")
