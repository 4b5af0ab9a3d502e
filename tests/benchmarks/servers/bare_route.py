"""One Starlette route on uvicorn, set up as the mock server's: what an answer costs without a mock server."""

import sys

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.benchmarks.loader import BODY


async def thing(request: Request) -> Response:
    """The same bytes as everybody's."""
    return Response(BODY, media_type="application/json")


if __name__ == "__main__":
    app = Starlette(routes=[Route("/things/7", thing)])
    uvicorn.run(app, port=int(sys.argv[1]), http="httptools", ws="none", lifespan="off", log_config=None)
