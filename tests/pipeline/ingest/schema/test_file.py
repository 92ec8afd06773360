import pytest

from cll.pipeline.ingest.schema import file
from cll.types.errors import ConfigError, SecurityRefusal
from tests.build.profiles import learnt


def test_a_damaged_schema_is_refused_with_the_way_back(tmp_path):
    file.write(tmp_path, {"files": learnt()})
    path = tmp_path / file.SCHEMA
    path.write_text(
        path.read_text(encoding="utf-8").replace("days: 14", "days: 0"), encoding="utf-8"
    )

    with pytest.raises(
        ConfigError, match=r"registry/schema.yaml: files.days: .*; restore it from git"
    ):
        file.read(tmp_path)


def test_an_alias_in_the_schema_is_refused(tmp_path):
    (tmp_path / file.SCHEMA).parent.mkdir()
    (tmp_path / file.SCHEMA).write_text("a: &x 1\nb: *x\n", encoding="utf-8")

    with pytest.raises(SecurityRefusal, match="aliases are refused"):
        file.read(tmp_path)


def test_a_project_without_a_schema_knows_no_source(tmp_path):
    assert file.read(tmp_path) == {}


def test_a_schema_that_is_written_reads_back(tmp_path):
    file.write(tmp_path, {"files": learnt()})

    assert file.read(tmp_path) == {"files": learnt()}


def test_a_section_is_named_by_the_source_that_was_read():
    tree = {"schema": "files", "source": {"fallback": "synthetic"}}

    assert file.source_name(tree, fell_back=False) == "files"
    assert file.source_name(tree, fell_back=True) == "synthetic"
