import pytest
from hypothesis import given
from hypothesis import strategies as st

from cll.config import secret_values
from cll.types.errors import SecurityRefusal

SECRET = "n0-guess-4-this"  # noqa: S105  of nobody
trees = st.recursive(
    st.sampled_from([SECRET, f"https://user:{SECRET}@db/x", f"a{SECRET}b"]),
    lambda inner: (
        st.lists(inner, min_size=1, max_size=3)
        | st.dictionaries(st.sampled_from(["a", "b", SECRET]), inner, min_size=1, max_size=2)
    ),
    max_leaves=5,
)


@pytest.fixture(autouse=True)
def _environment(monkeypatch):
    for name in list(secret_values._secrets()):
        monkeypatch.delenv(name)


def refuse(tree, *names):
    secret_values.refuse(tree, "params.yaml", lambda: {*names})


@given(trees)
def test_a_secret_is_refused_wherever_it_stands_and_the_message_does_not_hold_it(tree):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STORE_TOKEN", SECRET)
        with pytest.raises(SecurityRefusal, match=r"environment variable STORE_TOKEN") as caught:
            refuse({"first": 1, "tree": tree})
    assert SECRET not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "name",
    [
        *("PGPASSWORD", "DB_PASS", "MYSQL_PWD", "AWS_SECRET_ACCESS_KEY", "github_token", "APIKEY"),
        *("STORAGE_KEY", "SENTRY_DSN", "DB_CREDENTIALS", "BASIC_AUTH"),
    ],
)
def test_a_variable_is_secret_by_its_name(monkeypatch, name):
    monkeypatch.setenv(name, SECRET)
    with pytest.raises(SecurityRefusal, match=rf"^params.yaml.x: .* variable {name} may not"):
        refuse({"x": SECRET})


@pytest.mark.parametrize(
    "name", ["HOME", "PWD", "OLDPWD", "SSH_AUTH_SOCK", "PGPASSWORD_FILE", "KEYBOARD", "AUTHOR"]
)
def test_other_variables_are_no_secrets(monkeypatch, name):
    monkeypatch.setenv(name, SECRET)
    refuse({"x": SECRET})


def test_a_value_shorter_than_eight_characters_is_not_compared(monkeypatch):
    monkeypatch.setenv("A_TOKEN", "1234567")
    refuse({"x": "1234567"})
    monkeypatch.setenv("A_TOKEN", "12345678")
    with pytest.raises(SecurityRefusal, match="A_TOKEN"):
        refuse({"x": 12345678})


def test_a_value_that_a_url_writes_otherwise_is_the_same_value(monkeypatch):
    monkeypatch.setenv("A_TOKEN", "p@ss/word#1\n")
    with pytest.raises(SecurityRefusal, match="A_TOKEN"):
        refuse({"x": "https://host/?t=p%40ss%2Fword%231"})


def test_a_name_of_the_config_is_no_secret(monkeypatch):
    monkeypatch.setenv("A_TOKEN", "lightgbm")
    refuse({"estimator": "lightgbm"}, "lightgbm")
