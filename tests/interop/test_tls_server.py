"""
TLS of the server, as clients see it: openssl, swaks, posttls-finger, Python's smtplib,
Debian's Postfix; and Debian's smtpd as oracle for replies and log.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import signal
import smtplib
import socket
import ssl
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from tests.interop.peers import Postfix
from tests.interop.running import RunningTestCase, Txmta
from tests.interop.tools import PATIENCE, free_port, wait_for
from tests.support import PATH, require, require_root
from tests.tls_help import Authority, write

_MAIN_CF = """
compatibility_level = 3.6
myhostname = mx.here.test
smtpd_banner = $myhostname ESMTP
mydestination =
mynetworks = 127.0.0.0/8
inet_protocols = all
smtpd_peername_lookup = no
smtpd_client_event_limit_exceptions = static:all
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_error_sleep_time = 0
smtpd_discard_ehlo_keywords = etrn
default_transport = discard:
smtpd_tls_fingerprint_digest = sha256
smtpd_tls_loglevel = 1
"""

#: Commands one by one; with what is said to each, they are compared.
SESSIONS: Sequence[Sequence[str]] = (
    ("EHLO x", "STARTTLS now", "MAIL FROM:<>", "QUIT"),
    (
        *("NOOP", "RSET", "VRFY a", "FOO", "MAIL FROM:<>", "RCPT TO:<a@b.c>"),
        *("AUTH PLAIN", "XCLIENT A=B", "XFORWARD A=B", "HELO x"),
        *("EHLO x", "QUIT"),
    ),
    ("STARTTLS", "@", "STARTTLS", "HELO x", "MAIL FROM:<>", "STARTTLS", "QUIT"),
    ("EHLO x", "MAIL FROM:<a@b.c>", "STARTTLS", "@", "RCPT TO:<a@b.c>", "QUIT"),
)


def _run(*command: str, text: str = "") -> str:
    done = subprocess.run(
        command,
        input=text,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        env={"PATH": PATH, "LC_ALL": "C"},
        cwd="/",
    )
    return done.stdout + done.stderr


def _unverified(*certificate: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if certificate:
        context.load_cert_chain(*certificate)
    return context


def talk(port: int, commands: Sequence[str], context: ssl.SSLContext) -> list[str]:
    """
    @param commands: C{@} stands for the handshake.
    @return: the replies.
    """
    heard: list[str] = []
    s = socket.create_connection(("127.0.0.1", port), 3)
    try:
        replies = s.makefile("rb")
        heard.append(_reply(replies))
        for command in commands:
            if command == "@":
                if not heard[-1].startswith("220"):
                    continue
                replies.close()
                s = context.wrap_socket(s)
                replies = s.makefile("rb")
                continue
            s.sendall(command.encode() + b"\r\n")
            heard.append(_reply(replies))
        replies.close()
    except (TimeoutError, ssl.SSLError, ConnectionError):
        heard.append("(end)")
    finally:
        s.close()
    return heard[: heard.index("(end)") + 1] if "(end)" in heard else heard


def _reply(replies: IO[bytes]) -> str:
    found = ""
    while line := replies.readline():
        found += line.decode()
        if line[3:4] != b"-":
            return found
    return found + "(end)"


def _lines(log: str) -> list[str]:
    """
    @return: what smtpd says of sessions.
    """
    found = re.findall(r"smtpd\[\d+\]: (.*)", log)
    # What differs: which library, and what it tells.
    start = next(n for n, line in enumerate(found) if "EHLO" in line)
    return [
        re.sub(r" server-signature.*| key-exchange \S+( \(\S+\))?", "", line)
        for line in found[start:]
        if "warning: TLS library" not in line and "client=" not in line
    ]


class Case(RunningTestCase):
    """
    @ivar folder: with ca.pem, server.pem and client.pem.
    """

    def setUp(self) -> None:
        self.authority = Authority()
        self.client_authority = Authority("Clients")

    def files(self, folder: Path) -> None:
        write(folder / "ca.pem", self.client_authority.certificate)
        os.chmod(folder / "ca.pem", 0o644)
        write(folder / "server.pem", *self.authority.make("mx.here.test"))
        self.client = folder / "client.pem"
        write(self.client, *self.client_authority.make("client.test"))

    def with_tlsmgr(self, main_cf: str) -> Postfix:
        """
        @return: Debian's Postfix, which can do TLS.
        """
        server = Postfix(main_cf)
        self.addCleanup(server.close)
        with (server.folder / "master.cf").open("a") as master_cf:
            master_cf.write("tlsmgr unix - - n 1000? 1 tlsmgr\n")
        server.start()
        return server

    def secured(self, main_cf: str = "", wrapper: int = 0) -> Txmta:
        """
        @param wrapper: a port.
        @return: a server with TLS; with several processes only root can read its
            key.
        """
        server = self.txmta(
            _MAIN_CF
            + "smtpd_tls_security_level = may\n"
            + "smtpd_tls_chain_files = $config_directory/server.pem\n"
            + "smtpd_tls_CAfile = $config_directory/ca.pem\n"
            + main_cf
        )
        self.files(server.folder)
        if wrapper:
            master = (server.folder / "master.cf").read_text()
            line = f"127.0.0.1:{wrapper} inet n - n - - smtpd\n"
            line += " -o smtpd_tls_wrappermode=yes\n"
            server.write("master.cf", master + line)
        server.start()
        return server


class OracleTests(Case):
    def compare(self, more: str) -> None:
        require("postfix")
        require_root("Postfix")
        ours = self.secured(more)
        theirs = self.with_tlsmgr(
            _MAIN_CF
            + "smtpd_tls_security_level = may\n"
            + f"smtpd_tls_chain_files = {ours.folder}/server.pem\n"
            + f"smtpd_tls_CAfile = {ours.folder}/ca.pem\n"
            + more
        )
        said: list[list[list[str]]] = [[], []]
        for commands in SESSIONS:
            for context in (_unverified(), _unverified(str(self.client))):
                for each, port in zip(said, (ours.port, theirs.port), strict=True):
                    each.append(talk(port, commands, context))
        mine, other = said
        for n, heard in enumerate(mine):
            self.assertEqual(heard, other[n], SESSIONS[n // 2])
        # What is no handshake.
        for port in (ours.port, theirs.port):
            for noise in (b"MAIL FROM:<a@b.c>\r\n", b""):
                with socket.create_connection(("127.0.0.1", port), PATIENCE) as s:
                    s.recv(1000)
                    s.sendall(b"STARTTLS\r\n")
                    s.recv(1000)
                    s.sendall(noise)
                    if noise:
                        with contextlib.suppress(ConnectionError):
                            s.recv(1000)
        ends = r": lost connection\n.*\n.*disconnect from .* starttls=0/1"
        for server in (ours, theirs):
            wait_for(lambda: re.search(ends, server.log()), server.log)  # noqa: B023
        self.assertEqual(_lines(ours.log()), _lines(theirs.log()))

    def test_optional(self) -> None:
        self.compare("smtpd_tls_ask_ccert = yes\n")

    def test_required(self) -> None:
        self.compare("smtpd_tls_security_level = encrypt\nsmtpd_tls_req_ccert = yes\n")


class ClientTests(Case):
    """
    Programs of others that encrypt with us.
    """

    def test_clients(self) -> None:
        """
        smtplib and swaks, by STARTTLS and on port 465; the Received: header says
        how; openssl resumes its session.
        """
        require("swaks", "openssl")
        wrapper = free_port()
        server = self.secured(wrapper=wrapper)
        context = _unverified()
        for secure in (False, True):
            if secure:
                smtp: smtplib.SMTP = smtplib.SMTP_SSL(
                    "127.0.0.1", wrapper, timeout=PATIENCE, context=context
                )
            else:
                smtp = smtplib.SMTP("127.0.0.1", server.port, timeout=PATIENCE)
                smtp.starttls(context=context)
            smtp.sendmail("a@b.test", ["c@d.test"], b"Subject: x\r\n\r\nx\r\n")
            smtp.quit()
        for option, port in (("-tls", server.port), ("-tlsc", wrapper)):
            said = _run(
                *("swaks", option, "-s", "127.0.0.1", "-p", str(port)),
                *("-t", "c@d.test", "-f", "a@b.test"),
            )
            self.assertIn("~> QUIT", said)
            self.assertIn("TLSv1.3", said)
        self.assertEqual(len(server.wait_for_log("status=sent", 4)), 4)
        session = str(server.folder / "session")
        ask = (
            *("openssl", "s_client", "-starttls", "smtp", "-ign_eof"),
            *("-connect", f"127.0.0.1:{server.port}"),
        )
        first = _run(*ask, "-sess_out", session, text="QUIT\r\n")
        self.assertIn("New, TLSv1.3", first)
        again = _run(*ask, "-sess_in", session, text="QUIT\r\n")
        self.assertIn("Reused, TLSv1.3", again)
        server.wait_for_log("Anonymous TLS connection reused from")

    def test_postfix(self) -> None:
        """
        Debian's client delivers to us: encrypted, and with a fingerprint of our
        certificate.
        """
        require("postfix", "openssl")
        require_root("Postfix")
        ours = self.secured("smtpd_tls_received_header = yes\n")
        text = _run("openssl", "x509", "-in", f"{ours.folder}/server.pem", "-noout",
                    "-fingerprint", "-sha256")  # fmt: skip
        right = text.strip().rpartition("=")[2]
        theirs = self.with_tlsmgr(
            "smtp_tls_security_level = encrypt\nsmtp_tls_fingerprint_digest = sha256\n"
            f"relayhost = [127.0.0.1]:{ours.port}\nmaximal_backoff_time = 1h\n"
            "smtp_tls_policy_maps = inline:{"
            f"{{[127.0.0.1]:{ours.port}=fingerprint match={right}}}}}\n"
            "mynetworks = 127.0.0.0/8\n"
        )
        with smtplib.SMTP("127.0.0.1", theirs.port, timeout=PATIENCE) as smtp:
            smtp.sendmail("a@b.test", ["c@d.test"], b"Subject: x\r\n\r\nx\r\n")
        theirs.wait_for_log("status=sent")


def _shown(port: int) -> bytes | None:
    """
    @return: the certificate that a server shows.
    """
    with socket.create_connection(("127.0.0.1", port), 3) as plain:
        plain.recv(1000)
        plain.sendall(b"STARTTLS\r\n")
        plain.recv(1000)
        with _unverified().wrap_socket(plain) as secure:
            return secure.getpeercert(binary_form=True)


class RenewalTests(Case):
    def test_reload(self) -> None:
        """
        In several processes, with a key that only root can read: a new certificate
        counts after a reload, a bad one leaves the old in use, and a process that
        dies comes back with it.
        """
        require_root("several processes")
        more = "process_model = multi\nmail_owner = daemon\n"
        server = self.txmta(
            _MAIN_CF
            + "smtpd_tls_security_level = may\n"
            + "smtpd_tls_chain_files = $config_directory/server.pem\n"
            + more
        )
        owner = pwd.getpwnam("daemon")
        os.chown(server.write("mail.log", ""), owner.pw_uid, owner.pw_gid)
        self.files(server.folder)
        server.start()
        first = _shown(server.port)
        key = server.folder / "server.pem"
        write(key, *self.authority.make("mx.here.test"))
        server.kill(signal.SIGHUP)
        server.wait_for_log("reload: done")
        second = wait_for(
            lambda: (found := _shown(server.port)) != first and found,
            "the old certificate is shown",
        )
        key.write_text("nothing\n")
        server.kill(signal.SIGHUP)
        (line, *_) = server.wait_for_log("there is no private key in it")
        self.assertIn("server.pem", line)
        server.wait_for_log("the configuration stays as it was")
        self.assertEqual(_shown(server.port), second)
        dead = _serving(server)
        os.kill(dead, signal.SIGKILL)
        wait_for(lambda: _alive(server, second, dead), server.log)


def _serving(server: Txmta) -> int:
    """
    @return: the process that had the last session.
    """
    return int(re.findall(r"smtpd\[(\d+)\]: disconnect", server.log())[-1])


def _alive(server: Txmta, certificate: object, dead: int) -> bool:
    try:
        shown = _shown(server.port)
    except OSError:
        return False  # that of the process that is gone
    return shown == certificate and _serving(server) != dead
