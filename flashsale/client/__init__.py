"""The Python client: the feed of orders for order systems, and one method for each call of the HTTP API.

    async for order in OrderFeed("http://127.0.0.1:8080", api_key, cursor="orders.cursor"):
        print(order.sequence, order.status, order.reservation)

    async with Client("http://127.0.0.1:8080", api_key) as client:
        await client.put_sale("giulia-milano", definition)

Of the rest of the package it imports only the model, so whoever uses it runs no part of a server.
"""

from flashsale.client.api import AUDIT_TIMEOUT_SECONDS, DEFAULT_TIMEOUT_SECONDS, NO_TIMEOUT, Client
from flashsale.client.cursors import CursorStore, FileCursor, MemoryCursor
from flashsale.client.errors import (
    ApiError,
    CursorStoreError,
    GapError,
    Json,
    OrderFeedError,
    UnreachableError,
    UnreadableOrderError,
)
from flashsale.client.feed import OrderFeed
from flashsale.client.orders import Charge, Item, Order, PaymentSchedule, Refund

__all__ = [
    "AUDIT_TIMEOUT_SECONDS",
    "DEFAULT_TIMEOUT_SECONDS",
    "NO_TIMEOUT",
    "ApiError",
    "Charge",
    "Client",
    "CursorStore",
    "CursorStoreError",
    "FileCursor",
    "GapError",
    "Item",
    "Json",
    "MemoryCursor",
    "Order",
    "OrderFeed",
    "OrderFeedError",
    "PaymentSchedule",
    "Refund",
    "UnreachableError",
    "UnreadableOrderError",
]
