"""Many order systems that read server-sent events slowly: a few hundred bytes a second each, and little room in the kernel.

    python bench/apps/slow_readers.py PORT COUNT

Says READY when all of them have the head of an answer, goes on until its standard input ends, then says how many bytes they
have had and how many of them have lost their connection. The API key comes in the environment.
"""

import os
import resource
import select
import socket
import sys
import time
from typing import Final

ROOM_BYTES: Final = 4096
SIP_BYTES: Final = 256
EVERY_S: Final = 0.5


class Slow:
    """One of them."""

    def __init__(self, port: int, key: str) -> None:
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, ROOM_BYTES)
        self.socket.connect(("127.0.0.1", port))
        head = f"GET /v1/orders/stream?after=now HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {key}\r\n\r\n"
        self.socket.sendall(head.encode())
        self.had = 0
        self.gone = False

    def begin(self) -> None:
        self.socket.settimeout(60)
        answer = self.socket.recv(SIP_BYTES)
        assert answer.startswith(b"HTTP/1.1 200"), answer
        self.socket.setblocking(False)

    def sip(self) -> None:
        try:
            piece = self.socket.recv(SIP_BYTES)
        except BlockingIOError:
            return
        except OSError:
            piece = b""
        self.had += len(piece)
        self.gone = not piece


def main(port: int, count: int) -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    slow = [Slow(port, os.environ["SHOP_KEY"]) for _ in range(count)]
    for each in slow:
        each.begin()
    print("READY", flush=True)
    due = time.monotonic()
    while not select.select([sys.stdin], [], [], max(0.0, due - time.monotonic()))[0]:
        due += EVERY_S
        for each in slow:
            if not each.gone:
                each.sip()
    print(f"RESULT {sum(each.had for each in slow)} {sum(each.gone for each in slow)}", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
