"""The settings of news."""

from typing import Annotated

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode

from aggregator.newsfeeds.finnhub import MOST_COMPANIES
from aggregator.newsfeeds.registry import FORMS, Target, news_targets


class NewsSettings(BaseSettings):
    """The part of the settings that news have."""

    news: str = Field(
        "",
        repr=False,  # the address of a feed may have a key
        description=f"Comma-separated sources of news: {FORMS}. Without any, no news are read. Needs the extra `news`.",
    )
    news_interval: Annotated[float, Field(ge=10, le=86_400, allow_inf_nan=False)] = Field(
        60, description="Seconds between two calls of a source of news; a mock source is called every 0.25 s."
    )
    news_companies: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        max_length=MOST_COMPANIES,
        description="Comma-separated tickers of companies, such as COIN,MSTR, whose news are read from Finnhub too.",
    )
    finnhub_key: SecretStr = Field(SecretStr(""), description="Key of Finnhub; needed by the source finnhub.")

    @field_validator("news")
    @classmethod
    def _check_news(cls, text: str) -> str:
        news_targets(text)
        return text

    @field_validator("news_companies", mode="before")
    @classmethod
    def _split_companies(cls, value: object) -> object:
        return tuple(filter(None, value.upper().replace(" ", "").split(","))) if isinstance(value, str) else value

    @field_validator("finnhub_key")
    @classmethod
    def _check_key(cls, key: SecretStr) -> SecretStr:
        if not (key.get_secret_value().isascii() and key.get_secret_value().isprintable()):
            raise ValueError("finnhub_key must have printable ASCII characters only")
        return key

    @model_validator(mode="after")
    def _check_finnhub(self) -> "NewsSettings":
        if any(one.kind == "finnhub" for one in self.news_targets) and not self.finnhub_key.get_secret_value():
            raise ValueError("the source finnhub of news needs finnhub_key")
        return self

    @property
    def news_targets(self) -> list[Target]:
        """The sources of news."""
        return news_targets(self.news)
