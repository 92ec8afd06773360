import pytest

from tests.build import small


@pytest.fixture(scope="module")
def fleet(tmp_path_factory):
    return small.fleet(tmp_path_factory)


@pytest.fixture
def folder(tmp_path):
    return small.project(tmp_path / "project").root
