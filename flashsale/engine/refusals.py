"""Why somebody cannot read the orders, or facts, that they ask for."""


class TooManyReadersError(Exception):
    """As many read as this process has room for."""


class CursorExpiredError(Exception):
    """What follows the cursor is no longer kept in Redis, and there is no archive to read it from."""

    def __init__(self, sale: str, after: int, first: int, *, what: str = "orders") -> None:
        left = f"the oldest one left is number {first}" if first else "none is left"
        super().__init__(f"the {what} of {sale} behind number {after} are gone; {left}")
        self.sale = sale
        self.after = after
        self.first = first


class CursorAheadError(Exception):
    """The cursor names an order that has never been made here."""

    def __init__(self, sale: str, after: int, decided: int) -> None:
        super().__init__(
            f"the cursor says that order number {after} of {sale} was read; there have been {decided}"
        )
        self.sale = sale
        self.after = after
        self.decided = decided
