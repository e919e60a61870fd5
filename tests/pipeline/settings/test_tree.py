"""pipeline/settings/tree.py: defaults, preset, file, --set and options; messages about wrong settings."""

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from daan.config import DaanConfig
from pipeline.base.errors import StorageError, UsageError
from pipeline.settings.extraction import EXTRACTOR_OPTIONS
from pipeline.settings.training import TrainingSettings
from pipeline.settings.tree import (
    _SUCCESSORS,
    Settings,
    all_presets,
    given_settings,
    load_settings,
    presets,
    setting_names,
    show_settings,
)


def value_of(settings: Settings, key: str) -> Any:
    """Read the value of a dotted key."""
    value: Any = settings
    for name in key.split("."):
        value = getattr(value, name)
    return value


def test_without_given_settings_the_defaults_are_used() -> None:
    """Every stage works without an option."""
    assert load_settings() == Settings()


def test_every_setting_has_a_dotted_name() -> None:
    """This includes nested sections; a section itself is not a setting."""
    names = setting_names()

    assert {"training.epochs", "daan.beta", "extraction.extractor.width", "text.encoder", "holdout.seed"} <= set(names)
    assert "extraction.extractor" not in names
    assert len(names) == len(set(names))
    of_others = {
        f"extraction.extractor.{name}" for of in EXTRACTOR_OPTIONS.values() for name in of.__dataclass_fields__
    }
    assert of_others <= set(names)
    assert all(value_of(Settings(), name) is not None for name in names if name not in of_others)


@pytest.mark.parametrize("name", EXTRACTOR_OPTIONS)
def test_the_options_of_every_extractor_are_settings(name: str) -> None:
    """Their defaults can be shown and read again."""
    settings = load_settings(assignments=[f"extraction.extractor.name={name.upper()}"])
    assert settings.extraction.extractor == EXTRACTOR_OPTIONS[name]()
    assert f"name: {name}" in show_settings(settings)


@pytest.mark.parametrize(
    ("assignments", "message"),
    [
        (["extraction.extractor.name=clipclap"], "there is no extractor 'clipclap'; choose one of: selavi"),
        (
            ["extraction.extractor.name=clip-clap", "extraction.extractor.width=8"],
            "extraction.extractor.width is an option of selavi, not of clip-clap, which has weights, precision, clip",
        ),
        (["extraction.extractor.clap=x"], "extraction.extractor.clap is an option of clip-clap, not of selavi, which"),
        (
            ["extraction.extractor.name=clip-clap", "extraction.extractor.audio_window_seconds=0.5"],
            "extraction.extractor.audio_window_seconds is 0.5, must be 1 to 60",
        ),
        (
            ["extraction.extractor.name=clip-clap", "extraction.extractor.recipe=avca"],
            "extraction.extractor.recipe = 'avca': input should be 'default' or 'clipclap'",
        ),
    ],
)
def test_a_wrong_extractor_or_an_option_of_another_is_refused(assignments: list[str], message: str) -> None:
    """The message is one line with the names of the command line."""
    with pytest.raises(UsageError, match=re.escape(message)):
        load_settings(assignments=assignments)


def test_later_sources_win(tmp_path: Path) -> None:
    """The order is defaults, preset, file, --set, options; the option None was not given."""
    file = tmp_path / "mine.yaml"
    file.write_text("training:\n  epochs: 7\n  batch_pairs: 8\n  seed: 9\ndaan:\n")

    settings = load_settings(
        preset="sample",
        config_file=file,
        assignments=["training.batch_pairs=10", "training.seed=11", "training.seed=12"],
        options={"training.seed": 13, "training.epochs": None},
    )

    assert settings.training.patience_steps == 200  # from the preset
    assert settings.training.epochs == 7
    assert settings.training.batch_pairs == 10
    assert settings.training.seed == 13
    assert settings.training.learning_rate == TrainingSettings().learning_rate


