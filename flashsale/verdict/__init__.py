"""The verdict on a load test: what shoppers were told, the engine's books and the order feed, held against each other.

`evidence` is what the three sides say, `judge` compares it, `report` shows it. Nothing here makes load or asks a server
anything: evidence comes from `loadtest/`, or from a file that such a run has written.
"""
