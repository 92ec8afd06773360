import dataclasses
import io
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
import yaml
from rich.console import Console

from cll.maintenance import schema as maintenance_schema
from cll.pipeline.ingest.schema import file, rules
from cll.system import disk, frames
from cll.system import manifest as system_manifest
from cll.types.errors import Unavailable
from cll.types.tables import INCIDENTS, Columns
from tests.build.profiles import COLUMNS, NEXT, column, day, days, incidents, learnt, with_column

SETTINGS = Path(__file__).parents[2] / "conf" / "ingest" / "default.yaml"


@pytest.fixture
def project(tmp_path):
    tree = {
        "choices": {"source": "files"},
        "schema": "files",
        "source": {"signals": {"unit": {"cpu_usage": "percent"}}},
        "ingest": yaml.safe_load(SETTINGS.read_text(encoding="utf-8")),
    }
    (tmp_path / "resolved.yaml").write_text(yaml.safe_dump(tree), encoding="utf-8")
    file.write(tmp_path, {"files": learnt(units={"cpu_usage": "ratio"})})
    publish(tmp_path, days(), incidents())
    return tmp_path


def publish(root, profiles, counts):
    partitions = {date: {"rows": one["rows"], "profile": one} for date, one in profiles.items()}
    facts = {
        "columns": dataclasses.asdict(COLUMNS),
        "partitions": {**partitions, "2026-02-01": {"rows": 0}},
    }
    disk.write_json(root / "data" / "signals" / system_manifest.MANIFEST, {"facts": facts})
    rows = [
        ("a", datetime.fromisoformat(date).replace(tzinfo=UTC), None, None, None)
        for date, count in counts.items()
        for _ in range(count)
    ]
    frame = pl.DataFrame(rows, schema=INCIDENTS, orient="row")
    frames.write_frame(root / "data" / "signals" / "incidents.parquet", frame)


def refuse(root, profile):
    told = {
        "name": "files",
        "columns": dataclasses.asdict(COLUMNS),
        "profiles": {**days(), NEXT: profile},
    }
    disk.write_json(
        root / "reports" / file.REFUSED, {**told, "incidents": {**incidents(), NEXT: 22}}
    )


def printed(command, root):
    out = io.StringIO()
    code = command(root, Console(file=out, width=200, highlight=False))
    return code, out.getvalue()


def test_a_source_without_a_section_is_refused_with_those_there_are(project):
    file.write(project, {"synthetic": learnt()})

    with pytest.raises(Unavailable, match=r"no section files \(it has: synthetic\)"):
        maintenance_schema.show(project)


def test_a_project_without_a_schema_is_told_how_to_learn_one(project):
    (project / file.SCHEMA).unlink()

    with pytest.raises(Unavailable, match=r"it is not there yet\); `dvc repro` or `cll schema acc"):
        maintenance_schema.diff(project)


def test_nothing_ingested_is_nothing_to_learn_from(project):
    publish(project, {}, {})

    with pytest.raises(Unavailable, match="has no day to infer from"):
        maintenance_schema.accept(project)


def test_the_schema_of_the_source_that_is_chosen_is_shown(project):
    _, text = printed(maintenance_schema.show, project)

    assert "registry/schema.yaml: files, inferred from 14 days, 2026-01-01 to 2026-01-14" in text
    assert "cpu_usage      ratio           0.0368 to 1.1  0.0736 to 0.11  0.368 to 0.552" in text
    assert "group      web: 12" in text
    assert "outcome    failed in 0.0152 of the rows" in text
    assert "incidents  1.12 per entity and day, 1.02 to 1.27 a day" in text


def test_data_as_the_schema_says_differ_in_nothing(project):
    assert printed(maintenance_schema.diff, project) == (0, "files: as in registry/schema.yaml.\n")


def test_what_widens_a_range_differs_and_is_not_refused(project):
    publish(
        project, {**days(), NEXT: with_column("cpu_usage", column(0.8))}, {**incidents(), NEXT: 22}
    )
    code, text = printed(maintenance_schema.diff, project)

    assert code == 0
    assert "differs  columns.cpu_usage.median: [0.368, 0.552] -> [0.368, 0.8]" in text
    assert "refused" not in text


def test_what_ingest_refused_is_told_with_the_exit_code_of_a_refusal(project):
    refuse(project, with_column("cpu_usage", column(45.2)))
    code, text = printed(maintenance_schema.diff, project)

    assert code == 3
    assert "refused  cpu_usage: median 45.2 on 2026-01-15" in text


def test_what_was_refused_fits_once_it_is_accepted(project):
    refuse(project, with_column("cpu_usage", column(45.2)))
    _, text = printed(maintenance_schema.accept, project)

    assert "accepted columns.cpu_usage.median: [0.368, 0.552] -> [0.368, 45.2]" in text
    assert "files: inferred from 15 days of the refused data; commit it." in text
    assert printed(maintenance_schema.diff, project)[0] == 0


def test_to_accept_keeps_the_sections_of_other_sources(project):
    other = learnt()
    file.write(project, {"synthetic": other})
    _, text = printed(maintenance_schema.accept, project)

    assert (
        text == "registry/schema.yaml: files: inferred from 14 days of data/signals; commit it.\n"
    )
    found = file.read(project)
    assert found["synthetic"] == other
    assert found["files"] == learnt(units={"cpu_usage": "ratio"})


def test_what_another_source_had_refused_is_passed_over(project):
    refuse(project, with_column("cpu_usage", column(45.2)))
    told = disk.read_json(project / "reports" / file.REFUSED)
    disk.write_json(project / "reports" / file.REFUSED, {**told, "name": "agent_runs"})

    assert printed(maintenance_schema.diff, project) == (0, "files: as in registry/schema.yaml.\n")


def test_a_source_without_outcome_and_incidents_shows_neither(project, capsys):
    bare = Columns(numeric=COLUMNS.numeric)
    section = rules.infer({date: day(groups={}) for date in days()}, bare, {}, {})
    file.write(project, {"files": dataclasses.replace(section, incidents=None)})
    maintenance_schema.show(project)
    shown = capsys.readouterr().out

    assert "entities   20 a day" in shown
    assert "outcome" not in shown
    assert "incidents" not in shown


def test_a_stand_in_has_a_section_of_its_own(project):
    publish(project, {NEXT: day()}, {NEXT: 22})
    manifest = project / "data" / "signals" / system_manifest.MANIFEST
    told = disk.read_json(manifest)
    told["facts"]["fallback"] = "synthetic"
    disk.write_json(manifest, told)
    tree = yaml.safe_load((project / "resolved.yaml").read_text(encoding="utf-8"))
    tree["source"]["fallback"] = "synthetic"
    (project / "resolved.yaml").write_text(yaml.safe_dump(tree), encoding="utf-8")
    printed(maintenance_schema.accept, project)

    assert file.read(project)["synthetic"].since == NEXT
