"""pipeline/datasets/accents.py: the two forms of a name with accents."""

import json
import unicodedata
from pathlib import Path

import pytest

from pipeline.base.errors import UsageError
from pipeline.datasets.accents import stored_path
from pipeline.datasets.dataset import read_source
from pipeline.datasets.sources.activitynet import find_activitynet
from pipeline.datasets.sources.csv_list import find_csv
from pipeline.datasets.sources.folder import find_folder
from pipeline.datasets.sources.ucf101 import find_ucf101
from pipeline.datasets.sources.vggsound import find_vggsound

NFC = "caf\u00e9"
NFD = unicodedata.normalize("NFD", NFC)


def touch(folder: Path, *names: str) -> Path:
    """Write empty files."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


@pytest.fixture(autouse=True)
def _two_forms(tmp_path: Path) -> None:
    """Skip where the system stores both forms as one."""
    if (touch(tmp_path / "probe", NFC).parent / "probe" / NFD).exists():
        pytest.skip("this system stores one form only")


@pytest.mark.parametrize(
    "files",
    [(f"{NFC} scene/clip.mp4", f"{NFD} scene/clip.mp4"), (f"dog/{NFC}.mp4", f"dog/{NFD}.mp4")],
    ids=["folders", "files"],
)
def test_two_files_of_one_key_are_refused_with_both_names(tmp_path: Path, files: tuple[str, ...]) -> None:
    """The names look the same, so the message shows them with escapes."""
    folder = touch(tmp_path / "videos", *files, "cat/clip.mp4")
    for read in (read_source, find_folder):
        with pytest.raises(UsageError, match="differ only in how their accents are stored") as error:
            read(folder)
        assert "caf\\xe9" in str(error.value)
        assert "cafe\\u0301" in str(error.value)


def test_both_forms_of_a_folder_are_one_class(tmp_path: Path) -> None:
    """Files of different names do not collide."""
    read = read_source(touch(tmp_path / "videos", f"{NFC}/1.mp4", f"{NFD}/2.mp4"))
    assert read.classes == (NFC,)
    assert len(read.videos) == 2


@pytest.mark.parametrize("given", [NFC, NFD])
@pytest.mark.parametrize("stored", [NFC, NFD])
def test_a_list_finds_files_that_are_stored_in_the_other_form(tmp_path: Path, stored: str, given: str) -> None:
    """A manifest and a table of any other names find them."""
    touch(tmp_path, f"v/{stored} a/{stored}.mp4")
    table = tmp_path / "list.csv"
    table.write_text(f"path,class\nv/{given} a/{given}.mp4,{given}\n", encoding="utf-8")
    for videos in (find_csv(table).videos, read_source(table).videos):
        assert [video.path.exists() for video in videos] == [True]
        assert [(video.key, video.class_name) for video in videos] == [(f"v/{NFC} a/{NFC}.mp4", NFC)]


def test_a_path_that_exists_in_both_forms_stays(tmp_path: Path) -> None:
    """The other form counts only if the path as given does not exist."""
    touch(tmp_path, NFC, NFD)
    for name in (NFC, NFD, "\u00fc/nowhere"):
        assert stored_path(str(tmp_path / name)) == str(tmp_path / name)


def test_a_table_with_one_key_for_two_files_is_refused(tmp_path: Path) -> None:
    """The column video can give them two names."""
    touch(tmp_path, f"{NFC}.mp4", f"{NFD}.mp4")
    table = tmp_path / "list.csv"
    table.write_text(f"path,class\n{NFC}.mp4,a\n{NFD}.mp4,b\n", encoding="utf-8")
    with pytest.raises(UsageError, match=r"line 3: duplicate video: .* on line 2; give each row its own name"):
        find_csv(table)
    table.write_text(f"path,class,video\n{NFC}.mp4,a,1\n{NFD}.mp4,b,2\n", encoding="utf-8")
    assert len(find_csv(table).videos) == 2


def test_the_finders_of_benchmarks_compare_names_in_one_form(tmp_path: Path) -> None:
    """Files and lists may come from different systems."""
    ucf = find_ucf101(touch(tmp_path / "ucf", f"{NFD}/v_{NFD}_g01_c01.avi"))
    assert [(video.key, video.class_name) for video in ucf.videos] == [(f"v_{NFC}_g01_c01", NFC)]
    assert ucf.notes == ()
    with pytest.raises(UsageError, match="duplicate video"):
        find_ucf101(touch(tmp_path / "ucf", f"{NFD}/v_{NFC}_g01_c01.avi"))
    listing = tmp_path / "vggsound.csv"
    listing.write_text(f"{NFC},30,{NFD},train\n", encoding="utf-8")
    vgg = find_vggsound(touch(tmp_path / "vgg", f"{NFD}_000030.mp4"), listing)
    assert [(video.key, video.class_name) for video in vgg.videos] == [(f"{NFC}_000030", NFC)]
    assert vgg.notes == ()
    entry = {"duration": 9, "annotations": [{"label": NFD, "segment": [0, 5]}]}
    annotations = tmp_path / "annotations.json"
    annotations.write_text(json.dumps({"database": {NFC: entry}}))
    activity = find_activitynet(touch(tmp_path / "activity", f"v_{NFD}.mp4"), annotations)
    assert [(video.key, video.class_name) for video in activity.videos] == [(f"{NFC}_0", NFC)]
    assert activity.notes == ()
    annotations.write_text(json.dumps({"database": {NFC: entry, NFD: entry}}))
    with pytest.raises(UsageError, match="appears twice"):
        find_activitynet(tmp_path / "activity", annotations)
