"""Links to the next page: the header of a response, and its description in the OpenAPI document."""

from collections.abc import Collection

from starlette.requests import Request

from aggregator.api.routing.description import Json


def link_to_next(request: Request, path: str, limit: int, cursor: str | None, kept: Collection[str]) -> dict[str, str]:
    """Return the header Link of a page; none for the last, which has no `cursor`.

    The next page has the parameters of the request that are in `kept`.
    """
    if cursor is None:
        return {}
    same = "".join(f"&{name}={value}" for name, value in request.query_params.items() if name in kept)
    return {"Link": f'<{path}?limit={limit}&cursor={cursor}{same}>; rel="next"'}


def next_of(operation_id: str, *, of_asset: bool = True) -> Json:
    """Return the description of `next` in the pages of a route; `of_asset`: its path has the asset."""
    asset = {"path.asset": "$response.body#/asset"} if of_asset else {}
    return {
        "next": {
            "operationId": operation_id,
            "parameters": asset | {"query.cursor": "$response.body#/next"},
            "description": "The next page, if `next` is not null",
        }
    }
