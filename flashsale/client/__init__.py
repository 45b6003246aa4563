"""The Python client: the feed of orders for order systems, and one method for each call of the HTTP API.

    async for order in OrderFeed("http://127.0.0.1:8080", api_key, cursor="orders.cursor"):
        print(order.sequence, order.status, order.reservation)

    async with Client("http://127.0.0.1:8080", api_key) as client:
        await client.put_sale("giulia-milano", definition)

Of the rest of the package it imports only the model, so whoever uses it runs no part of a server.
"""

from flashsale.client.api import AUDIT_TIMEOUT_SECONDS, DEFAULT_TIMEOUT_SECONDS, NO_TIMEOUT, Client
from flashsale.client.books import Books
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
from flashsale.client.feed import NOW, OrderFeed
from flashsale.client.orders import Charge, Item, Order, PaymentSchedule, Refund
from flashsale.client.shapes import Guest, Line, OrdersSummary, OrderSums, PaymentView, ReservationView
from flashsale.model.events import Tally

__all__ = [
    "AUDIT_TIMEOUT_SECONDS",
    "DEFAULT_TIMEOUT_SECONDS",
    "NOW",
    "NO_TIMEOUT",
    "ApiError",
    "Books",
    "Charge",
    "Client",
    "CursorStore",
    "CursorStoreError",
    "FileCursor",
    "GapError",
    "Guest",
    "Item",
    "Json",
    "Line",
    "MemoryCursor",
    "Order",
    "OrderFeed",
    "OrderFeedError",
    "OrderSums",
    "OrdersSummary",
    "PaymentSchedule",
    "PaymentView",
    "Refund",
    "ReservationView",
    "Tally",
    "UnreachableError",
    "UnreadableOrderError",
]
