from tests.build import small


def test_an_unknown_part_of_a_version_is_refused(folder):
    result = small.cll(folder, "release", "--bump", "middle")
    assert result.code == 2
    assert result.err == "cll: --bump=middle: write major, minor, patch.\n"


def test_an_empty_registry_has_no_version_at_any_date(folder):
    result = small.cll(folder, "registry", "at", "2026-01-31")
    assert result.code == 0
    assert result.out.startswith("none")