@pytest.mark.parametrize("name", all_presets())
def test_every_preset_is_valid(name: str) -> None:
    """A preset with an old setting would fail here; a preset without an effect would be useless."""
    settings = load_settings(preset=name)
    assert settings != Settings()
    method = settings.training.method
    assert name in presets(method)
    assert settings.method_config == getattr(settings, method)
    assert method == "daan" or name.startswith(f"{method}-")


def test_the_presets_of_rivals_have_the_published_numbers() -> None:
    """Some of those of the design page (zoo.md, 3.1 and 3.7)."""
    avca, tcaf = load_settings(preset="avca-ucf-cls"), load_settings(preset="TCaF-VGGSound")
    assert (avca.avca.encoder_dropout, avca.avca.projection_dropout, avca.avca.decoder_dropout) == (0.2, 0.3, 0.5)
    assert (avca.avca.momentum, avca.training.batch_pairs, avca.training.steps_per_epoch) == (0.99, 256, 500)
    assert (tcaf.tcaf.depth, tcaf.tcaf.heads, tcaf.tcaf.head_width, tcaf.tcaf.attention_dropout) == (8, 6, 128, 0.5)
    assert (tcaf.training.learning_rate, tcaf.training.batch_pairs, tcaf.training.steps_per_epoch) == (7e-5, 64, 300)
    assert load_settings(preset="devise-vggsound").devise.dropout == 0
    assert load_settings(preset="ale-activitynet-cls").ale.normalise


def test_the_names_of_the_given_settings_are_kept() -> None:
    """They are known even if the value is the default; the written settings do not contain them."""
    settings = load_settings(assignments=["training.epochs=50", "extraction.extractor.width=64"])

    assert settings.given == {"training.epochs", "extraction.extractor.width"}
    assert settings == Settings()
    assert "given" not in show_settings(settings)


def test_an_unknown_preset_is_refused_with_the_known_ones() -> None:
    """The list is made from the files of the presets."""
    with pytest.raises(UsageError, match=r"unknown preset 'smaple'\. Did you mean sample\? Those of DAAN: .*ucf"):
        load_settings(preset="smaple")


@pytest.mark.parametrize(
    ("assignment", "value"),
    [
        ("training.learning_rate=1e-3", 1e-3),
        ("training.learning_rate=1E-3", 1e-3),
        ("training.learning_rate=.5", 0.5),
        ("training.learning_rate=1", 1.0),
        ("training.epochs=20", 20),
        ("training.epochs = 20 ", 20),
        ("training.standardise=false", False),
        ("training.standardise=off", False),
        ("daan.tcn_gap=exponential", "exponential"),
        ("daan.tcn_gap=5", 5),
        ("daan.qdma=off", "off"),
        ("daan.qdma=on", "on"),
        ("text.encoder=123", "123"),
        ("text.encoder=a=b: {c}.txt", "a=b: {c}.txt"),
        ("extraction.extractor.width=16", 16),
    ],
)
def test_the_type_of_a_setting_converts_its_value(assignment: str, value: Any) -> None:
    """YAML 1.1 would read `off` as False and `1e-3` as a text."""
    key = assignment.partition("=")[0].strip()

    found = value_of(load_settings(assignments=[assignment]), key)

    assert (found, type(found)) == (value, type(value))


@settings(deadline=None, max_examples=50)
@given(
    rate=st.floats(min_value=0, exclude_min=True, allow_infinity=False, allow_nan=False), form=st.sampled_from("gef")
)
def test_numbers_in_every_notation_are_read(rate: float, form: str) -> None:
    """The notations are those of Python's format codes g, e and f."""
    text = format(rate, f".17{form}")
    if float(text) > 0:
        assert load_settings(assignments=[f"training.learning_rate={text}"]).training.learning_rate == float(text)


