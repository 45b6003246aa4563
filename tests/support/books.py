"""What must be true of the store after every test.

`faults_of(url)` lists what is not:

- a key that is not in the keyspace table (flashsale/keys.py), or of another type than the table says;
- a sale that is missing from the index of sales;
- an item whose available + held + sold is not its stock, or that has less than nothing of one;
- a finding of the audit;
- a charge of an unknown sale (`keys.STRAY`) whose record is not what the facts say.
"""

import re
from typing import Any

from flashsale import keys
from flashsale.engine.audit import Audit
from flashsale.engine.webhooks import ID
from flashsale.model.audit import FactError, Replay
from flashsale.model.ids import SALE_ID
from flashsale.store.client import Store
from flashsale.store.fence import Fence
from flashsale.store.sales import SaleStore
from tests.support.server import PATIENCE_MS, PATIENCE_S

_SALE_KEY = re.compile(rf"fs:\{{({SALE_ID.pattern}|{keys.STRAY})\.(\d+)\}}:(\w+)")
_WEBHOOK_KEY = re.compile(rf"fs:\{{webhook\.({ID.pattern})\}}:(\w+)")


async def faults_of(url: str) -> list[str]:
    """Everything that is wrong, in words; empty when the books add up."""
    store = Store.connect(url, timeout_ms=PATIENCE_MS, fence=Fence.NONE)
    try:
        return await _faults(store)
    finally:
        await store.close()


async def _faults(store: Store) -> list[str]:
    redis: Any = store.redis  # redis-py's types describe replies of both kinds at once
    faults: list[str] = []
    shards: set[tuple[str, int]] = set()
    async for raw in redis.scan_iter(count=1000):
        key = raw.decode()
        kind = (await redis.type(raw)).decode()
        if kind == "none":  # it has gone since, as an empty set does
            continue
        match = _SALE_KEY.fullmatch(key)
        table = (keys.PER_SALE | keys.BESIDE).get(match[3]) if match else _type_of_other(key)
        if table is None:
            faults.append(f"the key {key!r} is not in the keyspace table")
        elif kind != table:
            faults.append(f"the key {key!r} is a {kind}, the keyspace table says {table}")
        if match and match[3] not in keys.BESIDE:
            shards.add((match[1], int(match[2])))
    known = {sale.decode() for sale in await redis.hkeys(keys.SALES)}
    for sale, shard in sorted(shards):
        if sale == keys.STRAY:
            faults += await _stray(SaleStore(store, timeout_s=PATIENCE_S))
            continue
        if sale not in known:
            faults.append(f"the sale {sale} is not in the index")
        faults += await _unconserved(redis, sale, shard)
        report = await Audit(SaleStore(store, timeout_s=PATIENCE_S), sale).run()
        if report is None:
            faults.append(f"the sale {sale} has keys but no definition")
        else:
            faults += [f"{sale}, fact {finding.seq}: {finding.detail}" for finding in report.findings]
    return faults


def _type_of_other(key: str) -> str | None:
    """What the keyspace table says of a key that belongs to no sale; None when it does not know it."""
    match = _WEBHOOK_KEY.fullmatch(key)
    return keys.PER_WEBHOOK.get(match[2]) if match else keys.GLOBAL.get(key)


async def _stray(sales: SaleStore) -> list[str]:
    """What is wrong with the charges of sales that nobody knows. They have a journal, and nothing else of a sale."""
    replay = Replay()
    try:
        while facts := await sales.facts(keys.STRAY, after=replay.seq):
            for fact in facts:
                replay.apply(fact)
    except FactError as error:
        return [f"{keys.STRAY}: {error}"]
    tokens = replay.strangers()
    found: list[str] = []
    for start in range(0, len(tokens), 500):
        chunk = tokens[start : start + 500]
        look = await sales.look(keys.STRAY, tokens=chunk)
        for token, payment in zip(chunk, look.payments, strict=True):
            found += replay.payment_differences(token, payment)
    return [f"{keys.STRAY}: {difference}" for difference in found]


async def _unconserved(redis: Any, sale: str, shard: int) -> list[str]:
    """Reads the counters as they lie there, without any code of the engine."""
    fields = await redis.hgetall(keys.SaleKeys.of(sale, shard).stock)
    counters: dict[bytes, dict[bytes, int]] = {}
    for field, value in fields.items():
        counter, _, sku = field.partition(b":")
        counters.setdefault(sku, {})[counter] = int(value)
    return [
        f"{sale}: {sku!r} has {item}"
        for sku, item in counters.items()
        if item[b"available"] + item[b"held"] + item[b"sold"] != item[b"stock"]
        or min(item[b"available"], item[b"held"], item[b"sold"]) < 0
    ]
