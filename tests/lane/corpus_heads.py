"""Conversations about the head of a request: its first line, and headers of every sort."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from tests.lane.plain import Request, get
from tests.lane.wire import Conversation
from tests.support_http.bad_requests import NO_HTTP, ODD_ESCAPES, UNKNOWN_SALES
from tests.support_http.client import label

LINE_LIMIT: Final = 64 * 1024
HEADER_LIMIT: Final = 128
SIZES: Final = (
    8_189, 8_190, 8_191, 16_384, LINE_LIMIT - 2, LINE_LIMIT - 1, LINE_LIMIT, LINE_LIMIT + 1, LINE_LIMIT + 2, 300_000,
)  # fmt: skip
ODD_BYTES: Final = (
    b"\0",
    b"\x01",
    b"\r",
    b"\n",
    b"\x0b",
    b"\x0c",
    b"\x1f",
    b"\x7f",
    b"\x80",
    b"\xff",
    b"\xc3\xbc",
    b"\t",
    b" ",
)
ODD_LINES: Final = (
    b"X", b"X:", b"X: ", b": x", b" X: y", b"\tX: y", b"X : y", b"X\t: y", b"X:y", b"X:\ty\t", b"X:   y   ",
    b"X: y\r\n z", b"X: y\r\n\tz", b"X: y\r\n ", b"X: y\n z", b"X: y\nZ: 1", b"X: y\rZ: 1", b"X: y\r\r\nZ: 1",
    b"X y: z", b"X(y): z", b"X,y: z", b'"X": y', b"X{y}: z", b"X[y]: z", b"X@y: z", b"X\\y: z", b"X/y: z", b"X=y: z",
    b"X_y: z", b"X.y: z", b"X!#$%&'*+-^`|~: z", b"X\xc3\xbc: z", b"X\xff: z", b"X\x7f: z", b"X: \x7f", b"X: \xff",
    b"X: \xc3\xbc", b"X: a:b:c", b"::", b"X::", b"0: 1",
)  # fmt: skip
KNOWN: Final = (
    b"Host: other", b"Authorization: Bearer x", b"Content-Type: text/plain", b"Content-Type: application/json",
    b"Content-Length: 1", b"Idempotency-Key: k", b"Connection: keep-alive", b"Transfer-Encoding: chunked",
    b"Expect: 100-continue", b"Content-Encoding: gzip", b"User-Agent: x", b"Accept: */*", b"Cookie: a=b", b"Date: x",
    b"Server: x", b"Referer: x", b"X-Forwarded-For: 1.2.3.4", b"Forwarded: for=1.2.3.4",
    b"X-HTTP-Method-Override: DELETE", b"Range: bytes=0-1", b"If-None-Match: *", b"If-Match: x",
    b"Origin: https://evil.example", b"Via: 1.1 x", b"Max-Forwards: 0", b"TE: trailers", b"Trailer: X",
    b"Keep-Alive: timeout=1", b"Proxy-Connection: close", b"Content-Location: /x", b"Content-Range: bytes 0-1/2",
    b"Sec-WebSocket-Key: x", b"Sec-WebSocket-Key1: x", b"Sec-WebSocket-Version: 13", b"HTTP2-Settings: x",
    b"Accept-Encoding: gzip", b"Content-MD5: x", b"Retry-After: 1", b"ETag: x", b"Max-Forwards: x",
    b"Access-Control-Request-Method: POST",
)  # fmt: skip
CONNECTIONS: Final = (
    b"close", b"Close", b"CLOSE", b"keep-alive", b"Keep-Alive", b"close, keep-alive", b"keep-alive, close", b"", b" ",
    b"x", b"closed", b"close,", b",close", b"x, close", b"close;x", b"TE, close", b"keepalive", b"Content-Length",
    b"Host", b"cl\tose", b"keep-alive,keep-alive", b"upgrade", b"upgrade, close", b"HTTP2-Settings, Upgrade",
    b"close\xff",
)  # fmt: skip
UPGRADES: Final = (
    b"websocket",
    b"h2c",
    b"tcp",
    b"HTTP/2.0",
    b"TLS/1.0",
    b"WebSocket",
    b"",
    b"x",
    b"websocket, h2c",
    b"\xff",
)
HOSTS: Final = (
    b"", b"a b", b"\xff", b"shop.example:80", b"[::1]", b"shop.example:99999", b"a,b", b"/", b"@", b"http://x", b"%00",
    b"x" * 300, b"[", b"::1", b":", b"shop.example:", b"[::1]:x", b"-", b".", b"xn--", b"1.2.3.4",
)  # fmt: skip
VERSIONS: Final = (
    b"HTTP/1.0", b"HTTP/0.9", b"HTTP/1.2", b"HTTP/2.0", b"HTTP/2", b"HTTP/1", b"HTTP/1.", b"HTTP/1.10", b"HTTP/01.1",
    b"http/1.1", b"HTTPS/1.1", b"HTTP/1.1 ", b"HTTP/1,1", b"HTTP/ 1.1", b"", b"ICE/1.0", b"RTSP/1.0", b"HTTP/1.1\t",
    b"HTTP/1.1x", b"HTTP/9.9", b"HTTP/3.0",
)  # fmt: skip
METHODS: Final = (
    b"post", b"Post", b"POST ", b" POST", b"POSTX", b"POS", b"PUT", b"GET", b"DELETE", b"PATCH", b"OPTIONS", b"TRACE",
    b"CONNECT", b"PROPFIND", b"BREW", b"PRI", b"", b"P\xc3\x96ST", b"POST\t", b"QUERY", b"PURGE", b"M-SEARCH",
    b"\0POST", b"*",
)  # fmt: skip


def targets(sale: str) -> Iterator[Conversation]:
    """Where to."""
    path = f"/v1/sales/{sale}/reservations"
    escaped = "".join(f"%{ord(letter):02x}" for letter in sale)
    upper = "".join(f"%{ord(letter):02X}" for letter in sale)
    odd = [
        path + "/", path + "?", path + "?x=1", path + "?x=1?y#z", path + "#", path + "#top", path + ";x", "/" + path,
        path + "//", path.replace("/v1", "//v1"), path.replace("/sales", "//sales"),
        path.replace("/reservations", "//reservations"), f"/v1/sales/{escaped}/reservations",
        f"/v1/sales/{upper}/reservations", f"/v1/sales/{sale}/reservation%73", f"/%76%31/sales/{sale}/reservations",
        f"/v1/sales/{sale}%2Freservations", f"/v1/sales/{sale}%2freservations", f"/v1/sales/./{sale}/reservations",
        f"/v1/sales/../sales/{sale}/reservations", f"/v1/sales/{sale}/../{sale}/reservations",
        f"/v1/sales/{sale}/./reservations", f"/v1/sales/{sale}/%2e/reservations", f"/V1/sales/{sale}/reservations",
        f"/v1/Sales/{sale}/reservations", f"/v1/sales/{sale}/Reservations", f"/v1/sales/{sale.upper()}/reservations",
        f"/v1/sales/{sale}+/reservations", f"/v1/sales/{sale}%20/reservations", f"/v1/sales/{sale} /reservations",
        f"/v1/sales/{sale}\t/reservations", "/v1/sales//reservations", "/v1/sales/reservations",
        f"/v1/sales/{sale}/reservations/mine", f"/v1/sales/{sale}/reservationss", f"/v1/sales/{sale}/reservation",
        f"/v1/sales/{sale}", f"http://shop.example{path}", f"https://shop.example{path}",
        f"http://other.example:99{path}", f"HTTP://shop.example{path}", f"http://{path}", f"http:{path}",
        f"//shop.example{path}", f"ftp://shop.example{path}", f"http://u:p@shop.example{path}", f"http://[::1]{path}",
        f"http://[bad{path}", "*", "shop.example:443", "", "?", "#", path[1:], path + "\x7f", path + "\xff",
        path + "\xc3\xbc", path + "%", path + "%zz", f"/v1/sales/{sale}\xff/reservations",
        f"/v1/sales/{sale}\\/reservations", f"/v1\\sales\\{sale}\\reservations", path + "?" + "q" * 60_000,
        f"/v1/sales/{sale}?/reservations", f"/v1/sales/{sale}#/reservations", f"/v1/sales/{sale};v=1/reservations",
        f"/v1/sales/{{{sale}}}/reservations",
    ]  # fmt: skip
    for target in odd:
        request = replace(Request.plain(sale), target=target.encode("latin-1"))
        yield Conversation.of(f"target {label(target)}", bytes(request))
    for unknown in (*UNKNOWN_SALES, *(escape.decode() for escape in ODD_ESCAPES)):
        yield Conversation.of(f"sale {label(unknown)}", bytes(Request.plain(unknown)))
    for size in (-1, 0, 1, 2):  # around the limit of a line, which is that of the whole target
        start = len(path) + 1
        long = replace(Request.plain(sale), target=(path + "?" + "q" * (LINE_LIMIT + size - start)).encode())
        yield Conversation.of(f"a target of the limit and {size}", bytes(long))


def first_lines(sale: str) -> Iterator[Conversation]:
    """Methods, versions, and what is no HTTP at all."""
    for method in METHODS:
        yield Conversation.of(f"method {method!r}", bytes(replace(Request.plain(sale), method=method)))
    yield Conversation("HEAD", (bytes(replace(Request.plain(sale), method=b"HEAD")),), head=frozenset({0}))
    for version in VERSIONS:
        yield Conversation.of(f"version {version!r}", bytes(replace(Request.plain(sale), version=version)))
    for connection in (b"close", b"keep-alive", b"Keep-Alive", b"", b"upgrade"):
        request = replace(Request.plain(sale), version=b"HTTP/1.0").more(b"Connection: " + connection)
        yield Conversation.of(f"HTTP/1.0, {connection!r}", bytes(request))
        yield Conversation.of(f"HTTP/1.0 without Host, {connection!r}", bytes(request.but(host=None)))
        twice = bytes(request) + bytes(Request.plain(sale))
        yield Conversation.of(f"HTTP/1.0, {connection!r}, another behind it", twice)
    whole = bytes(Request.plain(sale))
    for prefix in (
        b"\r\n",
        b"\r\n\r\n",
        b"\n",
        b"\n\n",
        b"\r",
        b" ",
        b"\t",
        b"\0",
        b"\r\n" * 50,
        b"\r\n ",
        b"\xef\xbb\xbf",
        b"x\r\n",
    ):
        yield Conversation.of(f"after {label(prefix)}", prefix + whole)
        yield Conversation.of(f"after {label(prefix)} and a request", whole + prefix + whole)
    for ends in (b"\n", b"\r", b"\r\r\n", b"\n\r", b"\0\r\n", b" \r\n", b"\t\r\n"):
        yield Conversation.of(f"lines that end with {ends!r}", bytes(replace(Request.plain(sale), ends=ends)))
    for old, new in (
        (b"POST /", b"POST  /"),
        (b" HTTP", b"  HTTP"),
        (b" HTTP", b"\tHTTP"),
        (b"POST /", b"POST\t/"),
    ):
        yield Conversation.of(f"{old!r} as {new!r}", whole.replace(old, new, 1))
    for name, raw in NO_HTTP.items():
        yield Conversation.of(name, raw)
        yield Conversation.of(f"{name} after a request", whole, raw)
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"
    yield Conversation.of("HTTP/2", preface)
    yield Conversation.of("PROXY protocol", b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n" + whole)


def headers(sale: str) -> Iterator[Conversation]:
    """Headers that may be anything."""
    plain = Request.plain
    for odd in (*ODD_LINES, *KNOWN):
        yield Conversation.of(f"last: {label(odd)}", bytes(plain(sale).more(odd)))
        yield Conversation.of(f"first: {label(odd)}", bytes(plain(sale).first(odd)))
        yield Conversation.of(f"twice: {label(odd)}", bytes(plain(sale).more(odd, odd)))
    for name in ("host", "authorization", "content-type", "content-length"):
        whole = plain(sale).lines[name]
        head, _, value = whole.partition(b": ")
        spellings: dict[str, bytes | None] = {
            "lower": head.lower() + b": " + value, "upper": head.upper() + b": " + value,
            "swapped": head.swapcase() + b": " + value, "no space": head + b":" + value,
            "spaces": head + b":    " + value + b"   ", "tabs": head + b":\t" + value + b"\t",
            "space before the colon": head + b" : " + value, "folded": head + b":\r\n " + value,
            "folded inside": head + b": " + value[:2] + b"\r\n " + value[2:], "empty": head + b":",
            "blank": head + b": ", "no colon": head, "missing": None, "in quotes": head + b': "' + value + b'"',
            "with underscore": head.replace(b"-", b"_") + b": " + value, "space in front": b" " + whole,
            "comma behind": whole + b",", "semicolon behind": whole + b";", "two values": whole + b", " + value,
        }  # fmt: skip
        for how, line in spellings.items():
            yield Conversation.of(f"{name}: {how}", bytes(plain(sale).but(**{name.replace("-", "_"): line})))
        yield Conversation.of(f"{name} twice", bytes(plain(sale).more(whole)))
        for odd in ODD_BYTES:
            places = {
                "inside": head + b": " + value[:3] + odd + value[3:], "behind": whole + odd,
                "before": head + b": " + odd + value, "in the name": head[:2] + odd + head[2:] + b": " + value,
            }  # fmt: skip
            for place, bad in places.items():
                request = plain(sale).but(**{name.replace("-", "_"): bad})
                yield Conversation.of(f"{name}: {odd!r} {place}", bytes(request))
    for host in HOSTS:
        yield Conversation.of(f"host {label(host)}", bytes(plain(sale).but(host=b"Host: " + host)))


def connections(sale: str) -> Iterator[Conversation]:
    """What becomes of the connection."""
    for value in CONNECTIONS:
        for asking in (Request.plain(sale), Request.plain(sale, body=b"{"), Request.plain("no-such-sale")):
            asked = bytes(asking.more(b"Connection: " + value))
            yield Conversation.of(f"connection {value!r}", asked)
            yield Conversation.of(f"connection {value!r}, another behind", asked + bytes(Request.plain(sale)))
    two = Request.plain(sale).more(b"Connection: keep-alive", b"Connection: close")
    yield Conversation.of("two connections", bytes(two))
    for value in UPGRADES:
        for how in (b"Upgrade", b"keep-alive, Upgrade", b"close"):
            request = Request.plain(sale).more(b"Connection: " + how, b"Upgrade: " + value)
            yield Conversation.of(f"upgrade to {value!r}, {how!r}", bytes(request))
            yield Conversation.of(
                f"upgrade to {value!r}, {how!r}, another behind", bytes(request) + bytes(Request.plain(sale))
            )
        yield Conversation.of(
            f"upgrade to {value!r} alone", bytes(Request.plain(sale).more(b"Upgrade: " + value))
        )
    for path in ("/healthz", "/v1/reservations/x", "/nothing", f"/v1/sales/{sale}/reservations"):
        yield Conversation.of(f"GET {path}", get(path))
        yield Conversation.of(f"GET {path} and close", get(path, b"Connection: close"))
        yield Conversation.of(f"GET {path}, then a reservation", get(path), bytes(Request.plain(sale)))


def sizes(sale: str) -> Iterator[Conversation]:
    """Many headers, long headers, long names, and all of it just within what is allowed and just beyond."""
    plain = Request.plain
    for number in (HEADER_LIMIT - 5, HEADER_LIMIT - 4, HEADER_LIMIT - 3, 200, 2000):
        many = (b"X-%d: y" % each for each in range(number))
        yield Conversation.of(f"{number} headers more", bytes(plain(sale).more(*many)))
    for size in SIZES:
        for spaces in (b" ", b"", b"    "):
            yield Conversation.of(
                f"a header of {size}, {spaces!r}", bytes(plain(sale).more(b"X:" + spaces + b"y" * size))
            )
        # aiohttp counts a name with the one before it, and towards the line only if it arrived in pieces: what it says to
        # a line so near to the limit depends on TCP.
        if abs(size - LINE_LIMIT) > 2:
            yield Conversation.of(f"a name of {size}", bytes(plain(sale).more(b"X" * size + b": y")))
        half = size // 2
        if not half <= LINE_LIMIT < 2 * half:
            yield Conversation.of(
                f"half a name of {size}", bytes(plain(sale).more(b"X" * half + b": " + b"y" * half))
            )
        yield Conversation.of(f"spaces, {size}", bytes(plain(sale).more(b"X: " + b" " * size + b"y")))
        yield Conversation.of(f"spaces behind, {size}", bytes(plain(sale).more(b"X: y" + b" " * size)))
    for number, size in ((4, 30_000), (20, 10_000), (100, 10_000)):
        many = (b"X-%d: %b" % (each, b"y" * size) for each in range(number))
        yield Conversation.of(f"{number} headers of {size}", bytes(plain(sale).more(*many)))


HEAD_TABLES: Final = (targets, first_lines, headers, connections, sizes)
