from pathlib import Path

import pytest

from cll.config import yaml_loader
from cll.pipeline.ingest.schema import form, rules
from cll.types.errors import ConfigError
from tests.build.profiles import COLUMNS, days, incidents, learnt

WHERE = "registry/schema.yaml"


def read(text, tmp_path: Path):
    path = tmp_path / "schema.yaml"
    path.write_text(text, encoding="utf-8")
    return form.from_tree(yaml_loader.load_yaml(path), WHERE)


def bent(**changes):
    return {"files": {**form.as_tree(learnt()), **changes}}


def test_an_unknown_key_is_refused_by_name():
    with pytest.raises(ConfigError, match=r"^registry/schema.yaml: files.colour: .*; restore it"):
        form.from_tree(bent(colour="red"), WHERE)


def test_a_value_of_another_type_is_refused_by_name():
    with pytest.raises(ConfigError, match=r"files.days: input should be a valid integer"):
        form.from_tree(bent(days="many"), WHERE)


def test_a_key_that_lacks_is_refused_by_name():
    tree = bent()
    del tree["files"]["columns"]["cpu_usage"]["median"]

    with pytest.raises(ConfigError, match=r"files.columns.cpu_usage.median"):
        form.from_tree(tree, WHERE)


def test_a_share_over_1_is_refused():
    tree = bent()
    tree["files"]["columns"]["cpu_usage"]["nulls"] = 1.5

    with pytest.raises(ConfigError, match=r"cpu_usage.nulls: input should be less than or equal"):
        form.from_tree(tree, WHERE)


def test_a_written_schema_reads_back_unchanged(tmp_path):
    sections = {"files": learnt(), "synthetic": learnt(units={"cpu_usage": "ratio"})}
    text = form.as_text(sections)

    assert read(text, tmp_path) == sections
    assert form.as_text(read(text, tmp_path)) == text


@pytest.mark.parametrize("name", ["1e5", "no", "null", "2026-01-01", "12", "a: b", "é", "*x", ""])
def test_a_group_of_any_name_reads_back(name, tmp_path):
    history = {date: {**one, "groups": {name: 3}} for date, one in days().items()}
    sections = {"files": rules.infer(history, COLUMNS, {}, incidents())}

    assert read(form.as_text(sections), tmp_path) == sections


def test_the_text_is_short_and_its_lines_too():
    text = form.as_text({"synthetic": learnt()})

    assert len(text.splitlines()) < 45
    assert max(map(len, text.splitlines())) <= 100
    assert "      median: [0.368, 0.552]\n" in text
