"""Every problem the API answers: its code, status, meaning, further members, and an example.

`code` is the stable name that programs go by; `type` is the anchor of the code on the documentation page. The
order is that of the statuses.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

Schema = dict[str, Any]

REASONS: Final = {
    400: "Bad request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not found",
    405: "Method not allowed",
    409: "Conflict",
    410: "Gone",
    413: "Content too large",
    415: "Unsupported media type",
    422: "Unprocessable content",
    500: "Internal server error",
    503: "Service unavailable",
}


@dataclass(frozen=True, slots=True)
class ProblemKind:
    """One kind of problem.

    `meaning` says when it is answered and what to do; `detail` is an example; `extra` and `example` are the
    schemas and example values of further members, which are always there; `headers` are the names of the headers
    it always has.
    """

    code: str
    status: int
    title: str
    meaning: str
    detail: str
    extra: Mapping[str, Schema] = field(default_factory=dict)
    example: Mapping[str, Any] = field(default_factory=dict)
    headers: tuple[str, ...] = ()

    @property
    def schema_name(self) -> str:
        """`sold_out` is described by the schema `ProblemSoldOut`."""
        return "Problem" + "".join(part.capitalize() for part in self.code.split("_"))

    def schema(self) -> Schema:
        """The JSON Schema of a problem of this kind."""
        return {
            "description": self.meaning,
            "examples": [self.instance()],
            "allOf": [
                {"$ref": "#/components/schemas/Problem"},
                {
                    "type": "object",
                    "required": [
                        "code",
                        "status",
                        *self.extra,
                    ],
                    "properties": {
                        "code": {"const": self.code},
                        "status": {"const": self.status},
                        **self.extra,
                    },
                },
            ],
        }

    def instance(self) -> dict[str, Any]:
        """An example of the whole problem."""
        return {
            "type": f"/docs#{self.code}",
            "title": self.title,
            "status": self.status,
            "code": self.code,
            "detail": self.detail,
            **self.example,
        }


_INSTANT: Final[Schema] = {"type": "string", "format": "date-time"}
_SKU: Final[Schema] = {"type": "string", "description": "The item that it is about."}
_ID_OF_SALE: Final[Schema] = {"$ref": "#/components/schemas/SaleId"}
_NUMBER: Final[Schema] = {"type": "integer", "minimum": 0}
_RESERVATION_IDS: Final[Schema] = {
    "type": "array",
    "items": {"$ref": "#/components/schemas/ReservationId"},
    "description": "The customer's own reservations in this sale that count against the limit, to resume.",
}
_FIELD_ERRORS: Final[Schema] = {
    "type": "array",
    "minItems": 1,
    "items": {"$ref": "#/components/schemas/FieldError"},
    "description": "Every fault, each with its place.",
}


def _already(status: str, meaning: str) -> ProblemKind:
    """The refusal to cancel or to pay a reservation that has ended already."""
    return ProblemKind(
        code=f"already_{status}",
        status=409,
        title=f"Already {status}",
        meaning=meaning,
        detail=f"The reservation is {status} and cannot be paid.",
    )


KINDS: Final[tuple[ProblemKind, ...]] = (
    ProblemKind(
        code="malformed",
        status=400,
        title="Malformed request",
        meaning="The body is not JSON, or the request cannot be read. Correct it.",
        detail="The body is not JSON: unexpected end of data: line 1 column 12.",
    ),
    ProblemKind(
        code="bad_signature",
        status=400,
        title="Bad signature",
        meaning=(
            "The message is not signed by the payment provider, or too old. Compare the webhook's secret, and the clocks, "
            "here and at the provider."
        ),
        detail="The signature does not match.",
    ),
    ProblemKind(
        code="unauthenticated",
        status=401,
        title="Not authenticated",
        meaning="There is no token or key, or it is forged, over, or not meant for this service. Get a new one.",
        detail="The token has expired.",
        headers=("WWW-Authenticate",),
    ),
    ProblemKind(
        code="forbidden",
        status=403,
        title="Not allowed",
        meaning="The caller is known and may not do this: the key lacks the scope, or it is somebody else's.",
        detail="This needs an API key with the scope sales.",
    ),
    ProblemKind(
        code="not_found",
        status=404,
        title="Not found",
        meaning="There is nothing at this path.",
        detail="There is nothing at /v1/unknown.",
    ),
    ProblemKind(
        code="unknown_sale",
        status=404,
        title="Unknown sale",
        meaning="No sale has this id.",
        detail="There is no sale levante-roma.",
    ),
    ProblemKind(
        code="unknown_item",
        status=404,
        title="Unknown item",
        meaning="The sale has no item with this sku.",
        detail="The sale giulia-milano has no item stelvio.",
        extra={"sku": _SKU},
        example={"sku": "stelvio"},
    ),
    ProblemKind(
        code="unknown_reservation",
        status=404,
        title="Unknown reservation",
        meaning="No reservation has this id.",
        detail="There is no such reservation.",
    ),
    ProblemKind(
        code="unknown_provider",
        status=404,
        title="Unknown payment provider",
        meaning="This server has no payment provider of this name, or it is not set up.",
        detail="There is no payment provider paymall.",
    ),
    ProblemKind(
        code="method_not_allowed",
        status=405,
        title="Method not allowed",
        meaning="The path exists, the method does not. The header `Allow` names those that do.",
        detail="PATCH is not possible here.",
        headers=("Allow",),
    ),
    ProblemKind(
        code="not_open",
        status=409,
        title="Not open yet",
        meaning="The sale opens later. Ask again at `opens_at`, or after the seconds in `Retry-After`.",
        detail="The sale opens at 2026-12-01T10:00:00.000Z.",
        extra={"opens_at": _INSTANT},
        example={"opens_at": "2026-12-01T10:00:00.000Z"},
        headers=("Retry-After",),
    ),
    ProblemKind(
        code="paused",
        status=409,
        title="Paused",
        meaning="The brand has paused the sale; it may go on later. Holds run on.",
        detail="The sale is paused.",
    ),
    ProblemKind(
        code="limit_reached",
        status=409,
        title="Limit reached",
        meaning="That is more than one customer may have. Holds and orders count, ended holds do not.",
        detail="This is more than one customer may have in this sale.",
        extra={"reservations": _RESERVATION_IDS},
        example={"reservations": ["giulia-milano.0.q83vEjRWeJASNFZ4"]},
    ),
    ProblemKind(
        code="sold_out",
        status=409,
        title="Sold out",
        meaning=(
            "Too few units are left of the item `sku`. Units that others hold may come back: `held_by_others` "
            "counts them, `next_release_at` is the earliest instant at which one of these holds ends."
        ),
        detail="Not enough units of giulia are left.",
        extra={
            "sku": _SKU,
            "held_by_others": {"type": "integer", "minimum": 0},
            "next_release_at": {"type": ["string", "null"], "format": "date-time"},
        },
        example={
            "sku": "giulia",
            "held_by_others": 12,
            "next_release_at": "2026-12-01T10:05:00.123Z",
        },
    ),
    ProblemKind(
        code="already_opened",
        status=409,
        title="Already opened",
        meaning="The sale has opened, so its definition is settled. Restock it, or define another sale.",
        detail="The sale giulia-milano has opened; its definition can no longer change.",
    ),
    _already("confirmed", "The reservation is paid for: it is an order, and no hold to cancel."),
    _already("cancelled", "The hold was given up; its units are on sale again."),
    _already("expired", "The hold ended by itself; its units are on sale again."),
    _already("refunded", "The reservation was paid for and refunded."),
    ProblemKind(
        code="not_confirmed",
        status=409,
        title="No order",
        meaning="The reservation is not paid for: nothing to refund, no code to show. A hold can be cancelled.",
        detail="The reservation is held: only a confirmed one can be refunded.",
    ),
    ProblemKind(
        code="too_many_attempts",
        status=409,
        title="Too many attempts",
        meaning="The reservation was tried to be paid so often that no other attempt is taken. Let the hold end.",
        detail="No other payment of this reservation is taken.",
    ),
    ProblemKind(
        code="cursor_ahead",
        status=409,
        title="Cursor ahead of the orders",
        meaning=(
            "The cursor says that an order was read that has never been made here. It is another shop's, or this store has "
            "lost orders: compare `GET /v1/sales/{sale}/orders/summary` with your books before you go on."
        ),
        detail="The cursor says that order number 812 of giulia-milano was read; there have been 790.",
        extra={"sale": _ID_OF_SALE, "after": _NUMBER, "last": _NUMBER},
        example={"sale": "giulia-milano", "after": 812, "last": 790},
    ),
    ProblemKind(
        code="closed",
        status=410,
        title="Closed",
        meaning="The sale is over and will not open again.",
        detail="The sale is closed.",
    ),
    ProblemKind(
        code="cursor_expired",
        status=410,
        title="Cursor expired",
        meaning=(
            "What follows the cursor is no longer kept in Redis, and this server has no archive to read it from. Read "
            "numbers `after` + 1 to `first` - 1 of the sale from the archive, then go on; or give the server the archive."
        ),
        detail="The orders of giulia-milano behind number 17 are gone; the oldest one left is number 412.",
        extra={
            "sale": _ID_OF_SALE,
            "after": _NUMBER,
            "first": _NUMBER,
            "cursor": {
                "type": ["string", "null"],
                "description": "To go on with behind the gap; null for facts.",
            },
        },
        example={"sale": "giulia-milano", "after": 17, "first": 412, "cursor": "AYnlGseckwHqJwug"},
    ),
    ProblemKind(
        code="too_large",
        status=413,
        title="Body too large",
        meaning="The body has more than 64 KiB.",
        detail="The body has more than 65536 bytes.",
    ),
    ProblemKind(
        code="unsupported_media_type",
        status=415,
        title="Not JSON",
        meaning="The body is not sent as JSON. Use `Content-Type: application/json`.",
        detail="The body must be application/json.",
    ),
    ProblemKind(
        code="invalid",
        status=422,
        title="Invalid fields",
        meaning="One or more fields cannot be. `errors` names every one of them.",
        detail="One field is wrong: items[0].quantity.",
        extra={"errors": _FIELD_ERRORS},
        example={
            "errors": [
                {
                    "pointer": "#/items/0/quantity",
                    "field": "items[0].quantity",
                    "detail": "must be a whole number from 1 to 100000",
                }
            ]
        },
    ),
    ProblemKind(
        code="idempotency_mismatch",
        status=422,
        title="Idempotency key used for something else",
        meaning="The same Idempotency-Key came before with another payload. Use a new key for a new request.",
        detail="This Idempotency-Key was used for another request.",
    ),
    ProblemKind(
        code="internal",
        status=500,
        title="Internal error",
        meaning="A fault of the server. With an Idempotency-Key the request can be repeated safely.",
        detail="The server could not answer; the fault is in its log.",
    ),
    ProblemKind(
        code="busy",
        status=503,
        title="Too busy",
        meaning=(
            "More requests wait than the server can answer in time. Nothing was done. Repeat it after the "
            "seconds in `Retry-After`."
        ),
        detail="Too many requests are waiting.",
        headers=("Retry-After",),
    ),
    ProblemKind(
        code="unavailable",
        status=503,
        title="Store unavailable",
        meaning=(
            "The store behind the server is away, full or read-only. Repeat the request after the seconds in "
            "`Retry-After`; with the same Idempotency-Key that is safe even if the first one was carried out."
        ),
        detail="The store is a read-only replica. Nothing was changed.",
        headers=("Retry-After",),
    ),
    ProblemKind(
        code="recovering",
        status=503,
        title="Recovering",
        meaning=(
            "The store has come back with less than the archive has seen, or nobody has looked yet: so that no unit is sold "
            "twice, nothing is changed before that was made good. Repeat the request after the seconds in `Retry-After`."
        ),
        detail="The sale is being brought back from the archive. Nothing was changed.",
        headers=("Retry-After",),
    ),
    ProblemKind(
        code="payments_unavailable",
        status=503,
        title="No payments",
        meaning=(
            "This server has no payment provider, or the provider cannot be reached from here; or a rehearsal is to be "
            "paid, and the server was not told of a payment simulator. Nothing was changed. Whoever runs the server can "
            "help."
        ),
        detail="This server is not set up to take payments.",
        headers=("Retry-After",),
    ),
)
"""Every kind of problem, by status."""

BY_CODE: Final[Mapping[str, ProblemKind]] = {kind.code: kind for kind in KINDS}
