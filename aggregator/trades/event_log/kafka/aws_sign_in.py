"""Sign-in to Amazon MSK with AWS credentials instead of a password. Imports Amazon's libraries.

The brokers take SASL OAUTHBEARER. The token is a URL of the action `kafka-cluster:Connect`, signed by SigV4 with the
credentials of the process, for example those of an instance's role, and encoded as base64url. It is valid for 15
minutes; librdkafka asks for the next one after four fifths of that time.
"""

import base64
import re
import time

import botocore.session
from botocore.auth import SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.exceptions import BotoCoreError

from aggregator.errors import StoreRefused

_VALID_SECONDS = 900  # as in Amazon's own clients
_REGION = re.compile(r"\.kafka(?:-serverless)?\.([a-z0-9-]+)\.amazonaws\.com")


class AwsSignIn:
    """Makes tokens; `token` is an `oauth_cb` of confluent-kafka. Raises StoreRefused without credentials or region."""

    def __init__(self, brokers: str) -> None:
        session = botocore.session.Session()
        found = _REGION.search(brokers)
        region = found[1] if found else session.get_config_variable("region")
        if not region:
            raise StoreRefused("AWS_MSK_IAM: neither the brokers' names nor AWS_DEFAULT_REGION name a region")
        self._region: str = region
        try:
            credentials = session.get_credentials()
        except BotoCoreError as error:
            raise StoreRefused(f"AWS_MSK_IAM: {error}") from error
        if credentials is None:
            raise StoreRefused("AWS_MSK_IAM: no credentials in the environment, the files or the role of AWS")
        self._credentials = credentials

    def token(self, _: str = "") -> tuple[str, float]:
        """Return a token and its end, in unix seconds. The library calls it in a thread, and again after an error."""
        frozen = self._credentials.get_frozen_credentials()
        end = time.time() + _VALID_SECONDS
        request = AWSRequest(
            "GET", f"https://kafka.{self._region}.amazonaws.com/", params={"Action": "kafka-cluster:Connect"}
        )
        SigV4QueryAuth(frozen, "kafka-cluster", self._region, expires=_VALID_SECONDS).add_auth(request)
        url = f"{request.url}&User-Agent=aggregator"  # not signed; the brokers want one
        return base64.urlsafe_b64encode(url.encode()).rstrip(b"=").decode(), end
