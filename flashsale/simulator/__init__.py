"""The simulator: a small payment provider of our own, over HTTP, which charges nobody.

It is a program apart: it knows nothing of sales, and the shop talks to it as to any other provider, through
`flashsale/providers/simulator.py`. docs/payments.md says what it can be told to do wrong.

ledger    payments and refunds, and what may be done with them; pure
faults    what goes wrong, drawn from a seed
webhooks  events, their signatures and their delivery
books     the file in which the ledger outlives the process
server    the HTTP interface; `bodies` reads what it is sent
page      the page on which a shopper pays
"""
