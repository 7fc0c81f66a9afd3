"""One upstream at run time: its options, its servers' states, its TLS and its idle connections."""

from __future__ import annotations

from dataclasses import dataclass

from wsgate.balance.group import Group
from wsgate.config.model import Upstream
from wsgate.tls.towards_servers import UpstreamTlsContext
from wsgate.upstream.idle import IdleConnections


@dataclass(slots=True)
class UpstreamMembers:
    """What a configuration's upstream becomes.  ``tls`` is None where its servers are spoken to in the clear."""

    options: Upstream
    group: Group
    tls: UpstreamTlsContext | None
    idle: IdleConnections
