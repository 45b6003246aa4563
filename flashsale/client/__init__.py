"""The Python client: calls of the HTTP API.

    async with Client("http://127.0.0.1:8080", api_key) as client:
        await client.put_sale("giulia-milano", definition)

It imports nothing else of this package but the model, so whoever uses it runs no part of a server.
"""

from flashsale.client.api import AUDIT_TIMEOUT_SECONDS, DEFAULT_TIMEOUT_SECONDS, NO_TIMEOUT, Client
from flashsale.client.errors import ApiError, Json, UnreachableError

__all__ = [
    "AUDIT_TIMEOUT_SECONDS",
    "DEFAULT_TIMEOUT_SECONDS",
    "NO_TIMEOUT",
    "ApiError",
    "Client",
    "Json",
    "UnreachableError",
]
