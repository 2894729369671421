"""/alerts: rules of alerts, and the alerts that they have caused."""

import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response as HttpResponse

from aggregator.alerts.rule_book import RuleBook, RuleOfFile, TooManyRules
from aggregator.alerts.rules import (
    EVERY_ASSET,
    MOST_BYTES,
    MOST_OF_EVERY_ASSET,
    MOST_RULES,
    InvalidRule,
    Rule,
    RuleFields,
    name_of,
    parse_rule,
    rule_of,
)
from aggregator.alerts.topic import ALERTS, Alert
from aggregator.api.access.key_descriptions import KEY_NEEDED
from aggregator.api.events.alert_schema import ALERT, BODY, RULE, FiredAlerts, RuleDeleted, RuleList
from aggregator.api.reads.event_reader import USUAL_HOURS, StoredEvents, hours_of, hours_parameter, readable
from aggregator.api.reads.history_reader import STORE_SECONDS
from aggregator.api.reads.store_time import in_time
from aggregator.api.routing.description import Parameter, Response, json
from aggregator.api.routing.request_bodies import JSON_TYPES, media_type_of, whole_body
from aggregator.api.routing.responses import (
    NO_EVENTS,
    Code,
    Refusal,
    answer,
    asset_named,
    asset_of,
    encoder_of,
    refuse,
    refuse_parameter,
    whole,
)
from aggregator.api.routing.route import Route, routes_of
from aggregator.api.routing.shared_descriptions import (
    ASSET,
    BAD_REQUEST,
    NO_EVENTS_NOW,
    NO_STORE,
    NOT_LISTED,
    NUMBERS,
    RETRY_AFTER,
    SYMBOL,
    bad_request,
    limit_parameter,
    refusal,
)
from aggregator.prices.tiers import Catalog
from aggregator.trades.ports import EventReader

T = TypeVar("T")

_DECODER = msgspec.json.Decoder(Alert)
_BODY_SECONDS = 10.0
_USUAL_ALERTS, _MOST_ALERTS = 100, 1000
_MOST_ID = 64  # characters

_BAD_RULE = Refusal("cooldown must be a whole number from 1 to 86400", Code.INVALID_PARAMETER)
_WRONG_TYPE = Refusal(
    "The Content-Type must be application/json; curl sends it with -H 'Content-Type: application/json'",
    Code.UNKNOWN_MEDIA_TYPE,
)
_TOO_LARGE = Refusal(f"The body is larger than {MOST_BYTES} bytes", Code.BODY_TOO_LARGE)
_TOO_SLOW = Refusal(f"The body did not come within {_BODY_SECONDS:g} s", Code.REQUEST_TOO_SLOW)
_FULL = Refusal(
    f"There are {MOST_RULES} rules, or {MOST_OF_EVERY_ASSET} for every asset: delete one", Code.TOO_MANY_RULES
)
_NO_RULE = Refusal("No rule has this id", Code.RULE_NOT_FOUND)
_OF_FILE = Refusal("The rule is in AGGREGATOR_ALERTS_FILE: delete it there, and restart", Code.RULE_OF_FILE)
ALERTS_OFF = Refusal(
    "This process cannot share rules with the one that evaluates them: set AGGREGATOR_EVENTS_URL to a store that"
    " processes share, such as sqlite:///events.db",
    Code.ALERTS_OFF,
)
_OFF = refusal("Rules are in the memory of another process", ALERTS_OFF)
_KEYS = KEY_NEEDED | {429: refusal("Too many invalid keys", headers=(RETRY_AFTER,))}


