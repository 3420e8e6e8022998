"""TLS ended by the hub itself: uvicorn's protocol, which also tells the application the client's certificate.

uvicorn (0.54) can ask for client certificates (`ssl_cert_reqs`) but passes none on. The form is that of the ASGI
extension `tls`.
"""

from __future__ import annotations

from lienthong.api_keys import certificates
from lienthong.bus.gateway import wire


class TlsProtocol(wire.Protocol):
    """Adds `extensions.tls.client_cert_chain` to the scope of each request of a TLS connection."""

    def on_message_begin(self) -> None:
        """Begin a request, as the server's parser calls it."""
        super().on_message_begin()
        peer = self.transport.get_extra_info("ssl_object")
        if peer is not None:
            tls: dict[object, object] = {"client_cert_chain": certificates.from_peer(peer)}
            self.scope["extensions"] = {**(self.scope.get("extensions") or {}), "tls": tls}
