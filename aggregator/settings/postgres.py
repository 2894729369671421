"""The settings of PostgreSQL, for every store that is kept there."""

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings


class PostgresSettings(BaseSettings):
    """The part of the settings that the stores in PostgreSQL share."""

    postgres_password: SecretStr = Field(
        SecretStr(""),
        description="Password of the user in a postgresql:// address; default: PGPASSWORD, or the file ~/.pgpass.",
    )
