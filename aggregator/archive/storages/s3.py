"""An archive in an S3 bucket. A write is one PUT with a condition on the version that it replaces.

So no writer replaces a file that it has not read: of two, the slower one gets a Conflict and starts over.
"""

import base64
import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from aggregator.archive.storages.address import S3Address
from aggregator.archive.storages.credentials import PLACEHOLDERS, s3_credentials
from aggregator.archive.storages.definition import Conflict, StoredFile
from aggregator.archive.storages.work_folder import delete_work_folder, make_work_folder
from aggregator.errors import StoreError, StoreRefused, StoreUnavailable, printable

_MISSING = {"404", "NoSuchKey", "NotFound"}
_CONFLICTS = {"412", "409", "PreconditionFailed", "ConditionalRequestConflict"}
_DENIED = {"403", "AccessDenied"}
_REFUSED = _DENIED | {"InvalidAccessKeyId", "SignatureDoesNotMatch", "NoSuchBucket"}
_QUERY = re.compile(r"\?[^\s\"]*")
_RIGHTS = {"ListObjectsV2": "s3:ListBucket", "GetObject": "s3:GetObject", "PutObject": "s3:PutObject"}
_WORDS = {
    "InvalidAccessKeyId": "the server does not know the access key",
    "SignatureDoesNotMatch": "the secret key is not that of the access key",
    "ExpiredToken": "the credentials have expired",
    "InvalidToken": "the session token is not that of the access key",
    "RequestTimeTooSkewed": "the clock of this machine is wrong",
    "NoSuchBucket": "there is no such bucket",
}


class S3Storage:
    """`aggregator.archive.storages.definition.Storage` in a bucket."""

    def __init__(self, address: S3Address, work_folder: Path) -> None:
        self._address = address
        self._parent = work_folder
        self._work_folder: Path | None = None
        self._client: Any = None  # botocore has no types

    def open(self) -> None:
        """As `Storage.open`. Raises StoreRefused without credentials, rights or the bucket."""
        try:
            self._work_folder = make_work_folder(self._parent)
        except OSError as error:
            raise StoreUnavailable(f"cannot write to {self._parent}: {error.strerror}") from error
        if self._client is None:
            self._client = self._connected()
        with self._mapped():
            self._client.list_objects_v2(Bucket=self._address.bucket, Prefix=self._address.prefix, MaxKeys=1)

    def exclusive(self) -> nullcontext[None]:
        """Return no lock: every write has a condition."""
        return nullcontext()

    def url(self, path: str) -> str:
        """As `Storage.url`."""
        return f"{self._address.root}/{path}"

    def read(self, path: str) -> tuple[bytes, str] | None:
        """As `Storage.read`."""
        with self._mapped():
            try:
                found = self._client.get_object(Bucket=self._address.bucket, Key=self._address.key(path))
            except ClientError as error:
                if _code(error) in _MISSING:
                    return None
                raise
            with found["Body"] as body:
                return body.read(), found["ETag"]

    def put(self, path: str, source: Path, expected: str | None) -> None:
        """As `Storage.put`. The server compares a checksum of what arrives."""
        condition = {"IfNoneMatch": "*"} if expected is None else {"IfMatch": expected}
        with self._mapped():
            try:
                with source.open("rb") as file:
                    digest = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).digest()
                    file.seek(0)
                    self._client.put_object(
                        Bucket=self._address.bucket,
                        Key=self._address.key(path),
                        Body=file,
                        ContentMD5=base64.b64encode(digest).decode(),
                        **condition,
                    )
            except ClientError as error:
                if _code(error) in _CONFLICTS or (expected is not None and _code(error) in _MISSING):
                    raise Conflict(path) from error
                raise
            except OSError as error:
                raise StoreUnavailable(f"cannot read {source}: {error.strerror}") from error
        source.unlink(missing_ok=True)

    def delete(self, path: str) -> None:
        """As `Storage.delete`."""
        with self._mapped():
            self._client.delete_object(Bucket=self._address.bucket, Key=self._address.key(path))

    def list(self, folder: str) -> Iterator[StoredFile]:
        """As `Storage.list`."""
        root = self._address.key("")
        with self._mapped():
            pages = self._client.get_paginator("list_objects_v2")
            for page in pages.paginate(Bucket=self._address.bucket, Prefix=f"{root}{folder}".lstrip("/")):
                for one in page.get("Contents", ()):
                    yield StoredFile(one["Key"].removeprefix(root), one["Size"], one["ETag"])

    @property
    def work_folder(self) -> Path:
        """As `Storage.work_folder`."""
        if self._work_folder is None:
            raise StoreUnavailable("the archive is not opened")
        return self._work_folder

    def close(self) -> None:
        """As `Storage.close`."""
        if self._work_folder is not None:
            delete_work_folder(self._work_folder)
        if self._client is not None:
            self._client.close()

    def _connected(self) -> Any:
        endpoint = self._address.endpoint
        found = s3_credentials(self._address)
        given = found if found == PLACEHOLDERS else None  # else the chain, which renews what expires
        return botocore.session.get_session().create_client(
            "s3",
            region_name=self._address.region,
            endpoint_url=endpoint,
            aws_access_key_id=given and given.key,
            aws_secret_access_key=given and given.secret,
            config=Config(
                connect_timeout=3,
                read_timeout=30,
                retries={"total_max_attempts": 1},  # the archiver retries
                s3={"addressing_style": "path" if endpoint else "auto"},
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        )

    @contextmanager
    def _mapped(self) -> Iterator[None]:
        try:
            yield
        except ClientError as error:
            raise _mapped_error(error, self._address.bucket) from error
        except BotoCoreError as error:
            # The message has the address of the call; its query is no help.
            raise StoreUnavailable(f"S3: {printable(_QUERY.sub('', str(error)))}") from error


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _mapped_error(error: ClientError, bucket: str) -> StoreError:
    kind = StoreRefused if _code(error) in _REFUSED else StoreUnavailable
    return kind(f"S3, bucket {bucket}: {_in_words(error)}")


def _in_words(error: ClientError) -> str:
    code, operation = _code(error), str(error.operation_name)
    right = _RIGHTS.get(operation, f"s3:{operation}")
    words = f"the credentials lack the right {right}" if code in _DENIED else _WORDS.get(code)
    return printable(str(error)) if words is None else f"{words} ({code} at {operation})"
