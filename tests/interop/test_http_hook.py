"""
The package C{docs/examples/txmta-http-hook}, installed apart, in the real
server, with a real HTTP server at the other end.
"""

from __future__ import annotations

import os
import pwd
import re
import shutil
import smtplib
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from benchmarks.servers import PATIENCE, free_port, wait_for_port
from tests.interop.running import require_owner
from tests.interop.test_plugins import EXAMPLES, Program, install

MAIN_CF = """\
compatibility_level = 3.9
myhostname = mail.example.com
mydestination =
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
alias_maps =
local_recipient_maps =
virtual_mailbox_domains = example.com
virtual_mailbox_maps =
virtual_transport = hook:
hook_destination_recipient_limit = 1
queue_directory = $config_directory/queue
maillog_file = $config_directory/mail.log
mail_owner = nobody
"""

MESSAGE = b"Subject: hello\r\n\r\nIt works.\r\n"


class Endpoint:
    """
    An HTTP server that answers for each recipient as it is told, in order,
    and else with 200.

    @ivar answers: by local part: status codes; 0 is silence until the end.
    @ivar posts: headers and octets of each POST.
    @ivar delay: seconds between two reads.
    """

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.answers: dict[str, list[int]] = {}
        self.posts: list[tuple[Mapping[str, str], bytes]] = []
        self.delay = 0.0
        self.closed = threading.Event()
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                endpoint.post(self)

            def log_message(self, format: str, *args: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request: object, client_address: object) -> None:
                pass  # the client went away: some tests make it

        self._server = Server(("127.0.0.1", 0), Handler)
        if context is not None:
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True
            )
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def post(self, handler: BaseHTTPRequestHandler) -> None:
        octets = b""
        left = int(handler.headers["Content-Length"])
        while left:
            block = handler.rfile.read(min(left, 256 * 1024))
            octets += block
            left -= len(block)
            time.sleep(self.delay)
        user = handler.headers["X-Envelope-To"].partition("@")[0]
        self.posts.append((dict(handler.headers.items()), octets))
        codes = self.answers.get(user)
        code = codes.pop(0) if codes else 200
        if code == 0:
            self.closed.wait(PATIENCE)
            return
        text = b"because\nof it"
        handler.send_response(code)
        handler.send_header("Content-Length", str(len(text)))
        handler.end_headers()
        handler.wfile.write(text)

    def close(self) -> None:
        self.closed.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class HookTests(SynchronousTestCase):
    def setUp(self) -> None:
        require_owner()
        self.folder = Path(tempfile.mkdtemp(prefix="txmta-test-"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.folder.chmod(0o755)
        self.port = free_port()
        install(EXAMPLES / "txmta-http-hook", self.folder / "site")

    def endpoint(self, context: ssl.SSLContext | None = None) -> Endpoint:
        endpoint = Endpoint(context)
        self.addCleanup(endpoint.close)
        return endpoint

    def test_own_tests(self) -> None:
        """
        The package's own tests pass where it is installed.
        """
        result = subprocess.run(
            [sys.executable, "-m", "twisted.trial", "txmta_http_hook"],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": self.paths()},
            capture_output=True,
            text=True,
            timeout=PATIENCE * 2,
        )
        self.assertEqual(result.returncode, 0, result.stdout)
        self.assertRegex(result.stdout, r"PASSED \(successes=\d\d\)")

    def test_answers(self) -> None:
        """
        Delivered, retried, deferred, bounced, as the endpoint says.
        """
        endpoint = self.endpoint()
        endpoint.answers = {"b": [500], "c": [429, 429], "d": [400], "e": [302]}
        self.start(
            f"url=http://127.0.0.1:{endpoint.port}/mail retries=1 backoff=1s",
            "{ header = X-Token: sesame }",
        )
        users = [f"{name}@example.com" for name in "abcde"]
        self.send(MESSAGE, *users)
        self.wait_for(r"to=<a@.*status=sent \(HTTP 200 OK: because\)")
        self.wait_for(r"to=<b@.*dsn=2.0.0, status=sent")
        self.wait_for(r"to=<c@.*dsn=4.3.2, status=deferred \(HTTP 429 ")
        self.wait_for(r"to=<d@.*dsn=5.6.0, status=bounced \(HTTP 400 Bad Request: bec")
        self.wait_for(r"to=<e@.*dsn=4.3.5, status=deferred \(HTTP 302 .*redirects")
        log = self.wait_for(r"sender non-delivery notification")
        self.assertRegex(log, r"postfix/http_hook\[\d+\]: \w+: to=<a@example.com>, ")
        self.assertIn(f"relay=127.0.0.1:{endpoint.port}, ", log)
        self.assertNotIn("sesame", log)
        tried = [h["X-Envelope-To"][0] for h, _octets in endpoint.posts]
        self.assertEqual(sorted(tried), list("abbccde"))
        for headers, octets in endpoint.posts:
            self.assertEqual(headers["X-Token"], "sesame")
            self.assertEqual(headers["X-Envelope-From"], "you@example.org")
            self.assertEqual(headers["Content-Type"], "message/rfc822")
            self.assertTrue(octets.startswith(b"Received: from "), octets)
            self.assertTrue(octets.endswith(b"\r\n\r\nIt works.\r\n"), octets)
        keys = [h["Idempotency-Key"] for h, _octets in endpoint.posts]
        self.assertEqual(len(set(keys)), 5, "one for each recipient")

    def test_down(self) -> None:
        """
        An endpoint that is not there, or does not answer, defers the mail.
        """
        self.start(f"url=http://127.0.0.1:{free_port()}/ retries=1 backoff=0s")
        self.send(MESSAGE, "a@example.com")
        self.wait_for(r"dsn=4.4.1, status=deferred \(connect to 127.0.0.1:\d+: ")

    def test_slow(self) -> None:
        """
        So does one that does not answer in time; the next message arrives.
        """
        endpoint = self.endpoint()
        endpoint.answers = {"a": [0]}
        self.start(f"url=http://127.0.0.1:{endpoint.port}/ retries=0 timeout=1s")
        self.send(MESSAGE, "a@example.com", "b@example.com")
        self.wait_for(r"to=<a@.*dsn=4.4.2, .*does not answer within 1 seconds")
        self.wait_for(r"to=<b@.*status=sent")

    def test_hangs(self) -> None:
        """
        One that takes its time for ever is cut by <transport>_time_limit.
        """
        endpoint = self.endpoint()
        endpoint.answers = {"a": [0]}
        self.start(
            f"url=http://127.0.0.1:{endpoint.port}/", main_cf="hook_time_limit = 1s\n"
        )
        self.send(MESSAGE, "a@example.com")
        self.wait_for(r"transport hook: .*takes more than 1 seconds")
        self.wait_for(r"to=<a@.*dsn=4.3.0, status=deferred")

    def test_large(self) -> None:
        """
        5 MB to an endpoint that reads slowly: octet for octet, and never all
        in memory.
        """
        endpoint = self.endpoint()
        program = self.start(f"url=http://127.0.0.1:{endpoint.port}/")
        self.send(MESSAGE, "a@example.com")
        self.wait_for(r"to=<a@.*status=sent")
        endpoint.delay = 0.05
        before = resident(program)
        line = bytes(range(32, 127))[:76] + b"\r\n"
        body = line * (5_000_000 // len(line))
        self.send(b"Subject: large\r\n\r\n" + body, "b@example.com")
        self.wait_for(r"to=<b@.*status=sent")
        grown = resident(program) - before
        _head, _end, text = endpoint.posts[1][1].partition(b"\r\n\r\n")
        self.assertTrue(text == body, len(text))
        self.assertLess(grown, 3_000_000)

    def test_tls(self) -> None:
        """
        A certificate is checked: trusted by ca_file it delivers, else the mail
        stays.
        """
        path = self.folder / "ca.pem"
        certificate(path)
        path.chmod(0o644)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        endpoint = self.endpoint(context)
        url = f"url=https://localhost:{endpoint.port}/ retries=0"
        self.start(f"{url} ca_file={path}")
        self.send(MESSAGE, "a@example.com")
        self.wait_for(r"to=<a@.*status=sent")

    def test_tls_not_trusted(self) -> None:
        path = self.folder / "ca.pem"
        certificate(path)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        endpoint = self.endpoint(context)
        self.start(f"url=https://localhost:{endpoint.port}/ retries=0")
        self.send(MESSAGE, "a@example.com")
        self.wait_for(r"dsn=4.7.5, status=deferred \(certificate of localhost:\d+ is ")
        self.assertEqual(endpoint.posts, [])

    def test_wrong(self) -> None:
        """
        Wrong attributes refuse the start: file, line, attribute, remedy.
        """
        self.configure("urll=x retries=many { header = secret }")
        refused = self.refused()
        where = r"fatal: .*/master\.cf, line 2: service hook: "
        for words in (
            "unknown attribute name: urll=: agent http_hook takes backoff, ",
            "missing url= attribute: write url=value",
            "retries=many is not a number: write digits only",
            r"header=value \(not shown\) is not what it should be",
        ):
            self.assertRegex(refused, where + words)
        self.assertNotIn("secret", refused)

    def test_broken(self) -> None:
        """
        A plug-in that cannot be imported is named, with its error.
        """
        self.configure("url=https://example.com/")
        (self.folder / "site" / "txmta_http_hook" / "attributes.py").write_text(
            "import no_such_module_anywhere\n"
        )
        refused = self.refused()
        self.assertIn("service hook: there is no agent http_hook", refused)
        self.assertRegex(
            refused,
            r"plug-in .*/txmta_http_hook_plugin\.py cannot be loaded: "
            "ModuleNotFoundError: No module named 'no_such_module_anywhere'",
        )

    def paths(self) -> str:
        return os.pathsep.join((str(self.folder / "site"), str(EXAMPLES.parents[1])))

    def configure(self, *attributes: str, main_cf: str = "") -> None:
        etc = self.folder / "etc"
        etc.mkdir()
        (etc / "main.cf").write_text(MAIN_CF + main_cf)
        (etc / "master.cf").write_text(
            f"127.0.0.1:{self.port} inet n - n - - smtpd\n"
            f"hook unix - n n - 10 plugin {HOOK}\n  {' '.join(attributes)}\n"
            "local unix - n n - - local\n"
            "relay unix - - n - - smtp\n"
            "smtp unix - - n - - discard\n"
            "error unix - - n - - error\n"
            "retry unix - - n - - error\n"
        )
        if os.getuid() == 0:
            owner = pwd.getpwnam("nobody")
            os.chown(etc, owner.pw_uid, owner.pw_gid)

    def command(self) -> list[str]:
        return [
            str(Path(sys.executable).parent / "twistd"),
            "--nodaemon",
            "--pidfile=",
            f"--logfile={self.folder}/twistd.log",
            "txmta",
            f"--config={self.folder}/etc/main.cf",
        ]

    def refused(self) -> str:
        result = subprocess.run(
            self.command(),
            env={**os.environ, "PYTHONPATH": self.paths()},
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        self.assertEqual(result.returncode, 1)
        return result.stderr

    def start(self, *attributes: str, main_cf: str = "") -> int:
        """
        @return: the process.
        """
        self.configure(*attributes, main_cf=main_cf)
        program = Program(self.command(), self.folder, self.folder / "site")
        self.addCleanup(program.stop)
        wait_for_port(self.port)
        return program._process.pid

    def send(self, message: bytes, *recipients: str) -> None:
        with smtplib.SMTP("127.0.0.1", self.port, timeout=PATIENCE) as client:
            client.sendmail("you@example.org", recipients, message)

    def wait_for(self, pattern: str) -> str:
        """
        @return: the log, as soon as a line of it matches.
        """
        path = self.folder / "etc" / "mail.log"
        end = time.monotonic() + PATIENCE
        while not re.search(pattern, log := path.read_text()):
            if time.monotonic() > end:
                self.fail(f"{pattern!r} is not in the log:\n{log}")
            time.sleep(0.02)
        return log


HOOK = "agent=http_hook"


def resident(pid: int) -> int:
    """
    @return: octets of memory, at most so far.
    """
    status = Path(f"/proc/{pid}/status").read_text()
    match = re.search(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE)
    assert match is not None
    return int(match[1]) * 1024


def certificate(path: Path) -> None:
    """
    A key, and a certificate for localhost that vouches for itself.
    """
    from datetime import UTC, datetime, timedelta

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), False)
        .add_extension(x509.BasicConstraints(True, None), True)
        .sign(key, hashes.SHA256())
    )
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + made.public_bytes(serialization.Encoding.PEM)
    )
