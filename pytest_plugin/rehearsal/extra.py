"""Says what to install, before anything here is imported that would fail without it."""

from importlib.util import find_spec

if find_spec("hypothesis") is None:
    raise ModuleNotFoundError(
        "rehearsals need hypothesis: pip install 'rest-api-client-kit[rehearsal]'", name="hypothesis"
    )
