"""Who is calling: the bearer token or key of a request."""

from aiohttp import web

from flashsale.api.problems import Problem, unauthenticated
from flashsale.api.state import Shop
from flashsale.identity.api_keys import ApiKey
from flashsale.identity.tokens import TokenError


def bearer(request: web.Request) -> str:
    """The credentials of `Authorization: Bearer ...`.

    Raises:
        Problem: 401 when there are none.
    """
    header = request.headers.get("Authorization")
    if header is None:
        raise unauthenticated("This needs the header Authorization: Bearer <token or API key>.")
    scheme, _, credentials = header.partition(" ")
    if scheme.lower() != "bearer" or not credentials:
        raise unauthenticated("The header Authorization must have the form Bearer <token or API key>.")
    return credentials


def customer(request: web.Request, shop: Shop) -> str:
    """The customer whose shopper token this is.

    Raises:
        Problem: 401.
    """
    try:
        return shop.tokens.verify(bearer(request))
    except TokenError as error:
        raise unauthenticated(str(error)) from None


async def api_key(request: web.Request, shop: Shop) -> ApiKey:
    """The API key of a request.

    Raises:
        Problem: 401.
    """
    key = await shop.api_keys.authenticate(bearer(request))
    if key is None:
        raise unauthenticated("This API key is not known, or was revoked.")
    return key


async def require_scope(request: web.Request, shop: Shop, scope: str) -> None:
    """Lets through an API key that has this scope.

    Raises:
        Problem: 401, or 403 for a key without it.
    """
    if not (await api_key(request, shop)).may(scope):
        raise Problem("forbidden", f"This needs an API key with the scope {scope}.")


async def require_root(request: web.Request, shop: Shop) -> None:
    """Lets the root key through.

    Raises:
        Problem: 401, or 403 for another key.
    """
    if not (await api_key(request, shop)).may_manage_keys:
        raise Problem("forbidden", "Only the root key makes, lists and revokes keys.")


async def customer_or_support(request: web.Request, shop: Shop) -> str | None:
    """The customer of a shopper token, or None for an API key with the scope support, which may see every reservation.

    Raises:
        Problem: 401, or 403 for a key without the scope.
    """
    credentials = bearer(request)
    key = await shop.api_keys.authenticate(credentials)
    if key is None:
        return customer(request, shop)
    if not key.may("support"):
        raise Problem("forbidden", "This needs an API key with the scope support.")
    return None
