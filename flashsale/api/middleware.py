"""The one middleware: failures become problems, answers are counted, a draining worker closes its connections."""

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler

from flashsale.api import problems
from flashsale.api.cors import CORS
from flashsale.api.problems import Problem
from flashsale.api.state import DRAIN, SHOP

log = structlog.get_logger(__name__)
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"})


@web.middleware
async def answer(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Wraps every handler, aiohttp's own refusals included."""
    response: web.StreamResponse
    cors = request.app.get(CORS)
    try:
        response = (cors and cors.preflight(request)) or await handler(request)
    except Problem as problem:
        response = problem.response()
    except web.HTTPException as error:
        response = problems.of_http_exception(error, request).response()
    except Exception as error:
        known = problems.of_error(error)
        if known is None:
            log.exception("http.internal_error", method=request.method, route=_route(request))
            known = problems.internal()
        response = known.response()
    if request.app[DRAIN].active:
        response.force_close()
    method = request.method if request.method in _METHODS else "OTHER"
    request.app[SHOP].requests.http[method, _route(request), response.status] += 1
    return response


def _route(request: web.Request) -> str:
    """The path pattern, so that ids do not become labels."""
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else "unknown"