@settings(deadline=None, max_examples=50)
@given(epochs=st.integers(1, 10**9), pairs=st.integers(2, 10**9), encoder=st.text(min_size=1).map(str.strip))
def test_set_uses_the_whole_text_after_the_first_equals_sign(epochs: int, pairs: int, encoder: str) -> None:
    """Texts stay texts, even if YAML would read them as something else."""
    settings = load_settings(
        assignments=[f"training.epochs={epochs}", f"training.batch_pairs={pairs}", f"text.encoder={encoder}"]
    )

    assert (settings.training.epochs, settings.training.batch_pairs) == (epochs, pairs)
    assert settings.text.encoder == encoder


@settings(deadline=None, max_examples=50)
@given(
    epochs=st.integers(1, 10**6),
    rate=st.floats(1e-300, 1e300),
    gap=st.integers(1, 99) | st.just("exponential"),
    qdma=st.sampled_from(["on", "off"]),
    encoder=st.text(st.characters(exclude_categories=["Cs"])) | st.sampled_from(["1e3", "null", "~", "- a", "#"]),
    standardise=st.booleans(),
)
@example(epochs=1, rate=1.0, gap=1, qdma="on", encoder="\x85", standardise=True)
@example(epochs=1, rate=1.0, gap=1, qdma="on", encoder="a\x85b \u2028\u2029\ufeff\r\n\t\x00\x7f", standardise=True)
def test_shown_settings_are_read_with_the_same_values(
    tmp_path_factory: pytest.TempPathFactory,
    epochs: int,
    rate: float,
    gap: Any,
    qdma: Any,
    encoder: str,
    standardise: bool,
) -> None:
    """`--config` can read the output of `--show-config`."""
    settings = dataclasses.replace(
        Settings(),
        daan=DaanConfig(tcn_gap=gap, qdma=qdma),
        training=TrainingSettings(epochs=epochs, learning_rate=rate, standardise=standardise),
        text=dataclasses.replace(Settings().text, encoder=encoder),
    )
    file = tmp_path_factory.mktemp("config") / "config.yaml"
    file.write_text(show_settings(settings), encoding="utf-8")

    assert load_settings(config_file=file) == settings
    assert yaml.safe_load(show_settings(settings))["training"]["learning_rate"] == pytest.approx(rate)


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("daan.betta", r"Did you mean daan\.beta\?"),
        ("epochs", r"Did you mean training\.epochs\?"),
        ("daan.epochs", r"Did you mean training\.epochs\?"),
        ("extraction.width", r"Did you mean extraction\.extractor\.width\?"),
        ("daan.dropout", r"Its successor is daan\.encoder_dropout\."),
        ("dropout", r"Its successor is daan\.encoder_dropout\."),
        ("daan.feedforward_multiple", r"Its successor is daan\.feedforward_width\."),
        ("training.patience_epochs", r"Its successor is training\.patience_steps\."),
        ("seed", r"Did you mean extraction\.extractor\.seed or holdout\.seed or training\.seed\?"),
        ("zzz", r"unknown setting zzz\. \(all settings"),
    ],
)
def test_an_unknown_setting_is_refused_with_a_similar_one(key: str, hint: str) -> None:
    """The exit code is 2; the message says which command shows all settings."""
    with pytest.raises(UsageError, match=hint) as caught:
        load_settings(assignments=[f"{key}=1"])

    assert str(caught.value).startswith(f"unknown setting {key}.")
    assert str(caught.value).endswith("(all settings: avzsl train --show-config)")
    assert caught.value.exit_code == 2


