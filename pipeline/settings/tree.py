"""Compose all settings in one tree: defaults, then a preset, then a YAML file, then --set, then options."""

import dataclasses
import functools
from collections.abc import Iterator, Mapping, Sequence
from importlib import resources
from pathlib import Path
from types import UnionType
from typing import Any, ClassVar, Literal, Union, get_args, get_origin, get_type_hints

import pydantic
import yaml

from daan.baselines.apn import ApnConfig
from daan.baselines.avca import AvcaConfig
from daan.baselines.avgzslnet import AvgzslnetConfig
from daan.baselines.bilinear import BilinearConfig
from daan.baselines.cjme import CjmeConfig
from daan.baselines.clipclap import ClipClapConfig
from daan.baselines.lsc import LscConfig
from daan.baselines.mft import MftConfig
from daan.baselines.tcaf import TcafConfig
from daan.baselines.zero_shot import ZeroShotConfig
from daan.config import DaanConfig
from daan.method import MethodConfig
from extractors.registry import unknown_extractor
from extractors.selavi.weights import weights_named
from pipeline.base.errors import UsageError
from pipeline.base.files import read_text
from pipeline.base.wording import did_you_mean, not_a_file
from pipeline.base.yaml_text import parse_yaml
from pipeline.settings.extraction import EXTRACTOR_OPTIONS, ExtractionSettings
from pipeline.settings.training import (
    HoldOutSettings,
    MethodName,
    ScoreSettings,
    TextSettings,
    TrainingSettings,
    section_of,
)

