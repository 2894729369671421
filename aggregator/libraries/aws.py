"""Sessions of AWS's clients, through aioboto3. Imported only where a client is made."""

from functools import cache

import aioboto3
from aiobotocore.session import AioSession
from botocore.loaders import Loader


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
