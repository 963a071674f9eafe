"""Reading configuration files into frozen records, with errors a person can act on."""

from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError

from agent.errors import ConfigError

Settings = TypeVar("Settings", bound=BaseModel)


def read_yaml(path: Path) -> dict[str, object]:
    """The mapping in a YAML file.

    Raises:
        ConfigError: the file is missing, not UTF-8, not YAML, or not a mapping.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as err:
        raise ConfigError(f"Cannot read {path}: {err}. Give the path of a UTF-8 YAML file.") from err
    try:
        content = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as err:
        raise ConfigError(f"{path} is not valid YAML: {err}. Correct the file.") from err
    if not isinstance(content, dict):
        raise ConfigError(f"{path} holds {type(content).__name__}, not a mapping of settings. Correct the file.")
    return content


def parse_settings(content: object, model: type[Settings], source: Path | str) -> Settings:
    """Validate `content` as `model`; the first mistake is named with its field, value and remedy.

    Raises:
        ConfigError: a key is not known, missing, or has a value that is not allowed.
    """
    try:
        return model.model_validate(content)
    except ValidationError as err:
        raise ConfigError(describe(err, model, source)) from err


def read_settings(path: Path, model: type[Settings]) -> Settings:
    """Read and validate one YAML file. Raises ConfigError as its two steps do."""
    return parse_settings(read_yaml(path), model, path)


def describe(err: ValidationError, model: type[BaseModel], source: Path | str) -> str:
    """The mistake of a validation error that is best mended first, as one sentence."""
    mistakes = err.errors(include_url=False)
    first = next((mistake for mistake in mistakes if mistake["type"] == "extra_forbidden"), mistakes[0])
    field = ".".join(str(part) for part in first["loc"]) or "(whole file)"
    match first["type"]:
        case "extra_forbidden":
            allowed = ", ".join(sorted(settings_at(model, first["loc"][:-1])))
            return f"{source}: field {field!r} is not a setting. Allowed: {allowed}. Correct the name or remove it."
        case "missing":
            return f"{source}: field {field!r} is missing. Add it."
    return f"{source}: field {field!r} has the value {first['input']!r}: {first['msg']}. Correct it."


def settings_at(model: type[BaseModel], location: tuple[int | str, ...]) -> Iterable[str]:
    """Names of the settings that a nested record has, following `location` down from `model`."""
    for part in location:
        if isinstance(part, str) and part in model.model_fields:
            annotation = model.model_fields[part].annotation
            inner = [kind for kind in (annotation, *get_args(annotation)) if isinstance(kind, type)]
            model = next((kind for kind in inner if issubclass(kind, BaseModel)), model)
    return model.model_fields
