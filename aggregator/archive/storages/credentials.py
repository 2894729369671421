"""Credentials of S3 for DuckDB, from the chain of AWS. Imports Amazon's libraries."""

import botocore.session
import msgspec
from botocore.exceptions import BotoCoreError

from aggregator.archive.storages.address import S3Address
from aggregator.errors import StoreRefused


class S3Credentials(msgspec.Struct, frozen=True):
    """Credentials; `token` is empty for those that do not expire."""

    key: str
    secret: str
    token: str = ""


PLACEHOLDERS = S3Credentials("none", "none")
"""Credentials for an endpoint of our own where the chain of AWS has none."""


def s3_credentials(address: S3Address) -> S3Credentials:
    """Return credentials from the chain of AWS; placeholders for an endpoint of our own without any.

    Raises StoreRefused where there are none.
    """
    try:
        found = botocore.session.get_session().get_credentials()
        frozen = None if found is None else found.get_frozen_credentials()
    except BotoCoreError as error:
        raise StoreRefused(f"S3: {error}") from error
    if frozen is None or not frozen.access_key or not frozen.secret_key:
        if address.endpoint is None:
            raise StoreRefused("S3: no credentials in the environment, the files or the role of AWS")
        return PLACEHOLDERS
    return S3Credentials(frozen.access_key, frozen.secret_key, frozen.token or "")
