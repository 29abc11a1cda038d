"""What an object store is asked for, below one URL: bytes of objects, names, and to keep some.

The store is any that ``obstore`` knows by its URL (``s3://``, ``gs://``, ``az://``, ``abfss://``);
``storage_options`` are called as Delta calls them. What goes wrong is told without what the options
say, and without the addresses of requests, in which some stores are given their keys.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import urlsplit

from uih_lake.errors import InputError, LakeError, OutputError, UihError
from uih_lake.wording import on_one_line

if TYPE_CHECKING:
    from obstore.store import ObjectStore

Options = Mapping[str, str] | None
"""``storage_options``: what they are called, and set to; None: what the environment says."""

SCHEMES = ("s3", "s3a", "gs", "az", "azure", "abfs", "abfss")

_URL = re.compile(rf"({'|'.join(SCHEMES)})://", re.IGNORECASE)
_CLIENT = re.compile(
    r"(?:aws_|google_|azure_)?(allow_http|allow_invalid_certificates|connect_timeout|timeout"
    r"|proxy_url|user_agent)",
    re.IGNORECASE,
)
"""Options of the connection and not of the store, which obstore takes apart from the others."""
_ENDPOINT = re.compile(r"(?:aws_|azure_|google_)?(?:endpoint|endpoint_url|base_url)", re.IGNORECASE)
_RETRY = {"max_retries": 5, "retry_timeout": timedelta(seconds=60)}
_ATTEMPTS = re.compile(r"Error performing .*? - ")
_ADDRESS = re.compile(r"https?://\S+")
_CODE = re.compile(r"<Code>(\w+)</Code>")
_PIECE = 4 * 1024 * 1024  # bytes
_SHORTEST_SECRET = 4  # characters: what is shorter is part of plain words


def is_url(place: Any) -> bool:
    """Whether this names a place in an object store."""
    return isinstance(place, str) and _URL.match(place) is not None


class Objects:
    """The objects below one URL; ``url`` ends without a slash.

    Raises :class:`InputError` for a URL or option that makes no sense. Any method raises
    :class:`LakeError` where the store does not answer or refuses to read, and
    :class:`OutputError` where it refuses to write.
    """

    _asking: ClassVar[int | None] = None  # the process that has asked first

    def __init__(self, url: str, options: Options = None) -> None:
        _check(url, {} if options is None else options)
        self.url = url.rstrip("/")
        self.options = dict(options or {})

    def __repr__(self) -> str:
        return f"Objects({self.url!r})"

    @property
    def reachable(self) -> bool:
        """Whether this process can ask: none can that was forked from one that has asked before.

        The threads that do the asking stay with the parent, and the child would wait for ever.
        """
        return Objects._asking in (None, os.getpid())

    @property
    def endpoint(self) -> str:
        """Where the store answers, if that does not follow from the URL."""
        given = [value for key, value in self.options.items() if _ENDPOINT.fullmatch(key)]
        return given[0] if given else os.environ.get("AWS_ENDPOINT_URL", "")

    def read(self, name: str) -> bytes:
        """A whole object, which is small; raises ``FileNotFoundError``."""
        import obstore

        with self._telling(f"{self.url}/{name}", LakeError, missing=True):
            return bytes(obstore.get(self._store, name).bytes())

    def stream(self, name: str) -> Iterator[memoryview]:
        """An object piece by piece; raises ``FileNotFoundError``."""
        import obstore

        with self._telling(f"{self.url}/{name}", LakeError, missing=True):
            for some in obstore.get(self._store, name).stream(min_chunk_size=_PIECE):
                yield memoryview(some)

    def sizes(self) -> dict[str, int]:
        """All objects, by name, and how many bytes they have."""
        import obstore

        with self._telling(self.url, LakeError):
            listed = obstore.list(self._store)
            return {meta["path"]: meta["size"] for some in listed for meta in some}

    def put(self, name: str, content: bytes | Path) -> None:
        """Keep bytes, or those of a file, as an object: all of it, or nothing."""
        import obstore

        with self._telling(f"{self.url}/{name}", OutputError):
            obstore.put(self._store, name, content)

    def delete(self, names: Iterable[str]) -> None:
        """Delete objects; one that is gone already is none."""
        import obstore

        with self._telling(self.url, OutputError):
            obstore.delete(self._store, list(names))

    @cached_property
    def _store(self) -> ObjectStore:
        import obstore.store

        client = {found[1].lower(): v for k, v in self.options.items() if (found := _client(k))}
        store = {key: value for key, value in self.options.items() if not _client(key)}
        if self.endpoint.startswith("http://"):  # who names it that way means it
            client.setdefault("allow_http", "true")
        make: Any = obstore.store.from_url  # typed for each kind of store apart
        made: ObjectStore = make(
            self.url, config=store or None, client_options=client or None, retry_config=_RETRY
        )
        return made

    @contextmanager
    def _telling(self, what: str, refusal: type[UihError], missing: bool = False) -> Iterator[None]:
        """Raise what goes wrong as one of our own errors, and nothing that it came from.

        What is ``missing`` is a ``FileNotFoundError`` where that may be.
        """
        if not self.reachable:
            raise LakeError(
                f"{what} cannot be asked for in a forked process",
                hint="start workers with multiprocessing_context='spawn'",
            )
        Objects._asking = os.getpid()
        try:
            yield
        except FileNotFoundError as error:
            if missing:
                raise FileNotFoundError(what) from None
            raise self._told(what, refusal, error) from None
        except Exception as error:
            raise self._told(what, refusal, error) from None
        except BaseException as panic:
            if type(panic).__name__ != "PanicException":
                raise
            raise self._told(what, refusal, panic) from None

    def _told(self, what: str, refusal: type[UihError], error: BaseException) -> UihError:
        kind = type(error).__name__
        if kind in ("UnknownConfigurationKeyError", "PanicException"):
            known = ", ".join(sorted(self.options)) or "none"
            return InputError(
                f"storage_options for {self.url} are not understood; given are: {known}",
                hint="they are called as Delta calls them, such as aws_region or aws_endpoint_url",
            )
        verb = "written" if refusal is OutputError else "read"
        return refusal(
            f"{what} cannot be {verb}: {self._plain(error)}",
            hint="look at the URL, the credentials, the endpoint and the network, then try again",
        )

    def _plain(self, error: BaseException) -> str:
        """What an error says, in a line: no address of a request, no value of an option."""
        first, *rest = str(error).splitlines() or [type(error).__name__]
        code = _CODE.search("".join(rest)) or _CODE.search(first)
        said = _ADDRESS.sub("", _ATTEMPTS.sub("", first.partition(": <?xml")[0]))
        secrets = [v for v in map(str, self.options.values()) if len(v) >= _SHORTEST_SECRET]
        for secret in sorted(secrets, key=len, reverse=True):
            said = said.replace(secret, "***")
        return on_one_line(said) + (f" ({code[1]})" if code else "")


def _client(key: str) -> re.Match[str] | None:
    return _CLIENT.fullmatch(key)


def _check(url: Any, options: Any) -> None:
    """Raise :class:`InputError` for what is no URL of an object store, or no options."""
    parts = urlsplit(str(url))
    if not is_url(url) or not parts.netloc:
        known = ", ".join(f"{scheme}://" for scheme in SCHEMES)
        raise InputError(
            f"{on_one_line(url, 8)} is no URL of an object store",
            hint=f"name bucket and folder, such as s3://bucket/lake; known are {known}",
        )
    if parts.password is not None or parts.query or parts.fragment:
        raise InputError(
            f"a URL that begins with {parts.scheme}:// has more in it than a place",
            hint="give keys in storage_options, or in the environment",
        )
    if not isinstance(options, Mapping):
        raise InputError("storage_options are no mapping", hint="give a dict of texts")
    for key, value in options.items():
        if not isinstance(key, str) or not isinstance(value, str):
            raise InputError(
                f"storage_options: {key!r} is no text, or what it is set to",
                hint="give texts: {'aws_region': 'eu-central-1'}",
            )
