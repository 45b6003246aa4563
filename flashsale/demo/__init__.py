"""The demo: a real server, a crowd of real HTTP clients, a live view, and a verdict on what happened.

`run` is the whole of it. The crowd presses from a process of its own (`crowd`: the `rush`, then `checkout` for those who
got a hold and `comeback` for some of the others), the server is another, with a payment simulator beside it (`server`), a
third reads the shop's orders as a brand's order system would (`order_system`, with `order_books` of its own), and the parent
only watches, reads all books afterwards (`books` of the shop, `provider`) and judges (`verdict`, with `units`, `money` and
`orders`).
"""
