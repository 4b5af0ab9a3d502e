"""Servers and clients of a test."""

from __future__ import annotations

from tests.pytest_plugin.conftest import Run, text_of


def test_a_client_is_bound_to_the_mock_server_of_its_test(run: Run) -> None:
    """api_client calls mock_server, on a socket that other clients reach as well."""
    run(
        """
        import httpx

        def test_both(mock_server, api_client):
            assert api_client.get("/users/7").data["id"] == 7
            assert httpx.get(f"{mock_server.url}/users/7").json()["id"] == 7
            assert mock_server.journal.count(path="/users/7") == 2

        def test_another_server(mock_server):
            assert len(mock_server.journal) == 0
        """
    ).assert_outcomes(passed=2)


def test_marks_and_fixtures_configure_a_client_and_the_nearest_wins(run: Run) -> None:
    """Options come from api_client_config, then from the module's mark, then from the test's."""
    run(
        """
        import pytest
        from rest_api_client import APIClient, ServerError

        pytestmark = [pytest.mark.api_client(max_retries=1), pytest.mark.api_faults("error(500)")]

        class Own(APIClient):
            pass

        @pytest.fixture
        def api_client_config():
            return {"max_retries": 7, "params": {"from": "fixture"}, "retry_unsafe": False}

        def attempts(client):
            with pytest.raises(ServerError) as raised:
                client.get("/users/7")
            return len(raised.value.attempts)

        def test_module(api_client, mock_server):
            assert attempts(api_client) == 2
            assert mock_server.journal.entries[0].query == "from=fixture"

        @pytest.mark.api_client(Own, max_retries=0)
        def test_own(api_client):
            assert attempts(api_client) == 1
            assert type(api_client) is Own
        """
    ).assert_outcomes(passed=2)


def test_classes_of_clients_can_be_overridden(run: Run) -> None:
    """A suite for one's own client says its class once."""
    run(
        """
        import asyncio
        import pytest
        from rest_api_client import APIClient, AsyncAPIClient

        class Own(APIClient):
            def seventh(self):
                return self.get("/users/7").data["id"]

        class AsyncOwn(AsyncAPIClient):
            async def seventh(self):
                return (await self.get("/users/7")).data["id"]

        @pytest.fixture
        def api_client_class():
            return Own

        @pytest.fixture
        def async_api_client_class():
            return AsyncOwn

        def test_sync(api_client):
            assert api_client.seventh() == 7

        def test_async(async_api_client):
            assert asyncio.run(async_api_client.seventh()) == 7
            assert asyncio.run(async_api_client.seventh()) == 7

        def test_closed(async_api_client, api_client):
            assert not async_api_client.closed
        """
    ).assert_outcomes(passed=3)


def test_the_configuration_of_the_server_can_be_overridden(run: Run) -> None:
    """mock_server_config gives options of MockServer; None for its rules switches the check off."""
    run(
        """
        import httpx
        import pytest

        @pytest.fixture
        def mock_server_config():
            return {"resources": {"books": 3}, "rules": None}

        def test_books(mock_server, http_faults):
            assert len(httpx.get(f"{mock_server.url}/books").json()) == 3
            http_faults.add("error(429, retry_after=60)")
            with httpx.Client(base_url=mock_server.url) as client:
                for _ in range(3):
                    assert client.get("/books").status_code == 429
        """
    ).assert_outcomes(passed=1)


def test_broken_rules_fail_a_test_when_it_is_over_and_say_what_to_mend(run: Run) -> None:
    """A test that passed is in error at its teardown, with the rule, the requests and the mend; once."""
    result = run(
        """
        import httpx

        def test_impatient(mock_server, http_faults):
            http_faults.add("error(429, retry_after=60)")
            with httpx.Client(base_url=mock_server.url) as client:
                for _ in range(3):
                    client.get("/users/7")
        """
    )
    result.assert_outcomes(passed=1, errors=1)
    text = text_of(result)
    assert "broken: retry_after" in text
    assert "mend:" in text
    assert text.count("of good behaviour w") == 2  # in its place, and in the short summary
    assert "HTTP timeline" in text


