"""The demo: a real server, a crowd of real HTTP clients, a live view, and a verdict on what happened.

`run` is the whole of it. The crowd presses from a process of its own (`crowd`), the server is another
(`server`), and the parent only watches, reads the server's books afterwards and judges (`verdict`).
"""
