"""Shoppers who reserve and start a payment, and the webhook that says it is paid: three requests, one after the other.

    python bench/apps/checkout_load.py PORT SALE SHOPPERS CONNECTIONS

Each shopper is another customer with a token of its own, made beforehand. Prints one line: seconds from the first request to
the last answer, and how many answers were not what they should be. The secrets come in the environment.
"""

import asyncio
import os
import sys
import time

import orjson
import uvloop

from flashsale.demo.wire import Pool, Reply
from flashsale.identity.tokens import ShopperTokens
from flashsale.providers.signature import HEADER, signature

AMOUNT, CURRENCY = 3_300_000, "CNY"
BODY = orjson.dumps({"items": [{"sku": "giulia", "quantity": 1}]})
PAY = orjson.dumps({"method": "alipay"})


def post(path: str, headers: str, body: bytes) -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n{headers}"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


class Load:
    def __init__(self, pool: Pool, sale: str, secret: bytes, tokens: list[str]) -> None:
        self.pool, self.sale, self.secret, self.tokens = pool, sale, secret, tokens
        self.next, self.ended, self.wrong = 0, 0, 0
        self.done = asyncio.Event()

    def begin(self) -> None:
        """The next shopper presses."""
        if self.next == len(self.tokens):
            return
        number, self.next = self.next, self.next + 1
        bearer = f"Authorization: Bearer {self.tokens[number]}\r\n"

        def reserved(reply: Reply) -> None:
            if reply.status != 201:
                self.end(reply)
                return
            reservation = orjson.loads(reply.body)["id"]
            self.pool.submit(
                post(f"/v1/reservations/{reservation}/payment", bearer, PAY),
                lambda answer: started(answer, reservation),
            )

        def started(reply: Reply, reservation: str) -> None:
            if reply.status != 202:
                self.end(reply)
                return
            self.pool.submit(self.webhook(reservation), self.end)

        self.pool.submit(post(f"/v1/sales/{self.sale}/reservations", bearer, BODY), reserved)

    def webhook(self, reservation: str) -> bytes:
        """What the simulator sends when a payment is paid, signed as it signs."""
        token = reservation.rpartition(".")[2]
        payment = {
            "id": f"pay_{token}",
            "status": "paid",
            "amount": AMOUNT,
            "currency": CURRENCY,
            "method": "alipay",
            "metadata": {"shop": "flashsale", "reservation": reservation, "attempt": "1"},
            "refunded": 0,
            "refunds": [],
            "error": "",
            "final": False,
            "created_ms": 0,
        }
        body = orjson.dumps({"id": f"evt_{token}", "type": "payment.paid", "payment": payment})
        signed = f"{HEADER}: {signature(self.secret, int(time.time()), body)}\r\n"
        return post("/v1/payments/simulator/events", signed, body)

    def end(self, reply: Reply) -> None:
        if reply.status != 202:
            self.wrong += 1
            if self.wrong < 5:
                print(reply, file=sys.stderr)
        self.ended += 1
        if self.ended == len(self.tokens):
            self.done.set()
        self.begin()


async def main(port: int, sale: str, shoppers: int, connections: int) -> None:
    signer = ShopperTokens(os.environ["FLASHSALE_SHOPPER_SECRET"], None)
    tokens = [signer.issue(f"{sale}-{number:07d}", 3600) for number in range(shoppers)]
    pool = Pool("127.0.0.1", port, connections, 30.0)
    await pool.open()
    load = Load(pool, sale, os.environ["FLASHSALE_SIMULATOR_SECRET"].encode(), tokens)
    began = time.monotonic()
    for _ in range(connections):
        load.begin()
    await load.done.wait()
    print(f"RESULT {time.monotonic() - began:.3f} {load.wrong}")
    pool.close()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
