"""The prompt in MLflow's prompt registry: registered when its text is new, with an alias on the one in use."""

import mlflow
from mlflow.tracking import MlflowClient

from agent.champion import registered_name
from agent.config import AgentConfig

ALIAS = "in_use"
HASH_TAG = "prompt_hash"


def register_prompt(config: AgentConfig) -> AgentConfig:
    """The candidate with the registered version of its prompt; as it is where it has none.

    A prompt whose hash stands under its name already is not registered again.
    """
    prompt = config.prompt
    if prompt is None:
        return config
    client, name = MlflowClient(), registry_name(prompt.name)
    version = _registered_version(client, name, prompt.hash)
    if version is None:
        messages = [{"role": "system", "content": prompt.system}, {"role": "user", "content": prompt.user}]
        texts = prompt.model_dump_json(exclude={"version", "name"}, indent=2)
        tags = {HASH_TAG: prompt.hash}
        registered = mlflow.genai.register_prompt(name, messages, commit_message=texts, tags=tags)
        version = str(registered.version)
    client.set_prompt_alias(name, ALIAS, int(version))
    return config.model_copy(update={"prompt": prompt.model_copy(update={"version": version})})


def prompt_uri(config: AgentConfig) -> str | None:
    """Address of the registered prompt; None without one."""
    prompt = config.prompt
    return f"prompts:/{registry_name(prompt.name)}/{prompt.version}" if prompt and prompt.version else None


def registry_name(name: str) -> str:
    """A prompt's name in the registry; in Unity Catalog, where it is the name of a function, without hyphens."""
    known = registered_name(name)
    return known if known == name else registered_name(name.replace("-", "_"))


def _registered_version(client: MlflowClient, name: str, prompt_hash: str) -> str | None:
    if client.get_prompt(name) is None:
        return None
    for version in client.search_prompt_versions(name):
        if version.tags.get(HASH_TAG) == prompt_hash:
            return str(version.version)
    return None
