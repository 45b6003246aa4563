"""What the value of one setting must be. Each check answers the value to keep, or raises ValueError with the reason."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from pydantic import SecretStr


def is_true(value: object) -> bool:
    """Whether the value of a switch turns it on, as it stands in the environment or was given by a program."""
    return str(value).strip().lower() in {"1", "true", "yes", "on", "t", "y"}


def check_redis_url(url: str) -> str:
    """Accept what redis-py accepts; no message repeats the address, as it may hold a password."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise ValueError(f"is not a valid address: {type(error).__name__}") from None
    if parts.scheme not in {"redis", "rediss", "unix"}:
        raise ValueError("must begin with redis://, rediss:// or unix://")
    if parts.scheme == "unix" and not parts.path:
        raise ValueError("must name the socket: unix:///path/to/socket")
    database = unquote(parts.path).strip("/")
    if parts.scheme != "unix" and database and not database.isdecimal():
        raise ValueError("must end in a database number, as in redis://127.0.0.1:6379/0")
    return url


def check_archive(url: str) -> str:
    """Accept `none` and addresses of the databases there is an archive for; no message repeats a password."""
    if url == "none":
        return url
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise ValueError(f"is not a valid address: {type(error).__name__}") from None
    if parts.scheme == "sqlite":
        if parts.netloc or len(parts.path) < 2:
            raise ValueError("must name the file: sqlite:///archive.db, or sqlite:////var/lib/archive.db")
        return url
    if parts.scheme not in {"postgresql", "postgres", "postgresql+psycopg"} or len(parts.path) < 2:
        raise ValueError("must look like sqlite:///FILE or postgresql://USER@HOST/DATABASE, or be none")
    return url


def check_http_url(url: str) -> str:
    """Accept an address of HTTP; a slash at its end is cut off."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise ValueError("is not a valid address") from error
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("must look like http://host:port")
    return url.rstrip("/")


def check_root_key(key: SecretStr) -> SecretStr:
    """Accept what can travel in a header."""
    value = key.get_secret_value()
    if not value.isascii() or not value.isprintable() or " " in value:
        raise ValueError("must be printable ASCII without spaces, as it travels in an HTTP header")
    return key


def check_shopper_secret(secret: SecretStr) -> SecretStr:
    """A key of another kind would be a public one, which anybody may know and could then sign with."""
    if secret.get_secret_value().lstrip().startswith(("-----BEGIN", "ssh-", "{")):
        raise ValueError(
            "is a key in PEM, SSH or JWK form; a public key belongs in FLASHSALE_SHOPPER_PUBLIC_KEY"
        )
    return secret


def load_public_key(value: str) -> str:
    """PEM text as it is, a path's file read: the answer is always the PEM text of an Ed25519 public key."""
    # Imported only where a key is given: it costs every other start of a command a tenth of a second.
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey  # noqa: PLC0415 - slow
    from cryptography.hazmat.primitives.serialization import load_pem_public_key  # noqa: PLC0415 - slow

    pem = value.replace("\\n", "\n") if value.lstrip().startswith("-----BEGIN") else None
    if pem is None:
        try:
            pem = Path(value).read_text(encoding="ascii")
        except (OSError, UnicodeDecodeError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "it is not PEM text"
            raise ValueError(f"is neither PEM text nor a PEM file that can be read ({reason})") from None
    try:
        key = load_pem_public_key(pem.encode())
    except ValueError:
        raise ValueError("does not hold a public key in PEM form") from None
    if not isinstance(key, Ed25519PublicKey):
        raise ValueError("holds a public key that is not Ed25519")  # noqa: TRY004 (pydantic takes no TypeError)
    return pem
