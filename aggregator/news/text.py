"""Plain text of what sources send as text or HTML. Pure; linear in the bounded part of the text that it reads."""

import html
import re

_READ = 20  # characters that are read for each one that is returned: markup can be much longer than its text
_LEAST_READ = 4000
_TAG = re.compile(r"<[a-zA-Z/!?][^<>]*>")
_HIDDEN = ("script", "style")


def plain(text: str, most: int) -> str:
    """Return the first `most` characters of the text without tags, entities, control characters and double spaces."""
    text = text[: max(_READ * most, _LEAST_READ)]
    for _ in range(2):  # in feeds, markup is often escaped once more
        if "<" in text:
            text = _without_tags(text)
        if "&" not in text:
            break
        text = html.unescape(text)
    if "<" in text:
        text = _without_tags(text)
    if not text.isprintable():
        text = "".join(one if one.isprintable() else " " for one in text)
    return " ".join(text.split())[:most].rstrip()


def _without_tags(text: str) -> str:
    for name in _HIDDEN:
        text = _without_blocks(text, name)
    text = _TAG.sub(" ", text)
    begun = text.rfind("<")
    # A tag that was cut, and not a sign such as in "< 5 %".
    return text[:begun] if begun >= 0 and text[begun + 1 : begun + 2].isalpha() else text


def _without_blocks(text: str, name: str) -> str:
    """Return the text without the elements `name`; one that is not closed goes on to the end."""
    lower, found, place = text.lower(), [], 0
    if len(lower) != len(text):  # a character has a longer lower case, so that places would differ
        return text
    while (begin := lower.find(f"<{name}", place)) >= 0:
        found.append(text[place:begin])
        end = lower.find(f"</{name}", begin)
        if end < 0:
            return " ".join(found)
        place = end
    return " ".join([*found, text[place:]]) if found else text
