"""
Access tokens from an endpoint that speaks HTTPS.
"""

from __future__ import annotations

import http.server
import json
import os
import ssl
import subprocess
import threading
from typing import Any
from urllib.parse import parse_qs

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from tests.interop.tools import ENVIRONMENT, PATIENCE
from tests.support import require
from txmta.delivery.smtp_logins import NoAnswer
from txmta.delivery.tokens import Tokens, poster
from txmta.maps.registry import TableRegistry


class Endpoint(http.server.BaseHTTPRequestHandler):
    """
    Gives a token to who has the right one.
    """

    def do_POST(self) -> None:
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        good = form.get("refresh_token") == ["r1"] and form["client_id"] == ["c"]
        answer = {"access_token": "t1", "expires_in": 3600} if good else {"error": "no"}
        body = json.dumps(answer).encode()
        self.send_response(200 if good else 400)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: Any) -> None:
        """
        Nothing.
        """


class TokenTests(TestCase):
    timeout = 60

    def setUp(self) -> None:
        require("openssl")
        self.pem = os.path.abspath(self.mktemp())
        subprocess.run(
            [
                *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes"),
                *("-days", "2", "-subj", "/CN=localhost", "-keyout", self.pem),
                *("-addext", "subjectAltName=DNS:localhost", "-out", self.pem + ".crt"),
            ],
            env=ENVIRONMENT,
            check=True,
            capture_output=True,
            timeout=PATIENCE,
        )
        server = http.server.HTTPServer(("127.0.0.1", 0), Endpoint)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.pem + ".crt", self.pem)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()

        def stop() -> None:
            server.shutdown()
            thread.join()
            server.server_close()

        self.addCleanup(stop)
        self.port = server.server_address[1]

    def token(self, refresh: str, host: str = "localhost") -> Deferred[str | None]:
        """
        @param host: that the certificate is to name.
        """
        source = f"https://{host}:{self.port}/token client_id=c refresh_token={refresh}"
        clock: Any = reactor
        registry = TableRegistry(clock.seconds, self.fail, ())
        table = registry.table(
            f"inline:{{ {{ me = {source} }} }}", "smtp_sasl_token_maps"
        )
        tokens = Tokens([table], poster(reactor), clock)
        return Deferred.fromCoroutine(tokens.find("me"))

    async def test_token(self) -> None:
        os.environ["SSL_CERT_FILE"] = self.pem + ".crt"
        self.addCleanup(os.environ.pop, "SSL_CERT_FILE")
        self.assertEqual(await self.token("r1"), "t1")
        error = await self.assertFailure(self.token("r2"), NoAnswer)
        self.assertIn("the endpoint said 400 no", str(error))
        # It is for another name.
        await self.assertFailure(self.token("r1", "127.0.0.1"), NoAnswer)

    async def test_stranger(self) -> None:
        """
        A certificate of nobody that we know gets no refresh token.
        """
        error = await self.assertFailure(self.token("r1"), NoAnswer)
        self.assertIn("certificate verify failed", str(error))
