"""The simulator: a small payment provider of our own, over HTTP, which charges nobody.

It is a program apart: it knows nothing of sales, and the shop talks to it as to any other provider, through
`flashsale/providers/simulator.py`. docs/payments.md says what it can be told to do wrong.

ledger    payments and refunds, and what may be done with them; pure, as are its `records`
faults    what goes wrong, drawn from a seed
books     the file in which the ledger outlives the process
desk      carries out what is asked: written down, done, told
webhooks  the delivery of events
bodies    what it is sent over HTTP; `answers` are what it says
shop      the calls of a shop
shopper   the `page` on which a shopper pays, and the click on it
server    all of it together, as an application of aiohttp
"""