def test_a_test_that_failed_gets_no_second_error(run: Run) -> None:
    """Broken rules are not reported on top of a failure."""
    run(
        """
        import httpx

        def test_fails(mock_server, http_faults):
            http_faults.add("error(429, retry_after=60)")
            with httpx.Client(base_url=mock_server.url) as client:
                for _ in range(3):
                    client.get("/users/7")
            assert False
        """
    ).assert_outcomes(failed=1)


def test_one_server_serves_a_session_and_each_test_is_judged_by_what_it_sent(run: Run) -> None:
    """mock_server_session is the same for all tests; one that breaks rules fails, the next does not."""
    run(
        """
        import httpx

        urls = set()

        def test_bad(mock_server_session):
            urls.add(mock_server_session.url)
            mock_server_session.faults = "rule=error(429, retry_after=60)"
            with httpx.Client(base_url=mock_server_session.url) as client:
                for _ in range(3):
                    client.get("/users/7")
            mock_server_session.faults = None

        def test_good(mock_server_session, api_client):
            urls.add(mock_server_session.url)
            assert api_client.get("/users/7").url.startswith(mock_server_session.url)
            assert len(urls) == 1

        def test_space(mock_server_session):
            space = mock_server_session.space("mine")
            assert httpx.get(f"{space.url}/users/7").status_code == 200
            assert len(space.journal) == 1
        """
    ).assert_outcomes(passed=3, errors=1)


def test_factories_make_a_server_and_a_client_for_each_example(run: Run) -> None:
    """make_... go with @given: no health check fails, each example has its own server, rules are checked in it."""
    run(
        """
        import pytest
        from hypothesis import given, settings, strategies as st
        from mockserver import BadBehaviour

        @settings(max_examples=10, deadline=None, database=None)
        @given(number=st.integers(1, 5))
        def test_examples(make_virtual_clock, make_mock_server, make_api_client, number):
            with make_virtual_clock() as clock, make_mock_server(resources={"users": 5}) as server:
                server.faults = "rule=rule(error(503, retry_after=30), first=1)"
                with make_api_client(server, deadline=600) as client:
                    assert client.get(f"/users/{number}").data["id"] == number
            assert clock.monotonic() >= 30
            assert len(server.journal) == 2

        @settings(max_examples=10, deadline=None, database=None)
        @given(number=st.integers(1, 5))
        def test_async_examples(make_virtual_clock, make_mock_server, make_async_api_client, number):
            with make_virtual_clock() as clock, make_mock_server() as server, make_async_api_client(server) as client:
                async def body():
                    return (await client.get(f"/users/{number}")).data["id"]
                assert clock.run_asyncio(body) == number

        def test_rules(make_virtual_clock, make_mock_server, make_api_client):
            with (
                pytest.raises(BadBehaviour, match="retry_after"),
                make_virtual_clock() as clock,
                make_mock_server() as server,
                make_api_client(server, retry=None, pacing=None, raise_for_status=False) as client,
            ):
                server.faults = "rule=error(429, retry_after=60)"
                for _ in range(3):
                    client.get("/users/7")
                    clock.sleep(1)
        """
    ).assert_outcomes(passed=3)


def test_a_factory_outside_of_a_test_says_where_it_belongs(run: Run) -> None:
    """A session's fixture that opens a block of a factory has no test to be judged in."""
    result = run(
        """
        import pytest

        @pytest.fixture(scope="session")
        def server(make_mock_server):
            with make_mock_server() as server:
                yield server

        def test_it(server):
            pass
        """
    )
    result.assert_outcomes(errors=1)
    assert "use make_mock_server(...) inside one" in text_of(result)


