"""Addresses that may be used, and to which of them which key belongs."""

import pytest

from llm_magics.errors import InputError, ModelNotFound
from llm_magics.models.backends.openai.endpoint import Endpoint, find_endpoint


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    for name in ("LLM_MAGICS_ENDPOINT", "LLM_MAGICS_API_KEY", "OPENAI_BASE_URL", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("http://127.0.0.1:8000/v1/", "http://127.0.0.1:8000"),
        ("https://models.example/v1", "https://models.example"),
        ("https://Models.Example:443/v1", "https://models.example"),
        ("http://[::1]:8000/v1", "http://[::1]:8000"),
    ],
)
def test_an_address_has_an_origin(url, origin):
    endpoint = Endpoint(url)
    assert endpoint.origin == origin
    assert not endpoint.url.endswith("/")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "nowhere",
        "file:///etc/passwd",
        "gopher://127.0.0.1/",
        "ftp://host/v1",
        "http://",
        "http://host:port/v1",
        "http://h/v1?k=1",
        "http://h/v1#x",
        "http://169.254.169.254/v1",
        "http://[fe80::1]/v1",
        "http://2852039166/v1",
        "http://0xa9fea9fe/v1",
        "http://[::ffff:169.254.169.254]/v1",
        "http://0.0.0.0:8000/v1",
        "http://host /v1",
        "http://h\nost/v1",
        7,
        None,
    ],
)
def test_what_is_no_address_of_a_model_server_is_refused(url):
    with pytest.raises(InputError):
        Endpoint(url)


def test_a_password_in_an_address_is_refused_and_not_repeated():
    for url in (
        "http://me:hunter2@host/v1",
        "gopher://me:hunter2@host/v1",
        "http://me:hunter2@host:port/v1",
    ):
        with pytest.raises(InputError) as caught:
            Endpoint(url)
        assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "options", [{"deadline_s": 0}, {"deadline_s": float("nan")}, {"tries": 0}, {"max_bytes": True}]
)
def test_limits_that_make_no_sense_are_refused(options):
    with pytest.raises(InputError, match=next(iter(options))):
        Endpoint("http://localhost/v1", **options)


def test_what_is_configured_goes_before_the_environment_and_nothing_is_an_error(environment):
    with pytest.raises(ModelNotFound, match="LLM.endpoint"):
        find_endpoint()
    environment.setenv("OPENAI_BASE_URL", "http://localhost:1/v1")
    assert find_endpoint().url == "http://localhost:1/v1"
    environment.setenv("LLM_MAGICS_ENDPOINT", "http://localhost:2/v1")
    assert find_endpoint().url == "http://localhost:2/v1"
    assert find_endpoint("http://localhost:3/v1").url == "http://localhost:3/v1"
    assert find_endpoint(Endpoint("http://localhost:4/v1", tries=1)).tries == 1


def test_a_key_belongs_to_the_address_beside_it(environment):
    environment.setenv("OPENAI_API_KEY", "sk-openai")
    assert Endpoint("https://api.openai.com/v1").key() == "sk-openai"
    assert Endpoint("https://api.openai.com.evil.example/v1").key() is None
    assert Endpoint("https://api.openai.com:444/v1").key() is None
    environment.setenv("OPENAI_BASE_URL", "https://models.example/v1")
    assert Endpoint("https://api.openai.com/v1").key() is None
    assert Endpoint("https://models.example/other").key() == "sk-openai"
    environment.setenv("LLM_MAGICS_API_KEY", "ours")
    assert Endpoint("http://127.0.0.1:8000/v1").key() is None
    environment.setenv("LLM_MAGICS_ENDPOINT", "http://127.0.0.1:8000/v1")
    assert Endpoint("http://127.0.0.1:8000/v1").key() == "ours"
    assert Endpoint("http://127.0.0.1:8001/v1").key() is None


def test_a_key_does_not_travel_in_the_clear(environment):
    environment.setenv("LLM_MAGICS_API_KEY", "ours")
    environment.setenv("LLM_MAGICS_ENDPOINT", "http://models.example/v1")
    assert Endpoint("http://models.example/v1").key() is None
    environment.setenv("LLM_MAGICS_ENDPOINT", "https://models.example/v1")
    assert Endpoint("https://models.example/v1").key() == "ours"


def test_a_key_that_cannot_stand_in_a_header_is_refused_and_not_repeated(environment):
    environment.setenv("LLM_MAGICS_ENDPOINT", "https://models.example/v1")
    environment.setenv("LLM_MAGICS_API_KEY", "sk-secret\nX-Header: 1")
    with pytest.raises(InputError, match="LLM_MAGICS_API_KEY") as caught:
        Endpoint("https://models.example/v1").key()
    assert "secret" not in str(caught.value)


def test_the_key_is_not_in_the_repr(environment):
    environment.setenv("LLM_MAGICS_ENDPOINT", "http://127.0.0.1:8000/v1")
    environment.setenv("LLM_MAGICS_API_KEY", "sk-secret")
    endpoint = find_endpoint()
    assert endpoint.key() == "sk-secret"
    assert "secret" not in repr(endpoint)
