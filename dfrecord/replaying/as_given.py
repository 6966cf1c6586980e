"""Sends targets as they are given; Python scripts that need it carry this file's functions in them."""

from __future__ import annotations

from typing import Any

from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection


def as_given(target: str) -> str:
    """The target whose hexadecimal digits are the last segment here."""
    base, _, digits = target.rpartition("/")
    return base + bytes.fromhex(digits).decode()


class PlainConnection(HTTPConnection):
    """Puts the target back where it is sent."""

    def putrequest(self, method: str, url: str, *flags: bool, **more: bool) -> None:
        super().putrequest(method, as_given(url), *flags, **more)


class SecureConnection(HTTPSConnection):
    """The same over TLS."""

    def putrequest(self, method: str, url: str, *flags: bool, **more: bool) -> None:
        super().putrequest(method, as_given(url), *flags, **more)


class PlainPool(HTTPConnectionPool):
    """Connections that send targets as given."""

    ConnectionCls = PlainConnection


class SecurePool(HTTPSConnectionPool):
    """The same over TLS."""

    ConnectionCls = SecureConnection


class AsGiven(HTTPAdapter):
    """Sends targets as given, with the dots, brackets, quotes and %c3 in them.

    requests and urllib3 would rewrite those, but leave hexadecimal digits alone.
    """

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self._as_given(self.poolmanager)

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        return self._as_given(super().proxy_manager_for(*args, **kwargs))

    def _as_given(self, manager: Any) -> Any:
        manager.pool_classes_by_scheme = {"http": PlainPool, "https": SecurePool}
        return manager
