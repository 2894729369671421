"""Sessions and clients of AWS's services, through aioboto3. Imported only where a client is made."""

from contextlib import AbstractAsyncContextManager
from functools import cache
from typing import Any

import aioboto3
from aiobotocore.session import AioSession
from botocore.config import Config
from botocore.loaders import Loader


async def new_client(
    service: str, region: str | None, endpoint: str | None, *, connect: float, read: float, connections: int
) -> AbstractAsyncContextManager[Any]:
    """Return a client of a service, to be entered; it sends nothing before its first call. aioboto3 has no types.

    `endpoint` is a URL in place of AWS's own, such as that of DynamoDB Local; for one, placeholders do where no
    credentials are configured. `connect` and `read` are timeouts in seconds. The callers build and retry each request.
    Raises what botocore raises, such as NoRegionError.
    """
    session = new_session()
    options: dict[str, object] = {}
    if endpoint is not None and await session.get_credentials() is None:
        options |= {"aws_access_key_id": "local", "aws_secret_access_key": "local"}
    if endpoint is not None and endpoint.startswith("http://"):
        options["verify"] = False  # there is no certificate; else each client reads all roots, 0.03 s of CPU
    config = Config(
        connect_timeout=connect,
        read_timeout=read,
        max_pool_connections=connections,
        parameter_validation=False,  # takes half of the CPU time of a call
        retries={"total_max_attempts": 1},  # nested retries would multiply
        user_agent="price-aggregator",  # botocore builds its own anew for each call
    )
    client: AbstractAsyncContextManager[Any] = session.client(
        service, region_name=region, endpoint_url=endpoint, config=config, **options
    )
    return client


def new_session() -> aioboto3.Session:
    """Return a session with its own credentials, and with descriptions of services that all sessions share.

    A client takes 0.14 s of CPU, four fifths of it for reading the descriptions; a start makes up to six clients.
    """
    session = AioSession()
    found = aioboto3.Session(botocore_session=session)
    session.register_component("data_loader", descriptions())  # after aioboto3 has added a path to the session's own
    return found


@cache  # of files of botocore, which do not change
def descriptions() -> Loader:
    """Return what reads the descriptions of services, and keeps them."""
    found: Loader = AioSession().get_component("data_loader")
    return found
