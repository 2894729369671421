"""The invented news of the market: an article for each planted headline. Pure: no clock and no I/O.

Nothing in them is true. The source of each article is `mock`, its address ends in the reserved name `.invalid`, and its
summary begins with "Invented". Good headlines have words that sentiment analysis counts as positive, bad ones negative.
"""

from collections.abc import Mapping, Sequence

import msgspec

from .market import draws
from .plants import HEADLINE, Plant, Plants

SOURCE = "mock"
ADDRESS = "https://news.invalid"
MOST_ARTICLES = 100
LONGEST_AGO = 3600.0  # seconds; there are no older articles

GOOD = (
    ("{name} wins strong support from happy users", "Holders celebrate a great success and a very good outlook."),
    ("Excellent results: {name} network praised as best of its kind", "Reviewers love the impressive improvement."),
    ("Great success for {name}: developers celebrate a brilliant upgrade", "Users enjoy better and safer payments."),
    ("Investors love {name} after a fantastic week", "Confidence is high and gains are strong, analysts are happy."),
    ("{name} wins award for outstanding security", "The jury praised an excellent and trusted design."),
    ("Good news for {name}: popular shops welcome it", "Customers are delighted with the easy and free transfers."),
)
BAD = (
    ("{name} hit by terrible outage, angry users complain", "The failure caused serious losses and a bad week."),
    ("Panic over {name}: severe losses and fear of fraud", "Victims accuse the worst offenders of a scam."),
    ("Disaster for {name}: critical bug destroys confidence", "Developers warn of danger and a horrible mess."),
    ("{name} holders suffer as crisis gets worse", "Fear, doubt and bad debts hurt the weak market."),
    ("Thieves attack {name} wallets in awful crime", "Victims lost savings; police fear more theft and fraud."),
    ("Lawsuit accuses {name} promoters of fraud", "Angry holders blame lies, and losses are terrible."),
)


class Article(msgspec.Struct, frozen=True):
    """An invented article. `published_at` is unix seconds, `symbols` the pair that it is about."""

    id: str
    headline: str
    summary: str
    source: str
    url: str
    published_at: float
    symbols: Sequence[str]


def articles(plants: Plants, names: Mapping[str, str], since: float, until: float) -> list[Article]:
    """Return the articles published in [since, until), oldest first: of the last hour, and the last 100 at most.

    `names` are the names of the assets by symbol of the pair.
    """
    found = plants.between(max(since, until - LONGEST_AGO), until)
    headlines = [plant for plant in found if plant.kind == HEADLINE.name]
    return [_article(plant, names[plant.asset]) for plant in headlines[-MOST_ARTICLES:]]


def _article(plant: Plant, name: str) -> Article:
    draw = draws("article", plant.asset, plant.start)
    headline, summary = draw.choice(GOOD if plant.size > 0 else BAD)
    number = f"{plant.start * 1000:.0f}-{plant.asset}"
    return Article(
        id=f"mock-{number}",
        headline=headline.format(name=name),
        summary=f"Invented for the mock market. {summary}",
        source=SOURCE,
        url=f"{ADDRESS}/{number}",
        published_at=plant.start,
        symbols=(plant.asset,),
    )
