"""Settings: flat and nested, from the environment, contradictions refused."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from rest_api_client.config import APIConfig, ClientOptions, option_names
from rest_api_client.connection import ConnectionOptions
from rest_api_client.exceptions import ConfigurationError
from rest_api_client.keywords import FLAT
from rest_api_client.policies.circuit_breaker import CircuitBreaker
from rest_api_client.policies.rate_limiter import RateLimit
from rest_api_client.policies.retry import RetryConfig
from rest_api_client.transport import Timeouts


def test_the_defaults_are_the_documented_ones() -> None:
    """A client that is told nothing has timeouts, a deadline, retries, a breaker, pacing, and no limit of its own."""
    config = APIConfig()
    assert config.timeout == Timeouts(connect=5, read=30, write=30, pool=10)
    assert config.deadline == 60
    assert config.retry is not None
    assert config.retry.max_attempts == 3
    assert config.circuit_breaker is not None
    assert config.pacing is not None
    assert config.rate_limit is None
    assert config.connection.max_connections == 100


def test_equal_settings_are_equal_and_travel() -> None:
    """A config is a value: it compares, copies and pickles."""
    config = APIConfig.build(base_url="https://api.test", max_retries=4, rate_limit_calls=10, rate_limit_period=2)
    assert config == APIConfig.build(
        base_url="https://api.test", max_retries=4, rate_limit_calls=10, rate_limit_period=2
    )
    assert pickle.loads(pickle.dumps(config)) == config


@pytest.mark.parametrize(
    ("option", "value", "read"),
    [
        ("max_retries", 5, lambda c: c.retry.max_attempts - 1),
        ("retry_unsafe", True, lambda c: c.retry.retry_unsafe),
        ("max_connections", 7, lambda c: c.connection.max_connections),
        ("max_connections_per_host", 3, lambda c: c.connection.max_connections_per_host),
        ("keepalive_expiry", 2.5, lambda c: c.connection.keepalive_expiry),
        ("http2", True, lambda c: c.connection.http2),
        ("verify", False, lambda c: c.connection.verify),
        ("cert", "/tmp/cert.pem", lambda c: c.connection.cert),
        ("proxy", "http://proxy.test:3128", lambda c: c.connection.proxy),
        ("trust_env", False, lambda c: c.connection.trust_env),
        ("uds", "/tmp/socket", lambda c: c.connection.uds),
        ("max_redirects", 3, lambda c: c.redirects.max_redirects),
    ],
)
def test_a_flat_keyword_sets_the_nested_option(option: str, value: Any, read: Any) -> None:
    """Each flat keyword ends up where its policy or engine looks for it."""
    assert read(APIConfig.build(**{option: value})) == value


def test_following_redirects_can_be_switched_off_and_on() -> None:
    """`follow_redirects=False` is the client's word, which a call can still overrule; `True` brings the policy back."""
    off = APIConfig.build(follow_redirects=False).redirects
    assert off is not None
    assert off.follow is False
    assert APIConfig.build(APIConfig(redirects=None), follow_redirects=True).redirects is not None


def test_a_rate_limit_period_needs_calls() -> None:
    """Half a limit is an error that names the other half; None takes the limit away."""
    for half in ({"rate_limit_calls": 5}, {"rate_limit_period": 60}):
        with pytest.raises(ConfigurationError, match="give both"):
            APIConfig.build(**half)
    limited = APIConfig.build(rate_limit_calls=5, rate_limit_period=60)
    assert limited.rate_limit == RateLimit(calls=5, period=60)
    assert APIConfig.build(limited, rate_limit_period=30).rate_limit == RateLimit(calls=5, period=30)
    assert APIConfig.build(limited, rate_limit_calls=None).rate_limit is None


def test_an_unknown_option_is_refused_with_the_nearest_name() -> None:
    """A typing mistake never turns into a default."""
    with pytest.raises(ConfigurationError, match="max_retries"):
        APIConfig.build(max_retrys=5)
    with pytest.raises(ConfigurationError, match="known:"):
        APIConfig.build(zzzzzz=5)


