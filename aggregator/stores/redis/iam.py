"""`rediss://user@host:6379/0?iam=cache&region=us-east-1`: sign in to ElastiCache with AWS credentials, not a password.

The password of a connection is then a call of `connect`, signed as AWS signs calls (SigV4, in the query) with whatever
credentials the process has, an instance's role for example. It is good for 15 minutes and made anew for each
connection; ElastiCache ends a connection after 12 hours, and the next one signs in again. There is no secret to keep.
"""

from urllib.parse import parse_qs, urlencode, urlsplit

import aioboto3
from botocore.auth import SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.exceptions import BotoCoreError
from redis.credentials import CredentialProvider
from redis.exceptions import AuthenticationError

_SECONDS = 900  # the most that ElastiCache takes


class SignIn(CredentialProvider):
    """Makes user and password of each new connection; what goes wrong is redis-py's AuthenticationError."""

    def __init__(self, user: str, cache: str, region: str) -> None:
        self._user = user
        self._cache = cache
        self._region = region
        self._session = aioboto3.Session()

    def get_credentials(self) -> tuple[str, str]:
        """Not for us: credentials come over the network, and nothing here waits in the event loop."""
        raise NotImplementedError("asyncio only")

    async def get_credentials_async(self) -> tuple[str, str]:
        """Return user and password."""
        try:
            found = await self._session.get_credentials()
            if found is None:
                raise AuthenticationError("there are no AWS credentials to sign in with")
            request = AWSRequest("GET", f"https://{self._cache}/", params={"Action": "connect", "User": self._user})
            frozen = await found.get_frozen_credentials()
        except BotoCoreError as error:
            raise AuthenticationError(f"no AWS credentials to sign in with: {error}") from error
        SigV4QueryAuth(frozen, "elasticache", self._region, expires=_SECONDS).add_auth(request)
        return self._user, str(request.url).removeprefix("https://")


def sign_in_of(url: str) -> tuple[str, SignIn | None]:
    """Return the URL as redis-py takes it and, where it asks for one, the way to sign in."""
    parts = urlsplit(url)
    query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    if "iam" not in query:
        return url, None
    sign_in = SignIn(parts.username or "", query.pop("iam"), query.pop("region", ""))
    place = parts.netloc.rpartition("@")[2]  # with a user in the URL, redis-py would ask nobody else
    return parts._replace(netloc=place, query=urlencode(query)).geturl(), sign_in
