"""
What master.cf says about an endpoint.

Knows nothing of HTTP connections, and imports little: it is read whenever
Twisted lists its plug-ins.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from txmta.delivery.plugin_attributes import AgentAttribute, number, seconds

#: Hosts to which mail may go without TLS.
LOOPBACK = ("127.0.0.1", "::1", "localhost")

#: Fields that are not for the administrator to set.
OURS = re.compile(
    "x-envelope-.*|x-original-to|x-queue-id|idempotency-key|content-.*|host"
    "|connection|transfer-encoding|te|upgrade|expect|trailer",
    re.IGNORECASE,
)

_FIELD = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):\s*([\x20-\x7e]*)")


def endpoint(text: str) -> str:
    """
    @return: a URL that mail may be posted to.
    """
    try:
        parts = urlsplit(text)
        _port = parts.port  # raises, too
    except ValueError as e:
        raise ValueError(f"is no URL: {e}") from e
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("is no endpoint: write https://host/path")
    if not re.fullmatch(r"[\x21-\x7e]+", text):
        raise ValueError("has characters that a URL has not: write them as %XX")
    if parts.username is not None or parts.fragment:
        raise ValueError("has a user or a fragment: write { header = ... } instead")
    if parts.scheme == "http" and parts.hostname not in LOOPBACK:
        raise ValueError("would show mail to everybody on the way: write https://")
    return text


def field(text: str) -> tuple[str, str]:
    """
    @return: name and value of a header field.
    """
    match = _FIELD.fullmatch(text)
    if match is None or OURS.fullmatch(match[1]):
        raise ValueError("is not Name: value, or sets what the agent sets")
    return match[1], match[2]


def path(text: str) -> str:
    if text and not text.startswith("/"):
        raise ValueError("is no path from / on")
    return text


ATTRIBUTES = (
    AgentAttribute("url", "the endpoint", parse=endpoint),
    AgentAttribute("retries", "more tries within a delivery", "2", number(0, 10)),
    AgentAttribute("backoff", "before the first retry; doubles", "1s", seconds(0, 60)),
    AgentAttribute("timeout", "for one try", "60s", seconds(1, 600)),
    AgentAttribute("connect_timeout", "to connect", "10s", seconds(1, 60)),
    AgentAttribute("ca_file", "certificates to trust, in PEM", "", path),
    AgentAttribute(
        "header", "a header field, Name: value", parse=field, many=True, secret=True
    ),
)