def test_tests_that_use_nothing_of_it_are_left_alone(run: Run) -> None:
    """Neither fixtures nor reports of other tests change."""
    run(
        """
        import pytest

        def test_plain(request, tmp_path):
            assert "_api_watch" not in request.fixturenames
            assert not any("Watch" in repr(value) for value in request.node.stash._storage.values())

        def test_ours(request, mock_server):
            assert "_api_watch" in request.fixturenames

        @pytest.mark.api_allow_network
        def test_marked(request):
            assert "_api_watch" not in request.fixturenames
        """
    ).assert_outcomes(passed=3)


def test_fixtures_of_wider_scope_are_made_before_the_network_is_shut(run: Run) -> None:
    """A session's database may be started by the first test that happens to use a fixture of ours."""
    run(
        """
        import socket
        import pytest

        @pytest.fixture(scope="session")
        def database():
            listener = socket.create_server(("127.0.0.1", 0))
            with listener, socket.create_connection(listener.getsockname()):
                yield listener

        def test_it(mock_server, database):
            pass
        """
    ).assert_outcomes(passed=1)


def test_a_test_that_failed_as_expected_gets_no_second_error(run: Run) -> None:
    """Nor one that was skipped in its middle."""
    run(
        """
        import httpx
        import pytest

        def misbehave(server):
            server.faults = "rule=error(429, retry_after=60)"
            with httpx.Client(base_url=server.url) as client:
                for _ in range(3):
                    client.get("/users/7")

        @pytest.mark.xfail
        def test_expected(mock_server):
            misbehave(mock_server)
            assert False

        def test_skipped(mock_server):
            misbehave(mock_server)
            pytest.skip("enough")
        """
    ).assert_outcomes(xfailed=1, skipped=1)


def test_a_fixture_that_is_asked_for_on_the_way_is_watched_too(run: Run) -> None:
    """request.getfixturevalue is enough: one error, with its timeline."""
    result = run(
        """
        import httpx

        def test_dynamic(request):
            server = request.getfixturevalue("mock_server")
            server.faults = "rule=error(429, retry_after=60)"
            with httpx.Client(base_url=server.url) as client:
                for _ in range(3):
                    client.get("/users/7")
            assert False
        """
    )
    result.assert_outcomes(failed=1)
    assert "HTTP timeline" in text_of(result)


def test_tests_of_unittest_use_marks_and_fixtures(run: Run) -> None:
    """By an autouse fixture of the class, as unittest has it; a mark brings its fixture along."""
    run(
        """
        import unittest
        import pytest

        class TestIt(unittest.TestCase):
            @pytest.fixture(autouse=True)
            def _client(self, api_client, mock_server):
                self.client, self.server = api_client, mock_server

            @pytest.mark.api_faults("error(503)", first=1)
            def test_it(self):
                self.assertEqual(len(self.client.get("/users/7").attempts), 2)
        """
    ).assert_outcomes(passed=1)


def test_fixtures_of_the_users_own_that_are_called_the_same_are_theirs(run: Run) -> None:
    """A suite that has a mock_server already goes on as before; one that builds on ours is watched."""
    run(
        """
        import socket
        import pytest

        @pytest.fixture
        def mock_server():
            with socket.create_server(("127.0.0.1", 0)) as listener:
                yield listener

        @pytest.fixture(scope="session")
        def make_api_client():
            return dict

        def test_theirs(mock_server, make_api_client, request):
            socket.create_connection(mock_server.getsockname()).close()
            assert "_api_watch" not in request.fixturenames
            assert make_api_client() == {}

        class TestOverridden:
            @pytest.fixture
            def api_client(self, api_client):
                api_client.headers["x-own"] = "1"
                return api_client

            @pytest.fixture
            def api_client_config(self):
                return {"base_url": "http://127.0.0.1:9"}

            def test_ours(self, api_client, request):
                assert "_api_watch" in request.fixturenames
                assert api_client.headers["x-own"] == "1"
        """
    ).assert_outcomes(passed=2)