_MOST_SETTINGS = 1000
_EXTRACTOR = "extraction.extractor"  # the section of the options of any extractor
_DEEPEST = 2  # dots in the name of a setting
# Names of settings in earlier versions -> the settings that replace them.
_SUCCESSORS = {
    "daan.dropout": "daan.encoder_dropout",
    "daan.feedforward_multiple": "daan.feedforward_width",
    "training.patience_epochs": "training.patience_steps",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings of every stage; each section is defined next to its stage or network."""

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    extraction: ExtractionSettings = dataclasses.field(default_factory=ExtractionSettings)
    text: TextSettings = dataclasses.field(default_factory=TextSettings)
    holdout: HoldOutSettings = dataclasses.field(default_factory=HoldOutSettings)
    daan: DaanConfig = dataclasses.field(default_factory=DaanConfig)
    training: TrainingSettings = dataclasses.field(default_factory=TrainingSettings)
    score: ScoreSettings = dataclasses.field(default_factory=ScoreSettings)
    # The options of the other methods: one section each, named by `section_of`.
    avca: AvcaConfig = dataclasses.field(default_factory=AvcaConfig)
    tcaf: TcafConfig = dataclasses.field(default_factory=TcafConfig)
    clipclap: ClipClapConfig = dataclasses.field(default_factory=ClipClapConfig)
    mft: MftConfig = dataclasses.field(default_factory=MftConfig)
    lsc: LscConfig = dataclasses.field(default_factory=LscConfig)
    cjme: CjmeConfig = dataclasses.field(default_factory=CjmeConfig)
    avgzslnet: AvgzslnetConfig = dataclasses.field(default_factory=AvgzslnetConfig)
    devise: BilinearConfig = dataclasses.field(default_factory=BilinearConfig)
    ale: BilinearConfig = dataclasses.field(default_factory=BilinearConfig)
    sje: BilinearConfig = dataclasses.field(default_factory=BilinearConfig)
    apn: ApnConfig = dataclasses.field(default_factory=ApnConfig)
    zero_shot: ZeroShotConfig = dataclasses.field(default_factory=ZeroShotConfig)
    # The names of the settings that the user gave, such as training.epochs. It is no setting itself.
    given: frozenset[str] = dataclasses.field(default=frozenset(), compare=False)

    @property
    def method_config(self) -> MethodConfig:
        """The options of the method that is trained."""
        config: MethodConfig = getattr(self, section_of(self.training.method))
        return config

    def with_method_config(self, config: MethodConfig) -> "Settings":
        """Replace the options of the method that is trained."""
        changed: dict[str, Any] = {section_of(self.training.method): config}
        return dataclasses.replace(self, **changed)


def presets(method: str = "daan") -> list[str]:
    """List the names of the presets of a method; those of another method than DAAN begin with its name."""
    folder = resources.files("pipeline.settings").joinpath("presets")
    chosen = folder if method == "daan" else folder.joinpath(method)
    if not chosen.is_dir():  # a method without presets
        return []
    return sorted(Path(entry.name).stem for entry in chosen.iterdir() if entry.name.endswith(".yaml"))


def all_presets() -> list[str]:
    """List the names of all presets, those of DAAN first."""
    return [name for method in get_args(MethodName) for name in presets(method)]


def preset_for(method: str, preset: str) -> str:
    """Return the preset of a method for the dataset that another preset names, such as avca-ucf for avca and ucf.

    A dataset with a kind of features, such as ucf-cls, means the preset for the dataset if the method has none for this
    kind.

    Raises:
        UsageError: an unknown preset, a preset of another method, or a method without one for this dataset.
    """
    known, own = preset.strip().lower(), presets(method)
    if known not in all_presets() and not any(each.endswith(f"-{known}") for each in all_presets()):
        raise UsageError(_unknown_preset(preset))
    for dataset in (known, known.removesuffix("-cls").removesuffix("-clip")):
        for named in (dataset, f"{method}-{dataset}"):
            if named in own:
                return named
    has = f"it has {', '.join(own)}" if own else "it has no preset: leave --preset out"
    raise UsageError(f"--preset {preset} is not for the method {method}; {has}")


@dataclasses.dataclass(frozen=True)
class GivenSettings:
    """The settings that the user gave with a preset, a file, `--set` or an option.

    Attributes:
        tree: section -> setting -> value, not validated yet.
    """

    tree: Mapping[str, Any]

    def validate(self) -> Settings:
        """Fill in the defaults and check every value.

        Raises:
            UsageError: a value has the wrong type or range; the message names its key and what is allowed.
        """
        self._check_extractor()
        try:
            found = pydantic.TypeAdapter(Settings).validate_python(self.tree)
        except pydantic.ValidationError as error:
            raise UsageError(_first_fault(error)) from error
        given = frozenset(key for key, _ in _flatten(self.tree))
        usual = {
            name: value
            for name, value in found.method_config.training_defaults.items()
            if f"training.{name}" not in given
        }
        return dataclasses.replace(found, training=dataclasses.replace(found.training, **usual), given=given)

    def _check_extractor(self) -> None:
        """Refuse an unknown extractor, and an option of another one.

        Raises:
            UsageError: as the summary says.
        """
        options = self.tree.get("extraction", {}).get("extractor", {})
        name = str(options.get("name", ExtractionSettings().extractor.name))
        if name not in EXTRACTOR_OPTIONS:
            raise UsageError(unknown_extractor(name))
        known = [field.name for field in dataclasses.fields(EXTRACTOR_OPTIONS[name])]
        for option in options:
            if option not in known:
                owners = [owner for owner, of in EXTRACTOR_OPTIONS.items() if option in of.__dataclass_fields__]
                raise UsageError(
                    f"{_EXTRACTOR}.{option} is an option of {' and '.join(owners)}, not of {name}, which has "
                    f"{', '.join(known[1:])}"
                )

    def names_in(self, section: str) -> frozenset[str]:
        """List the settings of a section that the user gave, such as `extractor.recipe`, even with a default value."""
        return frozenset(key for key, _ in _flatten(self.tree.get(section, {})))


def given_settings(
    *,
    preset: str | None = None,
    config_file: Path | None = None,
    assignments: Sequence[str] = (),
    options: Mapping[str, Any] | None = None,
) -> GivenSettings:
    """Collect the settings that the user gave; later sources win.

    Args:
        preset: a name of `all_presets()`.
        config_file: a YAML file like the output of `show_settings`; any setting may be missing.
        assignments: texts `section.key=value`.
        options: dotted key -> value of the command's own options; None if an option was not given.

    Raises:
        UsageError: a preset or key is unknown, or the file does not contain settings in YAML.
    """
    tree: dict[str, Any] = {}
    if config_file is not None:
        if not config_file.is_file():
            raise UsageError(not_a_file(config_file))
        _merge(tree, read_text(config_file), str(config_file))
    for assignment in assignments:
        key, separator, value = assignment.partition("=")
        if not separator or not key.strip():
            raise UsageError(f"--set {assignment!r}: expected section.key=value, such as --set training.epochs=20")
        _assign(tree, key.strip(), value.strip())
    for key, value in (options or {}).items():
        if value is not None:
            _assign(tree, key, value)
    return GivenSettings(tree if preset is None else _over_preset(preset, tree))


def _over_preset(preset: str, tree: Mapping[str, Any]) -> dict[str, Any]:
    """Put settings over those of a preset, of the method that they name."""
    method = str(tree.get("training", {}).get("method", ""))
    named = preset_for(method, preset) if method in get_args(MethodName) else preset
    whole: dict[str, Any] = {}
    _merge(whole, _read_preset(named), f"preset {named}")
    for key, value in _flatten(tree):
        _assign(whole, key, value)
    return whole


def load_settings(
    *,
    preset: str | None = None,
    config_file: Path | None = None,
    assignments: Sequence[str] = (),
    options: Mapping[str, Any] | None = None,
) -> Settings:
    """Collect what the user gave and validate it; see `given_settings`.

    Raises:
        UsageError: as for `given_settings` and `GivenSettings.validate`.
    """
    given = given_settings(preset=preset, config_file=config_file, assignments=assignments, options=options)
    return given.validate()


def _read_preset(name: str) -> str:
    known = name.strip().lower()
    if known not in all_presets():
        raise UsageError(_unknown_preset(name))
    method = known.partition("-")[0]
    folders = () if known in presets() else (method,)
    files = resources.files("pipeline.settings").joinpath("presets", *folders)
    return files.joinpath(f"{known}.yaml").read_text(encoding="utf-8")


def _unknown_preset(name: str) -> str:
    near = did_you_mean(name.strip().lower(), all_presets())
    return (
        f"unknown preset {name!r}.{near} Those of DAAN: {', '.join(presets())}; avzsl methods lists those of the other "
        "methods"
    )


def _merge(tree: dict[str, Any], text: str, origin: str) -> None:
    """Put the settings of a YAML text into the tree.

    Values stay texts; the type of each setting converts them later. YAML 1.1 would read `off` as False and `1e-3` as a
    text.
    """
    document = parse_yaml(text, origin, texts_only=True) or {}
    if not isinstance(document, dict):
        raise UsageError(f"{origin}: expected sections such as training: and daan:")
    for section, values in document.items():
        if values and not isinstance(values, dict):
            raise UsageError(f"{origin}: {section} must hold settings, such as {section}: {{key: value}}")
        for number, (key, value) in enumerate(_flatten(values or {}, f"{section}.")):
            # An alias of YAML can repeat a part, or contain itself, so that a few lines never end.
            if number == _MOST_SETTINGS or key.count(".") > _DEEPEST or not _is_plain(value):
                raise UsageError(f"{origin}: {section} is nested deeper or longer than settings are")
            _assign(tree, key, value)


def _flatten(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the dotted keys and values of nested mappings, down to one level more than settings have."""
    for name, value in values.items():
        if isinstance(value, Mapping) and value and prefix.count(".") <= _DEEPEST:
            yield from _flatten(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _is_plain(value: object) -> bool:
    """Return whether a value is a text or a list of texts."""
    return isinstance(value, str) or (isinstance(value, list) and all(isinstance(entry, str) for entry in value))


def _assign(tree: dict[str, Any], key: str, value: Any) -> None:  # noqa: ANN401 - a text, or the value of an option
    if key not in setting_names():
        raise UsageError(f"unknown setting {key}.{_nearest_setting(key)} (all settings: avzsl train --show-config)")
    *sections, name = key.split(".")
    for section in sections:
        tree = tree.setdefault(section, {})
    tree[name] = _as_choice(key, value)


def _as_choice(key: str, value: Any) -> Any:  # noqa: ANN401 - as in `_assign`
    """Write a choice in the letters of its setting: `AVCA` is as good as `avca`; another value stays as it is."""
    if not isinstance(value, str):
        return value
    if key == f"{_EXTRACTOR}.weights":
        return weights_named(value)
    return next((choice for choice in _choices()[key] if choice.lower() == value.strip().lower()), value)


@functools.cache
def _choices() -> Mapping[str, tuple[str, ...]]:
    """Map every dotted key to the words that it may be."""
    words: dict[str, tuple[str, ...]] = {}
    for key, found in _choices_in(Settings, ""):
        words[key] = tuple(dict.fromkeys((*words.get(key, ()), *found)))  # an option that several extractors have
    return words


def _choices_in(section: type, prefix: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    for name, kind in get_type_hints(section).items():
        options = get_args(kind) if get_origin(kind) in {Union, UnionType} else (kind,)
        if all(dataclasses.is_dataclass(option) for option in options):
            for option in options:
                yield from _choices_in(option, f"{prefix}{name}.")
        else:
            words = [word for option in options if get_origin(option) is Literal for word in get_args(option)]
            yield f"{prefix}{name}", tuple(word for word in words if isinstance(word, str))


@functools.cache
def setting_names() -> tuple[str, ...]:
    """List every dotted key, such as training.epochs."""
    usual = [key for key, _ in _flatten(_tree_of(Settings()))]
    others = [f"{_EXTRACTOR}.{name}" for of in EXTRACTOR_OPTIONS.values() for name in of.__dataclass_fields__]
    return tuple(dict.fromkeys((*usual, *others)))


def _tree_of(settings: Settings) -> dict[str, Any]:
    """Convert all settings to plain values, section by section."""
    tree = dataclasses.asdict(settings)
    del tree["given"]
    return tree


def _nearest_setting(key: str) -> str:
    """Suggest the successor of an older setting, the same name in another section, or else the most similar key."""
    name = key.rpartition(".")[2]
    successors = _SUCCESSORS | {old.rpartition(".")[2]: new for old, new in _SUCCESSORS.items()}
    if key in successors:
        return f" Its successor is {successors[key]}."
    elsewhere = [known for known in setting_names() if known.rpartition(".")[2] == name]
    return f" Did you mean {' or '.join(elsewhere)}?" if elsewhere else did_you_mean(key, setting_names())


def _first_fault(error: pydantic.ValidationError) -> str:
    """Describe the first wrong setting: its key, its value and what is allowed.

    A setting that allows several types has one fault for each type; the location of the fault ends with the type.
    """
    faults = error.errors()
    first = faults[0]
    location = ".".join(_without_extractor(first["loc"]))
    if first["type"] == "value_error":  # from a section's own checks: the message begins with the name of a field
        return f"{location}.{first['ctx']['error']}"
    key = next(name for name in setting_names() if f"{location}.".startswith(f"{name}."))
    depth = key.count(".") + 1
    own = _without_extractor(first["loc"])[:depth]
    allowed = [_allowed(fault["msg"]) for fault in faults if _without_extractor(fault["loc"])[:depth] == own]
    hint = did_you_mean(str(first["input"]), _choices()[key])
    return f"{key} = {first['input']!r}: input should be {' or '.join(allowed)}.{hint}".removesuffix(".")


def _without_extractor(location: Sequence[int | str]) -> list[str]:
    """Return the place of a fault without the name of the extractor, which pydantic puts before its options."""
    parts = [str(part) for part in location]
    return [*parts[:2], *parts[3:]] if ".".join(parts[:2]) == _EXTRACTOR else parts


def _allowed(message: str) -> str:
    """Shorten `Input should be a valid integer, unable to parse string as an integer` to `a valid integer`."""
    return message.removeprefix("Input should be ").partition(", unable")[0]


def show_settings(settings: Settings) -> str:
    """Write the settings as YAML that --config can read; of the methods, only the one that is trained."""
    others = {section_of(method) for method in get_args(MethodName) if method != settings.training.method}
    shown = {name: section for name, section in _tree_of(settings).items() if name not in others}
    return yaml.dump(shown, Dumper=_Dumper, sort_keys=False, allow_unicode=True)


class _Dumper(yaml.SafeDumper):
    """Puts a text that cannot be printed in double quotes, in which YAML escapes its characters.

    In other quotes, PyYAML writes U+0085 as it is and reads this line break as a space.
    """


def _text_node(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=None if text.isprintable() else '"')


_Dumper.add_representer(str, _text_node)
