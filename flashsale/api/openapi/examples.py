"""One sale, told in examples: what is sent and answered, the same throughout the document."""

from typing import Any, Final

Json = dict[str, Any]

PAYMENT: Final[Json] = {
    "methods": ["card", "alipay"],
    "deposit_percent": 10,
    "instalments": 36,
    "hold_extension_seconds": 0,
}
DEFINITION: Final[Json] = {
    "title": "Alfa Romeo Giulia Milano",
    "opens_at": "2026-12-01T10:00:00Z",
    "closes_at": "2026-12-01T12:00:00Z",
    "currency": "CNY",
    "limit_per_customer": 1,
    "hold_seconds": 300,
    "items": [{"sku": "giulia", "title": "Giulia Milano", "price": 33000000, "stock": 350}],
    "payment": {"methods": ["card", "alipay"], "deposit_percent": 10, "instalments": 36},
}
SALE: Final[Json] = {
    "id": "giulia-milano",
    "title": "Alfa Romeo Giulia Milano",
    "state": "open",
    "server_time": "2026-12-01T10:00:07.482Z",
    "opens_at": "2026-12-01T10:00:00.000Z",
    "closes_at": "2026-12-01T12:00:00.000Z",
    "currency": "CNY",
    "limit_per_customer": 1,
    "hold_seconds": 300,
    "items": [
        {
            "sku": "giulia",
            "title": "Giulia Milano",
            "price": 33000000,
            "stock": 350,
            "available": 212,
            "held": 121,
            "limit_per_customer": None,
        }
    ],
    "next_release_at": "2026-12-01T10:05:00.123Z",
    "payment": PAYMENT,
    "rehearsal": False,
}
RESERVATION: Final[Json] = {
    "id": "giulia-milano.0.q83vEjRWeJASNFZ4",
    "sale": "giulia-milano",
    "status": "held",
    "customer": "c-17",
    "items": [{"sku": "giulia", "quantity": 1}],
    "place": 17,
    "amount": 33000000,
    "amount_due": 3300000,
    "currency": "CNY",
    "held_until": "2026-12-01T10:05:00.123Z",
    "late": False,
    "payment_schedule": {"deposit": 3300000, "balance": 0, "instalments": [825000] * 36},
    "payment": None,
}
RESERVATION_PAYMENT: Final[Json] = {
    "status": "queued",
    "method": "card",
    "attempt": 1,
    "amount": 3300000,
    "currency": "CNY",
    "provider": None,
    "reference": None,
    "action": None,
    "error": None,
    "wait_seconds": 2,
}
DEAD_JOB: Final[Json] = {
    "id": "1796119207482-0",
    "kind": "refund",
    "reservation": "giulia-milano.0.q83vEjRWeJASNFZ4",
    "reference": "stripe:pi_3MtwBwLkdIwHu7ix28a3tqPa",
    "tries": 10,
    "error": "The account has too little money for this refund.",
    "at": "2026-12-01T11:02:31.044Z",
}
COUNTERS: Final[Json] = {"sku": "giulia", "stock": 350, "available": 212, "held": 121, "sold": 17}
STATS: Final[Json] = {
    "sale": "giulia-milano",
    "state": "open",
    "server_time": "2026-12-01T10:00:07.482Z",
    "items": [COUNTERS],
    "place": 140,
    "seq": 159,
    "live_holds": 121,
    "customers": 140,
    "reservations": 140,
    "next_release_at": "2026-12-01T10:05:00.123Z",
}
AUDIT: Final[Json] = {
    "sale": "giulia-milano",
    "ok": True,
    "facts": 159,
    "last_seq": 159,
    "findings": [],
    "items": [COUNTERS],
    "reservations": {"held": 121, "confirmed": 17, "cancelled": 2},
    "customers": 140,
    "last_place": 140,
    "money": [
        {
            "currency": "CNY",
            "charges": {"count": 18, "amount": 59400000},
            "orders": {"count": 17, "amount": 56100000},
            "refunding": {"count": 0, "amount": 0},
            "refunds": {"count": 1, "amount": 3300000},
        }
    ],
    "archive": {
        "seq": 157,
        "behind": 2,
        "orders": {"count": 17, "amount": 56100000},
        "refunds": {"count": 0, "amount": 0},
    },
    "orders": {"sequence": 17, "published": 17, "behind": 0},
}
RECONCILIATION: Final[Json] = {
    "sale": "giulia-milano",
    "ok": False,
    "charges": 19,
    "totals": [
        {"currency": "CNY", "fate": "order", "count": 17, "amount": 56100000},
        {"currency": "CNY", "fate": "refunding", "count": 1, "amount": 3300000},
        {"currency": "CNY", "fate": "refunded", "count": 1, "amount": 3300000},
    ],
    "open": [
        {
            "reference": "stripe:pi_3MtwBwLkdIwHu7ix28a3tqPa",
            "reservation": "giulia-milano.0.q83vEjRWeJASNFZ4",
            "amount": 3300000,
            "currency": "CNY",
            "problem": "giving it back was tried too often",
            "action": "flashsale payments dead retry giulia-milano",
        }
    ],
    "open_count": 1,
    "applied": 1,
    "settled": 0,
    "foreign": 0,
}
KEY: Final[Json] = {
    "id": "3f9a0c51d2e8",
    "name": "Order system",
    "scopes": ["orders"],
    "created_at": "2026-11-22T09:30:00.000Z",
}
GUEST: Final[Json] = {
    "token": "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJndWVzdC0xNyJ9.c2lnbmF0dXJl",
    "customer": "guest-17",
    "expires_at": "2026-12-01T11:00:00.000Z",
}
