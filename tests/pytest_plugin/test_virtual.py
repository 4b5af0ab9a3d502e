"""Tests in virtual time: sync, asyncio and trio, whoever runs them."""

from __future__ import annotations

import pytest

from tests.pytest_plugin.conftest import Run, text_of


def test_servers_and_clients_are_in_process_on_the_clock_of_the_test(run: Run) -> None:
    """An hour's Retry-After is over at once; no socket is opened; sync and async tests, without any other plugin."""
    run(
        """
        import pytest

        pytestmark = [
            pytest.mark.api_faults("error(503, retry_after=3000)", first=1),
            pytest.mark.api_client(deadline=None, pacing=None),
        ]

        @pytest.fixture
        def api_client_config():
            from rest_api_client import RetryConfig
            return {"retry": RetryConfig(max_retry_after=3600)}

        def test_sync(virtual_clock, mock_server, api_client):
            assert api_client.get("/users/7").data["id"] == 7
            assert 3000 <= virtual_clock.monotonic() < 4000
            with pytest.raises(RuntimeError, match="no port"):
                mock_server.url

        async def test_async(virtual_clock, async_api_client):
            assert (await async_api_client.get("/users/7")).data["id"] == 7
            assert 3000 <= virtual_clock.monotonic() < 4000

        class TestMethods:
            async def test_method(self, async_api_client, virtual_clock):
                assert (await async_api_client.get("/users/7")).data["id"] == 7

            @pytest.mark.parametrize("number", [1, 2])
            async def test_parametrised(self, async_api_client, virtual_clock, number):
                assert (await async_api_client.get(f"/users/{number}")).data["id"] == number

        async def test_alone(virtual_clock):
            import asyncio
            await asyncio.sleep(3600)
            assert virtual_clock.monotonic() == 3600

        def test_threads(virtual_clock, mock_server, api_client):
            threads = [virtual_clock.thread(api_client.get, f"/users/{n}") for n in (1, 2, 3)]
            assert [thread.join().data["id"] for thread in threads] == [1, 2, 3]
        """
    ).assert_outcomes(passed=7)


def test_an_async_test_that_fails_in_virtual_time_shows_its_timeline_in_virtual_seconds(run: Run) -> None:
    """As any other test does."""
    result = run(
        """
        import pytest

        @pytest.mark.api_faults("error(503, retry_after=20)")
        async def test_it(virtual_clock, async_api_client):
            await async_api_client.get("/users/7")
        """
    )
    result.assert_outcomes(failed=1)
    assert "virtual seconds, a column" in text_of(result)
    assert "retry in 20." in text_of(result)


def test_the_plugin_of_anyio_runs_its_tests_on_the_clock(run: Run) -> None:
    """Tests marked anyio go by the clock on both backends, without a fixture of the user's; others by real time."""
    run(
        """
        import anyio
        import pytest

        pytestmark = pytest.mark.anyio

        async def test_both(virtual_clock, async_api_client, anyio_backend_name):
            await anyio.sleep(600)
            assert (await async_api_client.get("/users/7")).data["id"] == 7
            assert virtual_clock.monotonic() >= 600

        async def test_real(async_api_client):
            assert (await async_api_client.get("/users/7")).data["id"] == 7
        """
    ).assert_outcomes(passed=4)


def test_the_backend_of_anyio_can_still_be_chosen(run: Run) -> None:
    """An anyio_backend that has options of its own is left as it is."""
    run(
        """
        import pytest

        @pytest.fixture
        def anyio_backend(virtual_clock):
            return "trio", virtual_clock.backend_options("trio")

        @pytest.mark.anyio
        async def test_it(virtual_clock, async_api_client, anyio_backend_name):
            assert anyio_backend_name == "trio"
            assert (await async_api_client.get("/users/7")).data["id"] == 7
        """
    ).assert_outcomes(passed=1)


@pytest.mark.parametrize("how", ["run_asyncio", "run_trio"])
def test_a_sync_test_runs_a_loop_on_the_clock_itself(run: Run, how: str) -> None:
    """Where no plugin runs async tests, the clock does."""
    run(
        f"""
        def test_it(virtual_clock, async_api_client):
            async def main():
                return (await async_api_client.get("/users/7")).data["id"]
            assert virtual_clock.{how}(main) == 7
        """
    ).assert_outcomes(passed=1)


def test_without_the_clock_async_tests_are_not_ours(run: Run) -> None:
    """An async test without virtual_clock and without a plugin fails as pytest has it."""
    result = run(
        """
        async def test_it(async_api_client):
            pass
        """
    )
    result.assert_outcomes(failed=1)
    assert "async def functions are not natively supported" in text_of(result)


def test_nobody_left_to_wake_anybody_is_reported(run: Run) -> None:
    """A deadlock fails the test with who waits for what."""
    result = run(
        """
        import asyncio

        async def test_it(virtual_clock):
            await asyncio.Event().wait()
        """
    )
    result.assert_outcomes(failed=1)
    assert "everybody waits, and nobody is left to wake anybody" in text_of(result)


def test_marks_of_a_module_hold_for_tests_that_anyio_makes_two_of(run: Run) -> None:
    """A mark that brings a fixture does so for each backend, wherever the mark of anyio stands."""
    run(
        """
        import pytest

        pytestmark = [pytest.mark.anyio, pytest.mark.api_faults("error(503)", first=1)]

        async def test_it(virtual_clock, async_api_client):
            assert len((await async_api_client.get("/users/7")).attempts) == 2
        """
    ).assert_outcomes(passed=2)


def test_tests_that_a_conftest_marks_for_anyio_keep_what_their_own_marks_bring(suite: pytest.Pytester) -> None:
    """anyio's plugin makes such tests anew after the collection."""
    suite.makeconftest(
        """
        import pytest

        def pytest_collection_modifyitems(items):
            for item in items:
                item.add_marker(pytest.mark.anyio)
        """
    )
    suite.makepyfile(
        """
        import pytest

        @pytest.mark.api_faults("error(503)", first=1)
        async def test_it(request, virtual_clock, async_api_client):
            assert "http_faults" in request.fixturenames
            assert len((await async_api_client.get("/users/7")).attempts) == 2
        """
    )
    suite.runpytest_inprocess().assert_outcomes(passed=2)