@pytest.mark.parametrize(
    "options",
    [
        {"max_retries": 2, "retry": RetryConfig(max_attempts=9)},
        {"max_retries": 2, "retry": None},
        {"rate_limit_calls": 2, "rate_limit": RateLimit(calls=3, period=1)},
        {"verify": False, "connection": ConnectionOptions(verify=True)},
    ],
)
def test_two_ways_that_contradict_are_refused(options: dict[str, Any]) -> None:
    """The same thing said twice and differently raises; the message names both."""
    with pytest.raises(ConfigurationError, match="contradicts"):
        APIConfig.build(**options)


def test_two_ways_that_agree_are_fine() -> None:
    """The same thing said twice and alike is no error."""
    both = APIConfig.build(
        verify=False, connection=ConnectionOptions(verify=False), max_retries=4, retry=RetryConfig(max_attempts=5)
    )
    assert both.connection.verify is False


@pytest.mark.parametrize(
    "options",
    [
        {"timeout": -1},
        {"timeout": "5"},
        {"timeout": True},
        {"deadline": 0},
        {"deadline": float("nan")},
        {"max_retries": -1},
        {"max_retries": "many"},
        {"max_retries": True},
        {"clock": 5},
        {"base_url": 7},
        {"retry": 5},
        {"limits": None},
        {"connection": None},
        {"circuit_breaker": True},
        {"max_connections": 0},
        {"keepalive_expiry": -1},
        {"headers": {"x": "a\r\nb: c"}},
        {"uds": "/tmp/s", "proxy": "http://p.test"},
        {"raise_for_status": "false"},
        {"attempt_headers": 1},
        {"follow_redirects": "false"},
        {"retry_unsafe": "false"},
        {"http2": "no"},
        {"trust_env": 0},
        {"verify": 0},
        {"uds": 5},
        {"cert": 5},
        {"proxy": 5},
        {"resolver": 5},
        {"cookies": 5},
        {"params": 5},
        {"random": []},
        {"classify": 5},
        {"events": [5]},
    ],
)
def test_a_bad_value_is_refused_when_the_client_is_made(options: dict[str, Any]) -> None:
    """Nothing has to be sent to find a bad option."""
    with pytest.raises(ConfigurationError):
        APIConfig.build(**options)


def test_a_number_of_seconds_sets_every_phase_and_none_lifts_all() -> None:
    """`timeout=3` is 3 s for each phase."""
    assert APIConfig.build(timeout=3).timeout == Timeouts.all(3)
    assert APIConfig.build(timeout=None).timeout == Timeouts.all(None)


def test_the_environment_is_read_by_name_and_kind() -> None:
    """Numbers, booleans, `none` and paths come out as what the option wants."""
    config = APIConfig.from_env(
        environ={
            "REST_API_CLIENT_BASE_URL": "https://api.test/v1",
            "REST_API_CLIENT_MAX_RETRIES": "7",
            "REST_API_CLIENT_DEADLINE": "none",
            "REST_API_CLIENT_TIMEOUT": "2.5",
            "REST_API_CLIENT_VERIFY": "/etc/ca.pem",
            "REST_API_CLIENT_TRUST_ENV": "off",
            "REST_API_CLIENT_RATE_LIMIT_CALLS": "10",
            "REST_API_CLIENT_RATE_LIMIT_PERIOD": "1.5",
            "UNRELATED": "x",
        }
    )
    assert config.base_url == "https://api.test/v1"
    assert config.retry is not None
    assert config.retry.max_attempts == 8
    assert config.deadline is None
    assert config.timeout == Timeouts.all(2.5)
    assert config.connection.verify == "/etc/ca.pem"
    assert config.connection.trust_env is False
    assert config.rate_limit == RateLimit(calls=10, period=1.5)
    assert APIConfig.from_env(environ={"REST_API_CLIENT_VERIFY": "no"}).connection.verify is False


