"""Everything through an upstream proxy, with its credentials: mitmproxy itself has no such thing for reverse mode."""

from __future__ import annotations

import base64
from urllib.parse import unquote, urlsplit

from mitmproxy import http
from mitmproxy.net import server_spec

from dfrecord.capture.target import target_of


class Upstream:
    """The addon that sends everything through the proxy at `url`, which may hold a user name and a password.

    Raises UsageError when `url` is none. `address` is the proxy's own, like `http://proxy:3128`.
    """

    name = "dfrecord_upstream"

    def __init__(self, url: str) -> None:
        user_info, at, _ = urlsplit(url).netloc.rpartition("@")
        target = target_of(url.replace(user_info + at, "", 1), "--upstream-proxy")
        self.address = f"{target.scheme}://{target.address}"
        self._credentials = "Basic " + base64.b64encode(unquote(user_info).encode()).decode("ascii") if at else ""

    def requestheaders(self, flow: http.HTTPFlow) -> None:
        """Routes a request of reverse mode, and signs one that goes to the proxy in plain."""
        if flow.client_conn.proxy_mode.type_name == "reverse":
            flow.server_conn.via = server_spec.parse(self.address, "http")
        elif flow.request.scheme == "http":
            self._sign(flow)

    def http_connect_upstream(self, flow: http.HTTPFlow) -> None:
        """Signs a tunnel."""
        self._sign(flow)

    def _sign(self, flow: http.HTTPFlow) -> None:
        if self._credentials:
            flow.request.headers["Proxy-Authorization"] = self._credentials
