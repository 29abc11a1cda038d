"""An object store to test with: a server process that speaks S3, on this machine alone."""

from __future__ import annotations

import re
import subprocess
import sys
import urllib.request
import uuid
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Thread

import obstore
from obstore.store import S3Store

SECRET = "s3cr3t-0f-th3-t3sts"
_READY = re.compile(r"Running on (http://\S+)")


@dataclass(frozen=True)
class Bucket:
    """A bucket of its own in a running server."""

    endpoint: str
    name: str

    @property
    def options(self) -> dict[str, str]:
        return {
            "aws_access_key_id": "somebody",
            "aws_secret_access_key": SECRET,
            "aws_endpoint_url": self.endpoint,
            "aws_region": "eu-central-1",
        }

    @property
    def url(self) -> str:
        return f"s3://{self.name}/the lake"

    @property
    def store(self) -> S3Store:
        client = {"allow_http": True}
        return S3Store(self.name, config=self.options, client_options=client)  # type: ignore

    def objects(self) -> dict[str, bytes]:
        """Every object below :attr:`url`, by its name there."""
        store, folder = self.store, "the lake/"
        names = [meta["path"] for some in obstore.list(store) for meta in some]
        return {
            name.removeprefix(folder): bytes(obstore.get(store, name).bytes()) for name in names
        }

    def put(self, name: str, content: bytes) -> None:
        obstore.put(self.store, f"the lake/{name}", content)

    def delete(self, name: str) -> None:
        obstore.delete(self.store, f"the lake/{name}")


@contextmanager
def serving() -> Iterator[str]:
    """A server in a process of its own; its address."""
    command = [sys.executable, "-u", "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        assert server.stdout is not None
        found = next((m for line in server.stdout if (m := _READY.search(line))), None)
        assert found is not None, "the server ended before it was ready"
        Thread(target=deque, args=(server.stdout, 0), daemon=True).start()  # or its pipe fills
        yield found[1]
    finally:
        server.kill()
        server.wait()


def bucket(endpoint: str) -> Bucket:
    """A new bucket."""
    name = f"b{uuid.uuid4().hex}"
    asked = urllib.request.Request(f"{endpoint}/{name}", method="PUT")
    urllib.request.urlopen(asked).close()
    return Bucket(endpoint, name)