def test_the_successors_of_older_settings_exist() -> None:
    """An older name must not be in use again."""
    assert set(_SUCCESSORS.values()) <= set(setting_names())
    assert not set(_SUCCESSORS) & set(setting_names())


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("training.epochs=many", "training.epochs = 'many': input should be a valid integer"),
        ("training.epochs=", "training.epochs = '': input should be a valid integer"),
        ("training.epochs=3.5", "training.epochs = '3.5': input should be a valid integer"),
        ("training.epochs=true", "training.epochs = 'true': input should be a valid integer"),
        ("training.epochs=0", "training.epochs is 0, must be at least 1"),
        ("training.learning_rate=fast", "training.learning_rate = 'fast': input should be a valid number"),
        ("training.learning_rate=nan", "training.learning_rate = 'nan': input should be a finite number"),
        ("training.learning_rate=inf", "training.learning_rate = 'inf': input should be a finite number"),
        ("training.learning_rate=0", "training.learning_rate is 0.0, must be greater than 0"),
        ("training.weight_decay=-1", "training.weight_decay is -1.0, must be at least 0"),
        ("training.batch_pairs=1", "training.batch_pairs is 1, must be at least 2"),
        ("training.learning_rate_factor=2", "training.learning_rate_factor is 2.0, must be greater than 0 and less"),
        ("training.learning_rate_factor=0", "training.learning_rate_factor is 0.0, must be greater than 0 and less"),
        (
            "training.learning_rate_factor=1",
            "training.learning_rate_factor is 1.0, must be greater than 0 and less than 1; to keep the learning rate",
        ),
        ("training.seed=-1", "training.seed is -1, must be at least 0 and less than 2^63"),
        ("training.seed=9223372036854775808", "training.seed is 9223372036854775808, must be at least 0 and less "),
        ("training.standardise=perhaps", "training.standardise = 'perhaps': input should be a valid boolean"),
        ("holdout.unseen_fraction=1", "holdout.unseen_fraction is 1.0, must lie between 0 and 1"),
        ("extraction.dtype=float64", "extraction.dtype = 'float64': input should be 'float16' or 'float32'"),
        ("extraction.workers=-1", "extraction.workers is -1, must be auto or at least 1"),
        ("extraction.time_limit_seconds=inf", "extraction.time_limit_seconds = 'inf': input should be a finite number"),
        ("extraction.extractor.width=x", "extraction.extractor.width = 'x': input should be a valid integer"),
        ("extraction.extractor.width=0", "extraction.extractor.width is 0, must be at least 1"),
        ("daan.heads=7", "daan.hidden_width is 512, must be a multiple of 14, twice the heads (7)"),
        ("daan.tcn_gap=wide", "daan.tcn_gap = 'wide': input should be a valid integer or 'exponential'"),
        ("daan.qdma=maybe", "daan.qdma = 'maybe': input should be 'off' or 'on'"),
    ],
)
def test_a_wrong_value_is_refused_with_its_key_and_what_is_allowed(assignment: str, message: str) -> None:
    """The message is one line with the names of the command line."""
    with pytest.raises(UsageError) as caught:
        load_settings(assignments=[assignment])

    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_a_wrong_value_of_an_option_has_the_same_message() -> None:
    """The value of an option is a number already."""
    with pytest.raises(UsageError, match=r"training\.epochs is -3, must be at least 1"):
        load_settings(options={"training.epochs": -3})


@pytest.mark.parametrize("assignment", ["", "training.epochs", "=3", " = 3"])
def test_set_without_key_or_equals_sign_is_refused(assignment: str) -> None:
    """The message shows an example."""
    with pytest.raises(UsageError, match=r"expected section\.key=value, such as --set training\.epochs=20"):
        load_settings(assignments=[assignment])


@pytest.mark.parametrize("text", ["", "# nothing\n", "training:\n", "training: {}\ndaan:\n"])
def test_a_file_may_leave_out_every_setting(tmp_path: Path, text: str) -> None:
    """Sections may be missing or empty."""
    (tmp_path / "mine.yaml").write_text(text)

    assert load_settings(config_file=tmp_path / "mine.yaml") == Settings()