def test_what_the_program_says_wins_over_the_environment() -> None:
    """Options given to `from_env` stand above the variables."""
    config = APIConfig.from_env(environ={"REST_API_CLIENT_DEADLINE": "5"}, deadline=9)
    assert config.deadline == 9


def test_the_real_environment_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a mapping, `os.environ` is read, with any prefix."""
    monkeypatch.setenv("MYAPP_MAX_RETRIES", "1")
    config = APIConfig.from_env("MYAPP_")
    assert config.retry is not None
    assert config.retry.max_attempts == 2


@pytest.mark.parametrize(
    ("variable", "value", "hint"),
    [
        ("REST_API_CLIENT_MAX_RETRIEZ", "5", "MAX_RETRIES"),
        ("REST_API_CLIENT_QQQQ", "5", "unknown option 'QQQQ'; known: "),
        ("REST_API_CLIENT_MAX_RETRIES", "five", "cannot be read"),
        ("REST_API_CLIENT_HTTP2", "maybe", "true or false"),
    ],
)
def test_a_variable_that_cannot_be_used_is_an_error(variable: str, value: str, hint: str) -> None:
    """A misspelt variable, or one that cannot be read, names itself."""
    with pytest.raises(ConfigurationError, match=hint):
        APIConfig.from_env(environ={variable: value})


def test_a_config_shows_no_secret() -> None:
    """The repr of settings has no header, cookie, certificate, proxy password or key in it."""
    config = APIConfig.build(
        headers={"Authorization": "Bearer hunter2"},
        params={"api_key": "hunter2"},
        cookies={"sid": "hunter2"},
        auth=("ada", "hunter2"),
        proxy="http://ada:hunter2@proxy.test",
        cert="/hunter2.pem",
    )
    assert "hunter2" not in repr(config)
    at_home = APIConfig(base_url="https://ada:hunter2@api.test", allow_origins=["https://ada:hunter2@b.test"])
    assert "hunter2" not in repr(at_home)
    assert "api.test" in repr(at_home)


@pytest.mark.parametrize(
    "options",
    [
        {"base_url": b"https://ada:hunter2@api.test"},
        {"proxy": "http://ada:hunter2@p.test", "connection": ConnectionOptions()},
        {"proxy": ["http://ada:hunter2@p.test"]},
        {"cert": ("a.pem", "b.pem", "hunter2"), "connection": ConnectionOptions()},
        {"cookies": [("sid", "hunter2")]},
    ],
)
def test_a_refused_setting_shows_no_secret(options: dict[str, Any]) -> None:
    """The error about an option that may hold a password names it and keeps its value."""
    with pytest.raises(ConfigurationError) as refused:
        APIConfig.build(**options)
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(("elsewhere", "here"), [("transport", "engine"), ("allow_redirects", "follow_redirects")])
def test_what_other_clients_call_an_option_is_understood(elsewhere: str, here: str) -> None:
    """A name that is another client's gets ours as the suggestion."""
    with pytest.raises(ConfigurationError, match=here):
        APIConfig.build(**{elsewhere: None})


@pytest.mark.parametrize("option", ["events", "middleware", "policies", "allow_origins"])
def test_a_single_thing_where_a_list_belongs_is_refused(option: str) -> None:
    """A function or a str in the place of a list says so at once."""
    for value in (print, "https://api.test"):
        with pytest.raises(ConfigurationError, match="give a list"):
            APIConfig.build(**{option: value})


def test_type_checkers_know_every_option() -> None:
    """`ClientOptions` has exactly the names that a client takes."""
    assert ClientOptions.__annotations__.keys() == option_names()


def test_every_flat_keyword_is_an_option() -> None:
    """The list of options has the flat and the nested ones."""
    assert set(FLAT) <= option_names()
    assert {"base_url", "retry", "circuit_breaker"} <= option_names()
    assert APIConfig.build(circuit_breaker=None).circuit_breaker is None
    assert isinstance(APIConfig().circuit_breaker, CircuitBreaker)
