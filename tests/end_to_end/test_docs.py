import re
from pathlib import Path

from tests.build import small

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_readme_shows_what_make_run_ends_with():
    shown = small.cll(ROOT, "show")
    assert shown.out.strip() in README


def test_every_link_of_the_docs_leads_to_a_file():
    for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_readme_names_every_choice_of_every_group():
    groups = ("source", "features", "label", "split", "estimator", "update", "trigger", "mirror")
    for group in (*groups, "experiment"):
        for choice in (ROOT / "conf" / group).glob("*.yaml"):
            assert f"`{choice.stem}`" in README


def test_the_changelog_has_a_place_for_what_comes():
    assert "## Unreleased" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
