"""What one can do with the server of a demo that is left running."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from rich.console import Console

from flashsale.client import Client
from flashsale.demo.books import free_name
from flashsale.demo.definitions import DemoSale

UNITS = 5
OPENS_IN_SECONDS = 30
"""Time to open the page, and to see how it counts down."""


async def keep_open(sale: DemoSale, console: Console, brand: Client, url: str, root_key: str) -> None:
    """Define a small sale with holds of the usual length, say what to try, and wait until this is cancelled."""
    name = await free_name(brand, f"{sale.sale}-by-hand")
    opens_at = datetime.now(UTC) + timedelta(seconds=OPENS_IN_SECONDS)
    view = await brand.put_sale(name, sale.to_try(opens_at, UNITS))
    sku = view["items"][0]["sku"]
    text = keep_text(url, name, sku, sale.methods[0], root_key)
    console.print(text, highlight=False, markup=False, soft_wrap=True)
    await asyncio.Event().wait()


def keep_text(url: str, sale: str, sku: str, method: str, root_key: str) -> str:
    """What to try while the server is left running; the root key it shows ends with this one demo."""
    return f"""
Still running, until Ctrl-C. Open these in a browser:

  shop page  {url}/s/{sale}
             it counts down {OPENS_IN_SECONDS} seconds, has {UNITS} units, and leads to the payment simulator and back
  console    {url}/console
             log in with the root key: watch the sale, restock it, look somebody up, audit it
  root key   {root_key}
  docs       {url}/docs
  address    {url}

The same by hand, once it is open:

  export FLASHSALE_URL={url} FLASHSALE_API_KEY={root_key}

  # holds last as long as the definition says. As a shop page sees it:
  curl {url}/v1/sales/{sale}

  # be a guest, and press buy yourself
  TOKEN=$(curl -s -X POST {url}/v1/guests | sed 's/.*"token": *"\\([^"]*\\)".*/\\1/')
  HOLD=$(curl -s -X POST {url}/v1/sales/{sale}/reservations -H "Authorization: Bearer $TOKEN" \\
    -H 'Content-Type: application/json' -d '{{"items": [{{"sku": "{sku}", "quantity": 1}}]}}')
  ID=$(echo "$HOLD" | sed 's/.*"id": *"\\([^"]*\\)".*/\\1/')

  # start to pay; a moment later the reservation names the page to pay at: open it and press Pay, or let curl do it
  curl -X POST {url}/v1/reservations/$ID/payment -H "Authorization: Bearer $TOKEN" \\
    -H 'Content-Type: application/json' -d '{{"method": "{method}"}}'; sleep 1
  PAGE=$(curl -s {url}/v1/reservations/$ID -H "Authorization: Bearer $TOKEN" | sed 's/.*"url": *"\\([^"]*\\)".*/\\1/')
  curl -d "outcome=succeed&${{PAGE#*\\?}}" "${{PAGE%%\\?*}}"; sleep 1

  # confirmed: an order. Then the books of the sale, and the provider's beside them
  curl {url}/v1/reservations/$ID -H "Authorization: Bearer $TOKEN"
  flashsale audit {sale}
  flashsale payments reconcile

  # five more units arrive
  curl -X POST {url}/v1/sales/{sale}/items/{sku}/restock -H "Authorization: Bearer $FLASHSALE_API_KEY" \\
    -H 'Content-Type: application/json' -d '{{"units": 5, "reason": "found in the warehouse"}}'
"""
