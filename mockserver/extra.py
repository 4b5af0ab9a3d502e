"""Says what to install, before anything of the mock server is imported that would fail without it."""

from importlib.util import find_spec

for _name in ("faker", "starlette", "uvicorn", "httptools", "regex", "yaml", "jsonpath_rfc9535"):
    if find_spec(_name) is None:
        raise ModuleNotFoundError(
            f"the mock server needs {_name}: pip install 'rest-api-client-kit[mockserver]'", name=_name
        )