class AlertRoutes:
    """The routes for alerts. Without a `book`, those for rules answer 501. A store may take `store_seconds`.

    `outlets` are the names of the outlets that a rule may name.
    """

    def __init__(
        self,
        catalog: Catalog,
        book: RuleBook | None,
        reader: EventReader,
        now: Callable[[], float] = time.time,
        store_seconds: float = STORE_SECONDS,
        outlets: Sequence[str] = (),
    ) -> None:
        self._catalog = catalog
        self._book = book
        self._fired = StoredEvents(reader, now, store_seconds)
        self._now = now
        self._store_seconds = store_seconds
        self._outlets = outlets

    def routes(self) -> list[Route]:
        """Return the routes."""
        return routes_of(self)

    @Route(
        "GET",
        "/alerts",
        label="/alerts",
        operation_id="getAlertRules",
        tag="alerts",
        summary="The rules",
        parameters=[NUMBERS],
        responses={
            200: Response("The rules", (json(RuleList, {"rules": [RULE]}),), (NO_STORE,)),
            400: BAD_REQUEST,
            501: _OFF,
            503: NO_EVENTS_NOW,
        },
        is_compressed=True,
    )
    async def rules(self, request: Request) -> HttpResponse:
        """Return all rules."""
        book, encode_ = self._known_book(), encoder_of(request)
        await self._in_time(book.read())
        return answer(RuleList(book.rules), encode=encode_)

    @Route(
        "POST",
        "/alerts",
        label="/alerts",
        operation_id="addAlertRule",
        tag="alerts",
        summary="Add a rule",
        description=f"At most {MOST_RULES} rules are kept, {MOST_OF_EVERY_ASSET} of them for every asset. The rule is"
        " evaluated within 5 s. A rule that is there already is not added again: the answer is the rule that is kept."
        " Needs a key if `API_KEYS` is set.",
        body=(BODY,),
        responses={
            200: Response("A rule with the same fields is kept already: this one", (json(Rule, RULE),), (NO_STORE,)),
            201: Response("The rule, which is kept", (json(Rule, RULE),), (NO_STORE,)),
            400: bad_request("The body is no rule. `msg` names the field", _BAD_RULE),
            404: NOT_LISTED,
            408: refusal("The body did not come in time", _TOO_SLOW),
            409: refusal("There are as many rules as there may be", _FULL),
            413: refusal("The body is too large", _TOO_LARGE),
            415: refusal("The Content-Type is not that of JSON", _WRONG_TYPE),
            501: _OFF,
            503: NO_EVENTS_NOW,
            **_KEYS,
        },
        access="write",
    )
    async def add(self, request: Request) -> HttpResponse:
        """Keep the rule in the body; the key has been checked before."""
        book = self._known_book()
        if media_type_of(request) not in JSON_TYPES:
            raise refuse(415, _WRONG_TYPE)
        fields = parse_rule(await whole_body(request, MOST_BYTES, _TOO_LARGE, _BODY_SECONDS, _TOO_SLOW))
        if isinstance(fields, InvalidRule):
            raise refuse_parameter(fields.reason)
        self._check_outlet(fields.outlet)
        fields = self._with_symbol(fields)
        rule = rule_of(fields, name_of(fields), self._now())
        try:
            kept = await self._in_time(book.add(rule))
        except TooManyRules as error:
            raise refuse(409, _FULL) from error
        return answer(kept, 201 if kept is rule else 200)

    @Route(
        "DELETE",
        "/alerts/{id}",
        label="/alerts",
        operation_id="deleteAlertRule",
        tag="alerts",
        summary="Delete a rule",
        description="Alerts that it has caused are kept. Needs a key if `API_KEYS` is set.",
        parameters=[
            Parameter(
                "id",
                "path",
                "The id of the rule",
                {"type": "string", "maxLength": _MOST_ID, "pattern": "^[A-Za-z0-9_-]+$"},
                (RULE["id"],),
                required=True,
            )
        ],
        responses={
            200: Response(
                "The rule is deleted", (json(RuleDeleted, {"message": f"Rule {RULE['id']} deleted"}),), (NO_STORE,)
            ),
            404: refusal("No rule has this id", _NO_RULE),
            409: refusal("The rule is in the file of the settings", _OF_FILE),
            501: _OFF,
            503: NO_EVENTS_NOW,
            **_KEYS,
        },
        access="write",
    )
    async def delete(self, request: Request) -> HttpResponse:
        """Delete the rule; the key has been checked before."""
        book, name = self._known_book(), request.path_params["id"]
        try:
            is_removed = len(name) <= _MOST_ID and await self._in_time(book.remove(name))
        except RuleOfFile as error:
            raise refuse(409, _OF_FILE) from error
        if not is_removed:
            raise refuse(404, _NO_RULE)
        return answer(RuleDeleted(f"Rule {name} deleted"))

    @Route(
        "GET",
        "/alerts/fired/{asset:path}",
        label="/alerts",
        operation_id="getAlerts",
        tag="alerts",
        summary="The alerts of an asset",
        description="Newest first. The topic `alerts` of /stream and /ws has them as they come.",
        parameters=[
            ASSET,
            hours_parameter("alerts"),
            limit_parameter("alerts", _USUAL_ALERTS, _MOST_ALERTS),
            NUMBERS,
        ],
        responses={
            200: Response(
                "The alerts",
                (json(FiredAlerts, {"asset": SYMBOL, "hours": USUAL_HOURS, "count": 1, "alerts": [ALERT]}),),
                (NO_STORE,),
            ),
            400: BAD_REQUEST,
            404: NOT_LISTED,
            503: NO_EVENTS_NOW,
        },
        is_compressed=True,
    )
    async def fired(self, request: Request) -> HttpResponse:
        """Return the stored alerts of the last hours."""
        asset, encode_ = asset_of(request, self._catalog), encoder_of(request)
        hours, limit = hours_of(request), whole(request, "limit", _USUAL_ALERTS, _MOST_ALERTS)
        alerts = readable(await self._fired.last_hours(ALERTS.name, asset.symbol, hours, limit), _DECODER)
        return answer(FiredAlerts(asset.symbol, hours, len(alerts), alerts), encode=encode_)

    def _known_book(self) -> RuleBook:
        if self._book is None:
            raise refuse(501, ALERTS_OFF)
        return self._book

    def _check_outlet(self, name: str | None) -> None:
        """Raise the response 400 for an outlet that is not there."""
        if name is not None and name not in self._outlets:
            allowed = f"one of {', '.join(self._outlets)}" if self._outlets else "left out: there are no outlets"
            raise refuse_parameter(f"outlet must be {allowed}")

    def _with_symbol(self, fields: RuleFields) -> RuleFields:
        """Return the fields with the symbol of a listed asset. Raises the responses 400 and 404."""
        if fields.asset == EVERY_ASSET:
            return fields
        return msgspec.structs.replace(fields, asset=asset_named(fields.asset, self._catalog).symbol)

    async def _in_time(self, call: Awaitable[T]) -> T:
        return await in_time(call, self._store_seconds, NO_EVENTS)
