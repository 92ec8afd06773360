import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cll.pipeline.ingest.readers import folders

NAME = st.text("ab[]*?!.- é", min_size=1, max_size=4).filter(lambda name: set(name) != {"."})
WILD = st.sampled_from(["*", "**", "?", "a*", "*.csv", "[ab]*", "[!a]*", "**.csv"])
FILE = st.tuples(st.lists(NAME, max_size=2), NAME, st.sampled_from([".csv", ".csv", ".txt"]))
PATTERN = st.lists(WILD | NAME, min_size=1, max_size=3).map("/".join)


def names(files):
    return ["/".join([*parts, f"{stem}{ending}"]) for parts, stem, ending in files]


def grown(root, files):
    """Write files where no file stands in the way of a folder, nor a folder in that of a file."""
    for name in files:
        place = Path(root, name)
        blocked = any(parent.is_file() for parent in place.parents)
        if not blocked and not place.exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            place.touch()
    return [found for found in Path(root).rglob("*") if found.is_file()]


def listed(path, *patterns):
    return {file.as_posix() for file in folders.listed(str(path), patterns).files}


@given(st.lists(FILE, min_size=1, max_size=6).map(names), st.lists(PATTERN, max_size=2), st.data())
@settings(max_examples=150, deadline=None)
def test_a_file_is_listed_if_and_only_if_its_name_fits_also_when_it_is_gone(files, patterns, data):
    with tempfile.TemporaryDirectory() as root:
        there = grown(root, files)
        some = st.sampled_from([*there, *(file.parent for file in there)]).map(str)
        path = data.draw(some | PATTERN.map(lambda pattern: f"{root}/{pattern}"))
        found = listed(path, *patterns)
        assert found == {str(file) for file in there if folders.fits(path, patterns, str(file))}
        gone = data.draw(st.sampled_from(there))
        gone.unlink()
        assert folders.fits(path, patterns, str(gone)) == (str(gone) in found)


@given(st.lists(FILE, min_size=1, max_size=6).map(names), st.data())
@settings(max_examples=60, deadline=None)
def test_a_path_that_exists_is_taken_literally_whatever_it_holds(files, data):
    with tempfile.TemporaryDirectory() as root:
        there = grown(root, files)
        path = data.draw(st.sampled_from([Path(root), *(file.parent for file in there)]))
        below = [file for file in there if file.is_relative_to(path) and file.suffix == ".csv"]
        visible = {str(f) for f in below if "/." not in f"/{f.relative_to(path).as_posix()}"}
        assert listed(path, "**") == visible


TREE = ["a.csv", "b.csv", "may/a.csv", "may/deep/c.csv", "june/a.csv", "[x]/a.csv", ".h/a.csv"]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("**", "a.csv b.csv may/a.csv may/deep/c.csv june/a.csv [x]/a.csv"),
        ("**/*", "a.csv b.csv may/a.csv may/deep/c.csv june/a.csv [x]/a.csv"),
        ("*", "a.csv b.csv"),
        ("*/*.csv", "may/a.csv june/a.csv [x]/a.csv"),
        ("may/**", "may/a.csv may/deep/c.csv"),
        ("./may//a.csv", "may/a.csv"),
        ("**/deep/*", "may/deep/c.csv"),
        ("[ab].csv", "a.csv b.csv"),
        ("[!a].csv", "b.csv"),
        ("[[]x]/*", "[x]/a.csv"),
        (".h/*", ""),
        ("../*/a.csv", ""),
        ("/a.csv", ""),
        ("", ""),
    ],
)
def test_a_pattern_names_the_same_files_on_every_version_of_python(tmp_path, pattern, expected):
    grown(tmp_path, TREE)
    assert listed(tmp_path, pattern) == {f"{tmp_path}/{name}" for name in expected.split()}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("m*/*.csv", "may/a.csv"),
        ("*", "a.csv b.csv may/a.csv june/a.csv [x]/a.csv"),
        ("**/deep", "may/deep/c.csv"),
        ("[x]", "[x]/a.csv"),  # it exists, so it is no set of letters
        ("[x]/[a].csv", "[x]/a.csv"),
        ("[j]une", "june/a.csv"),
        ("nowhere/*", ""),
        ("nowhere", ""),
        (".h", ".h/a.csv"),
    ],
)
def test_the_part_of_a_path_that_exists_is_literal_and_the_rest_a_glob(tmp_path, path, expected):
    grown(tmp_path, TREE)
    assert listed(tmp_path / path, "*") == {f"{tmp_path}/{name}" for name in expected.split()}
    assert folders.exists(str(tmp_path / path)) == bool(expected)


def test_a_file_of_a_folder_that_is_gone_with_it_still_fits(tmp_path):
    grown(tmp_path, ["b[x]/a.csv", "bx/a.csv"])
    shutil.rmtree(tmp_path / "b[x]")
    path = f"{tmp_path}/b[x]"
    assert folders.fits(path, ["**/*"], f"{path}/a.csv")
    assert folders.fits(path, ["**/*"], f"{tmp_path}/bx/a.csv")  # now that it is a glob


def test_relative_paths_stay_relative(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    grown(tmp_path, ["data/a.csv"])
    assert listed("data", "*") == listed("d*", "*") == listed(".", "*/*") == {"data/a.csv"}
    assert folders.fits(".", ["*/*"], "data/a.csv")


def test_a_linked_folder_may_be_named_and_is_not_entered_below(tmp_path):
    grown(tmp_path, ["real/day/a.csv"])
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert listed(tmp_path / "link", "**") == {f"{tmp_path}/link/day/a.csv"}
    assert listed(tmp_path / "l*", "**") == {f"{tmp_path}/link/day/a.csv"}
    assert listed(tmp_path, "**") == listed(tmp_path / "**", "*") == {f"{tmp_path}/real/day/a.csv"}
    found = folders.listed(str(tmp_path), ["*/*/*.csv"])
    assert found.skipped == (f"{tmp_path}/link: a symlink",)


def test_a_link_that_leads_round_in_a_circle_ends(tmp_path):
    grown(tmp_path, ["day/a.csv"])
    (tmp_path / "day" / "again").symlink_to(tmp_path)
    assert listed(tmp_path, "**/*.csv") == {f"{tmp_path}/day/a.csv"}
    assert listed(tmp_path / "**", "*.csv") == {f"{tmp_path}/day/a.csv"}


def test_a_name_that_is_not_utf8_is_passed_over_and_fits_nothing(tmp_path):
    name = os.fsencode(tmp_path) + b"/a\xff.csv"
    Path(os.fsdecode(name)).touch()
    found = folders.listed(str(tmp_path), ["*"])
    assert found.files == ()
    assert found.skipped == (f"{tmp_path}/a\\udcff.csv: a name that is not UTF-8",)
    assert not folders.fits(str(tmp_path), ["*"], os.fsdecode(name))


def test_a_path_with_a_too_long_name_matches_nothing(tmp_path):
    assert not folders.exists(f"{tmp_path}/{'a' * 300}")
