"""pipeline/cache_folder.py: where downloads are kept."""

from pathlib import Path

import pytest

from pipeline.cache_folder import cache_folder


def test_the_environment_chooses_the_cache_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """AVZSL_CACHE goes before the user's own cache folder."""
    monkeypatch.setenv("AVZSL_CACHE", str(tmp_path))

    assert cache_folder() == tmp_path


def test_a_tilde_means_the_home_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where no shell replaced it, as in a service's settings, ~ is still no folder of that name."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AVZSL_CACHE", "~/kept")

    assert cache_folder() == tmp_path / "kept"


@pytest.mark.parametrize("value", [None, ""])
def test_without_a_choice_it_is_the_users_cache_folder(monkeypatch: pytest.MonkeyPatch, value: str | None) -> None:
    """An unset or empty variable chooses nothing."""
    if value is None:
        monkeypatch.delenv("AVZSL_CACHE", raising=False)
    else:
        monkeypatch.setenv("AVZSL_CACHE", value)

    assert cache_folder().name == "avzsl"
    assert cache_folder().is_absolute()