# Ten aliases of ten aliases, and so on: a walk through them has no end.
_LEVELS = (f"{{{', '.join(f'k{number}: *a{level}' for number in range(10))}}}" for level in range(11))
ALIASES = "training:\n  x0: &a0 {x: 1}\n" + "".join(
    f"  x{level}: &a{level} {text}\n" for level, text in enumerate(_LEVELS, start=1)
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("training: [", r"mine\.yaml is not YAML"),
        ("\x00", r"mine\.yaml is not YAML"),
        ("text", r"mine\.yaml: expected sections such as training: and daan:"),
        ("- a\n", r"mine\.yaml: expected sections"),
        ("training: 3", r"mine\.yaml: training must hold settings, such as training: \{key: value\}"),
        ("training: {epohcs: 3}", r"unknown setting training\.epohcs\. Did you mean training\.epochs\?"),
        ("training: {epochs: {a: 3}}", r"unknown setting training\.epochs\.a"),
        ("training: {epochs: [3]}", r"training\.epochs = \['3'\]: input should be a valid integer"),
        ("trainig: {epochs: 3}", r"unknown setting trainig\.epochs\. Did you mean training\.epochs\?"),
        (
            "training: {epochs: !!python/object/apply:os.system [exit]}",
            r"training\.epochs = \['exit'\]: input should be",
        ),
        ("training: " + "[" * 100_000, r"mine\.yaml is not YAML"),
        ("training: &a {b: *a}", r"is not YAML|nested deeper or longer"),
        ("daan: {heads: [[x]]}", r"daan is nested deeper or longer than settings are"),
        (ALIASES, r"unknown setting training\.x0\.x"),
    ],
)
def test_a_wrong_file_is_refused_with_one_line(tmp_path: Path, text: str, message: str) -> None:
    """The message names the file or the setting."""
    (tmp_path / "mine.yaml").write_text(text)

    with pytest.raises(UsageError, match=message) as caught:
        load_settings(config_file=tmp_path / "mine.yaml")

    assert "\n" not in str(caught.value)


def test_a_missing_file_is_refused_with_a_similar_name(tmp_path: Path) -> None:
    """A folder is refused too."""
    (tmp_path / "mine.yaml").touch()

    with pytest.raises(UsageError, match=r"mein\.yaml does not exist\. Did you mean .*mine\.yaml\?"):
        load_settings(config_file=tmp_path / "mein.yaml")
    with pytest.raises(UsageError):
        load_settings(config_file=tmp_path)


def test_a_file_in_another_encoding_is_refused(tmp_path: Path) -> None:
    """The message says that the file is not UTF-8."""
    (tmp_path / "mine.yaml").write_bytes(b"text: {encoder: \xe9}")

    with pytest.raises(StorageError, match="not a text file in UTF-8"):
        load_settings(config_file=tmp_path / "mine.yaml")


def test_given_settings_are_listed_even_with_their_default_value(tmp_path: Path) -> None:
    """They are given by an option, --set or a file."""
    file = tmp_path / "settings.yaml"
    file.write_text("extraction: {decoder: pyav}\ntraining: {epochs: 3}\n")
    given = given_settings(
        config_file=file,
        assignments=["extraction.dtype=float32"],
        options={"extraction.extractor.recipe": "avca", "extraction.extractor.width": None},
    )
    assert given.names_in("extraction") == {"decoder", "dtype", "extractor.recipe"}
    assert given_settings().names_in("extraction") == frozenset()
    assert given.validate().training.epochs == 3


def test_a_preset_is_named_in_any_case() -> None:
    """`UCF` is how the published code writes it."""
    assert load_settings(preset="UCF") == load_settings(preset="ucf")


@pytest.mark.parametrize(
    ("assignment", "found"),
    [
        ("extraction.decoder=PyAV", "extraction.decoder=pyav"),
        ("extraction.extractor.recipe=SeLaVi", "extraction.extractor.recipe=selavi"),
        ("extraction.extractor.weights=Untrained", "extraction.extractor.weights=untrained"),
        ("daan.csgm=OFF", "daan.csgm=off"),
    ],
)
def test_choices_may_be_in_any_case(assignment: str, found: str) -> None:
    """Names of the field are written in many ways; paths and texts stay as they are."""
    assert load_settings(assignments=[assignment]) == load_settings(assignments=[found])
    assert load_settings(assignments=["text.encoder=Vectors.TXT"]).text.encoder == "Vectors.TXT"
