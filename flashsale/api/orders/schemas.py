"""GET /schemas: what is in the data of every type of event, as JSON Schemas. They never change but by additions."""

from collections.abc import Mapping
from importlib.resources import files
from typing import Final

import orjson
from aiohttp import web

from flashsale.api.problems import Problem
from flashsale.model.events import EVENT_TYPES, VERSION, event_type, schema_id

MEDIA_TYPE: Final = "application/schema+json"
CACHED: Final = {"Cache-Control": "public, max-age=3600"}


def load_schemas() -> Mapping[str, bytes]:
    """The schemas by name, such as `reservation.confirmed.v1`, as they are shipped."""
    folder = files("flashsale") / "schemas"
    names = sorted(f"{fact_type}.v{VERSION}" for fact_type in EVENT_TYPES.values())
    return {name: (folder / f"{name}.json").read_bytes() for name in names}


def add_schemas(app: web.Application) -> None:
    """Adds the routes; what they answer does not change while the process runs."""
    schemas = load_schemas()
    index = orjson.dumps(
        {
            "schemas": [
                {
                    "type": event_type(fact_type),
                    "id": schema_id(fact_type),
                    "path": f"/schemas/{fact_type}.v{VERSION}.json",
                }
                for fact_type in sorted(EVENT_TYPES.values())
            ]
        }
    )

    async def list_all(_request: web.Request) -> web.Response:
        return web.Response(body=index, content_type="application/json", headers=CACHED)

    async def read(request: web.Request) -> web.Response:
        schema = schemas.get(request.match_info["schema"])
        if schema is None:
            raise Problem("not_found", "There is no such schema: GET /schemas lists them.")
        return web.Response(body=schema, content_type=MEDIA_TYPE, headers=CACHED)

    app.router.add_get("/schemas", list_all)
    app.router.add_get("/schemas/{schema:[^/]+}.json", read)
