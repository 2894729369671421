"""`rediss://user@host:6379/0?iam=cache&region=us-east-1`: sign in to ElastiCache with AWS credentials, not a password.

The password of a connection is a URL of the action `connect`, signed by SigV4 with the credentials of the process, for
example those of an instance's role. It is valid for 15 minutes and made for each connection. ElastiCache closes a
connection after 12 hours; the next connection signs in again. No secret has to be stored.
"""

from urllib.parse import parse_qs, urlencode, urlsplit

from botocore.auth import SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.exceptions import BotoCoreError
from redis.credentials import CredentialProvider
from redis.exceptions import AuthenticationError

from aggregator.libraries.aws import new_session

_VALID_SECONDS = 900  # the most that ElastiCache accepts


class SignIn(CredentialProvider):
    """Makes user name and password of each new connection. Raises redis-py's AuthenticationError."""

    def __init__(self, user: str, cache: str, region: str) -> None:
        self._user = user
        self._cache = cache
        self._region = region
        self._session = new_session()

    def get_credentials(self) -> tuple[str, str]:
        """Raise NotImplementedError: getting credentials would block the event loop."""
        raise NotImplementedError("use get_credentials_async")

    async def get_credentials_async(self) -> tuple[str, str]:
        """Return user name and password."""
        try:
            found = await self._session.get_credentials()
            if found is None:
                raise AuthenticationError("there are no AWS credentials to sign in with")
            request = AWSRequest("GET", f"https://{self._cache}/", params={"Action": "connect", "User": self._user})
            frozen = await found.get_frozen_credentials()
        except BotoCoreError as error:
            raise AuthenticationError(f"no AWS credentials to sign in with: {error}") from error
        SigV4QueryAuth(frozen, "elasticache", self._region, expires=_VALID_SECONDS).add_auth(request)
        return self._user, str(request.url).removeprefix("https://")


def sign_in_of(url: str) -> tuple[str, SignIn | None]:
    """Return the URL for redis-py and, if the URL has `iam`, the credential provider."""
    parts = urlsplit(url)
    query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    if "iam" not in query:
        return url, None
    sign_in = SignIn(parts.username or "", query.pop("iam"), query.pop("region", ""))
    place = parts.netloc.rpartition("@")[2]  # with a user in the URL, redis-py ignores the credential provider
    return parts._replace(netloc=place, query=urlencode(query)).geturl(), sign_in
