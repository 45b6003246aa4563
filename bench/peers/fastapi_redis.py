"""FastAPI and redis-py on uvicorn: one EVALSHA per request. `python -m bench.peers.fastapi_redis PORT`."""

import os
import secrets
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import fastapi
import uvicorn
from pydantic import BaseModel, Field
from redis.asyncio import BlockingConnectionPool, Redis

SCRIPT = (Path(__file__).parent / "reserve.lua").read_text(encoding="utf-8")
POOL_SIZE = 64
SOLD_OUT = {"type": "about:blank", "title": "Sold out", "status": 409, "code": "sold_out"}


class Line(BaseModel):
    sku: str
    quantity: int = Field(ge=1)


class Order(BaseModel):
    items: list[Line] = Field(min_length=1, max_length=1)


def build_app() -> Any:
    kept: dict[str, Any] = {}

    @asynccontextmanager
    async def lifespan(_app: Any) -> AsyncIterator[None]:
        pool = BlockingConnectionPool.from_url(os.environ["RACE_REDIS_URL"], max_connections=POOL_SIZE)
        redis: Any = Redis(connection_pool=pool)
        kept.update(redis=redis, sha=await redis.script_load(SCRIPT))
        yield
        await redis.aclose()
        await pool.disconnect()

    async def reserve(sale: str, order: Order) -> Any:
        (line,) = order.items
        reservation = secrets.token_hex(8)
        keys = f"peer:{{{sale}}}:stock:{line.sku}", f"peer:{{{sale}}}:reservations"
        if not await kept["redis"].evalsha(kept["sha"], 2, *keys, reservation, line.quantity):
            return fastapi.responses.JSONResponse(SOLD_OUT, 409, media_type="application/problem+json")
        told = {"id": reservation, "sale": sale, "status": "held", "items": [line.model_dump()]}
        return fastapi.responses.JSONResponse(told, 201)

    app = fastapi.FastAPI(lifespan=lifespan)
    app.add_api_route("/v1/sales/{sale}/reservations", reserve, methods=["POST"])
    return app


if __name__ == "__main__":
    uvicorn.run(
        build_app(), host="127.0.0.1", port=int(sys.argv[1]), loop="uvloop", http="httptools",
        access_log=False, log_level="warning", timeout_keep_alive=3600,
    )  # fmt: skip
