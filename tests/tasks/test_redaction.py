"""Passwords leave addresses and messages; what only looks like one stays."""

import pytest

from tasks.redaction import names_user, without_password, without_secrets


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://me:hunter2@db:5432/x?a=b@c", "postgresql://db:5432/x?a=b@c"),
        ("http://me:hunt/er2@hunter2@host/x", "http://host/x"),
        ("http://hunter2@host/x", "http://host/x"),
        ("http://me:hunter2@a,http://me:hunter2@b", "http://a,http://b"),
        ("http://me:hun?ter2@host/x?a=b@c", "http://host/x?a=b@c"),
        ("http://me:12345678/9@host/x", "http://host/x"),
        ("http://me:hunter2@[::1]:4200/api", "http://[::1]:4200/api"),
        ("http://me@[::1]/x", "http://[::1]/x"),
        ("a::https://me:hunter2@host/x", "a::https://host/x"),
        ("https:/me:hunter2@host/x", "https:/host/x"),  # after it was taken for a path
        ('["http://me:hunter2@h/x", "y@z"]', '["http://h/x", "y@z"]'),
        ("postgresql://db/x?user=me&password=hunter2", "postgresql://db/x?user=me&password=***"),
        ("https://h/x?X-Amz-Signature=hunter2&b=1", "https://h/x?X-Amz-Signature=***&b=1"),
        ("https://h/x?%74oken=hunter2", "https://h/x?%74oken=***"),
    ],
)
def test_secrets_of_addresses_are_taken_out(text: str, shown: str) -> None:
    assert without_password(text) == without_secrets(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "http://host:8080/@user/x",
        "s3://bucket/a@b:c",
        "http://h:5000?email=a@b",
        "http://h?email=a@b",
        "http://h:5000#a@b",
        "http://h:5000;email=a@b",
        "(http://h:5000)a@b",
        "http://host:4200:me@x",
        "http://[::1]:4200/api/@x",
        "http://[::1]:4200?email=a@b",
        "http://[fe80::1]/@x",
        "https://h/x?page=2&tokens=3&secretary=me",
        "C:/Users/me",
        "write to me@host: it is 3:1",
    ],
)
def test_all_else_stays_as_it_is(text: str) -> None:
    assert without_password(text) == text
    assert not names_user(text)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("AWS_SECRET_ACCESS_KEY", "hunter2/@x"),
        ("MLFLOW_TRACKING_PASSWORD", "hunter2/@x"),
        ("PREFECT_API_AUTH_STRING", "me:hunter2/@x"),
        ("PREFECT_API_KEY", "hunter2/@x"),
        ("HF_TOKEN", "hunter2/@x"),
        ("https_proxy", "http://me:hunter2%2F%40x@proxy:1"),
    ],
)
def test_what_the_environment_keeps_secret_is_not_repeated(
    variable: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    said = without_secrets("not hunter2/@x, nor hunter2%2F%40x")
    assert said == "not ***, nor ***"


def test_ordinary_variables_and_short_values_hide_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEYBOARD", "german")
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", "/token")
    monkeypatch.setenv("SOME_PASSWORD", "pass")
    monkeypatch.setenv("POSTGRES_PASSWORD_FILE", "/run/secrets/db")
    monkeypatch.setenv("CACHE_KEY", "corpus")
    monkeypatch.setenv("DEPLOY_SECRET", "s3:corpus")
    monkeypatch.setenv("USE_SECRETS", "enabled")
    monkeypatch.setenv("PYTHONPATH", "/a:/me:german@2")
    said = "german pass of /token, enabled for the corpus in /run/secrets/db"
    assert without_secrets(said) == said


def test_a_short_secret_is_hidden_where_it_stands_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_PASSWORD", "corpus")
    assert without_secrets("corpusmith: not corpus, nor my_corpus") == (
        "corpusmith: not ***, nor my_corpus"
    )
    monkeypatch.setenv("CLIENT_SECRET", "long-as-it-is")
    monkeypatch.setenv("STORAGE_TOKEN", "name:long-as-that")
    said = "xlong-as-it-isx, name:long-as-that, long-as-that"
    assert without_secrets(said) == "x***x, ***, long-as-that"
