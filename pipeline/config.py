"""All settings in one tree, composed once: defaults, then a preset, then a YAML file, then --set, then options."""

import dataclasses
import typing
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, ClassVar, get_args, get_type_hints

import pydantic
import yaml
from daan.config import DaanConfig

from pipeline.errors import UsageError
from pipeline.extraction_settings import ExtractionSettings
from pipeline.files import storage_errors
from pipeline.suggestions import did_you_mean, does_not_exist
from pipeline.training_settings import HoldOutSettings, TextSettings, TrainingSettings


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """Every setting of every stage; each folder owns its own part."""

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    extraction: ExtractionSettings = dataclasses.field(default_factory=ExtractionSettings)
    text: TextSettings = dataclasses.field(default_factory=TextSettings)
    holdout: HoldOutSettings = dataclasses.field(default_factory=HoldOutSettings)
    daan: DaanConfig = dataclasses.field(default_factory=DaanConfig)
    training: TrainingSettings = dataclasses.field(default_factory=TrainingSettings)


def presets() -> list[str]:
    """Names of the presets in the package."""
    return sorted(
        Path(entry.name).stem
        for entry in resources.files("pipeline").joinpath("presets").iterdir()
        if entry.name.endswith(".yaml")
    )


def load_settings(
    *,
    preset: str | None = None,
    config_file: Path | None = None,
    assignments: Sequence[str] = (),
    options: Mapping[str, Any] | None = None,
) -> Settings:
    """Compose and validate the settings.

    Args:
        preset: a name of `presets()`.
        config_file: YAML of the same tree as `show_settings` prints; any part may be missing.
        assignments: `section.key=value`, the value in YAML.
        options: dotted keys with values from the command's own options; None means: not given.

    Raises:
        UsageError: an unknown preset, key, or a value of the wrong type or range, named with what is allowed.
    """
    tree: dict[str, Any] = {}
    if preset is not None:
        if preset not in presets():
            raise UsageError(f"unknown preset {preset!r}: choose one of {', '.join(presets())}")
        _merge(
            tree,
            _parse_yaml(
                resources.files("pipeline").joinpath("presets", f"{preset}.yaml").read_text(encoding="utf-8"), preset
            ),
            preset,
        )
    if config_file is not None:
        if not config_file.is_file():
            raise UsageError(does_not_exist(config_file))
        with storage_errors(config_file):
            text = config_file.read_text(encoding="utf-8")
        _merge(tree, _parse_yaml(text, str(config_file)), str(config_file))
    for assignment in assignments:
        key, separator, value = assignment.partition("=")
        if not separator or not key.strip():
            raise UsageError(f"--set {assignment!r}: expected section.key=value, such as --set training.epochs=20")
        _assign(tree, key.strip(), _parse_scalar(value))
    for key, value in (options or {}).items():
        if value is not None:
            _assign(tree, key, value)
    return _validate(tree)


def _parse_yaml(text: str, where: str) -> dict[str, Any]:
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UsageError(f"{where} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(document, dict | None):
        raise UsageError(f"{where}: expected sections such as training: and daan:")
    return document or {}


def _parse_scalar(text: str) -> Any:  # noqa: ANN401 - any YAML value
    """A value of --set; `1e-3` is a number, though YAML 1.1 wants a dot in it."""
    try:
        return (
            float(text)
            if text.strip().lower().replace("e-", "e").replace("e", "", 1).isdigit() and "e" in text.lower()
            else yaml.safe_load(text)
        )
    except yaml.YAMLError:
        return text


def _merge(tree: dict[str, Any], document: Mapping[str, Any], where: str) -> None:
    for section, values in document.items():
        if not isinstance(values, Mapping):
            raise UsageError(f"{where}: {section} must hold settings, such as {section}: {{key: value}}")
        for key, value in _flatten(values, str(section)):
            _assign(tree, key, value)


def _flatten(values: Mapping[str, Any], prefix: str) -> typing.Iterator[tuple[str, Any]]:
    for key, value in values.items():
        dotted = f"{prefix}.{key}"
        if isinstance(value, Mapping):
            yield from _flatten(value, dotted)
        else:
            yield dotted, value


def _assign(tree: dict[str, Any], key: str, value: Any) -> None:  # noqa: ANN401 - any YAML value
    known = setting_names()
    if key not in known:
        raise UsageError(f"unknown setting {key}.{did_you_mean(key, known)} (all settings: avzsl train --show-config)")
    *sections, name = key.split(".")
    for section in sections:
        tree = tree.setdefault(section, {})
    tree[name] = value


def setting_names() -> list[str]:
    """Every dotted key, such as training.epochs."""
    return [key for key, _ in _flatten(dataclasses.asdict(Settings()), "")] and [
        key.removeprefix(".") for key, _ in _flatten(dataclasses.asdict(Settings()), "")
    ]


def _validate(tree: Mapping[str, Any]) -> Settings:
    try:
        return pydantic.TypeAdapter(Settings).validate_python(tree)
    except pydantic.ValidationError as error:
        raise UsageError(_one_line(error)) from error


def _one_line(error: pydantic.ValidationError) -> str:
    """The first fault: the key, the value, what is allowed."""
    fault = error.errors()[0]
    key = ".".join(str(place) for place in fault["loc"] if str(place) in ".".join(setting_names()).split("."))
    message = fault["msg"].removeprefix("Value error, ")
    if fault["type"] == "value_error":
        return f"{key}: {message}"
    return f"{key} = {fault['input']!r}: {message[0].lower()}{message[1:]}{_allowed(key)}"


def _allowed(key: str) -> str:
    """The type of a setting in words, where it says more than pydantic's message."""
    kind: Any = Settings
    for name in key.split("."):
        hints = get_type_hints(kind) if dataclasses.is_dataclass(kind) else {}
        if name not in hints:
            return ""
        kind = hints[name]
    choices = [str(choice) for choice in get_args(kind) if not isinstance(choice, type)]
    return f" (allowed: {', '.join(choices)})" if choices and typing.get_origin(kind) is not typing.Literal else ""


def show_settings(settings: Settings) -> str:
    """The settings as YAML that --config reads."""
    return yaml.safe_dump(dataclasses.asdict(settings), sort_keys=False, allow_unicode=True)
