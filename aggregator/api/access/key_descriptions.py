"""The part of the OpenAPI document about keys: the responses to reads and to writes, and the security schemes."""

from aggregator.api.access.keys import NO_KEY, READ_ONLY_KEY, TOO_MANY_WRONG_KEYS, WRONG_KEY
from aggregator.api.access.policy import FOREIGN_ORIGIN
from aggregator.api.routing.description import Json
from aggregator.api.routing.shared_descriptions import AUTHENTICATE, RETRY_AFTER, refusal

KEY_NEEDED = {
    401: refusal("A key is needed", NO_KEY, headers=(AUTHENTICATE,)),
    403: refusal(
        "The key is not valid or is for reading only, or the request comes from a page of another site",
        WRONG_KEY,
        READ_ONLY_KEY,
        FOREIGN_ORIGIN,
    ),
}
EVERY_READ_RESPONDS = {
    401: refusal("Reading needs a key (`READ_KEYS` is set)", NO_KEY, headers=(AUTHENTICATE,), component="NoKey"),
    403: refusal("The key is not valid", WRONG_KEY, component="WrongKey"),
    429: refusal(
        "Too many invalid keys have come from this address",
        TOO_MANY_WRONG_KEYS,
        headers=(RETRY_AFTER,),
        component="TooManyKeys",
    ),
}
SECURITY_SCHEMES: Json = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "A key of API_KEYS, or of READ_KEYS for reading"},
    "key": {
        "type": "apiKey",
        "in": "header",
        "name": "X-API-Key",
        "description": "A key of API_KEYS, or of READ_KEYS for reading",
    },
}
