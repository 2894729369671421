"""Rules of alerts in a file: a JSON array of what POST /alerts takes. Pure.

The id of a rule follows from its fields, so that it is the same in every process and after a restart.
"""

from collections import Counter
from collections.abc import Callable, Collection, Sequence

import msgspec

from aggregator.alerts.rules import (
    EVERY_ASSET,
    MOST_BYTES,
    MOST_OF_EVERY_ASSET,
    MOST_RULES,
    InvalidRule,
    Rule,
    name_of,
    parse_rule,
    rule_of,
)

MOST_FILE_BYTES = 1 << 20
_array = msgspec.json.Decoder(list[msgspec.Raw])


class InvalidRules(ValueError):
    """The file has something that is no rule. The message has the number of the rule, and the reason."""


def rules_in(
    raw: bytes, symbol_of: Callable[[str], str | None], outlets: Collection[str], created_at: float
) -> list[Rule]:
    """Return the rules of a file. `symbol_of` returns the symbol of a listed asset, None for any other text.

    Raises InvalidRules.
    """
    try:
        parts = _array.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRules("it must be a JSON array of rules, as POST /alerts takes them") from error
    rules = [_rule(number, bytes(part), symbol_of, outlets, created_at) for number, part in enumerate(parts, start=1)]
    if len(rules) > MOST_RULES or sum(one.asset == EVERY_ASSET for one in rules) > MOST_OF_EVERY_ASSET:
        raise InvalidRules(f"it has more than {MOST_RULES} rules, or {MOST_OF_EVERY_ASSET} for every asset")
    name, times = Counter(one.id for one in rules).most_common(1)[0] if rules else ("", 0)
    if times > 1:
        first, second = [number for number, one in enumerate(rules, start=1) if one.id == name][:2]
        raise InvalidRules(f"rules {first} and {second} are the same")
    return rules


def _rule(
    number: int, raw: bytes, symbol_of: Callable[[str], str | None], outlets: Collection[str], created_at: float
) -> Rule:
    fields = parse_rule(raw) if len(raw) <= MOST_BYTES else InvalidRule(f"it is larger than {MOST_BYTES} bytes")
    if isinstance(fields, InvalidRule):
        raise InvalidRules(f"rule {number}: {fields.reason.replace('the body', 'it')}")
    if fields.outlet is not None and fields.outlet not in outlets:
        raise InvalidRules(f"rule {number}: outlet must be the name of an outlet of the service")
    symbol = EVERY_ASSET if fields.asset == EVERY_ASSET else symbol_of(fields.asset)
    if symbol is None:
        raise InvalidRules(f"rule {number}: asset must be a listed symbol, or * for every asset")
    fields = msgspec.structs.replace(fields, asset=symbol)
    return rule_of(fields, f"file-{name_of(fields)}", created_at)


def in_order(rules: Sequence[Rule]) -> list[Rule]:
    """Return rules in the order of their creation."""
    return sorted(rules, key=lambda rule: (rule.created_at, rule.id))
