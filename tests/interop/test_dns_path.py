"""
Mail for domains, with DNS as the whole world has it: resolv.conf, port 53, MX,
port 25. In a network namespace, where nothing leads outside.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.interop.running import ROOT, RunningTestCase, Txmta
from tests.interop.tools import ENVIRONMENT, OWNER, PATIENCE, wait_for
from tests.support import require, require_root

_SEND = """
import smtplib, sys
with smtplib.SMTP("127.0.0.1", int(sys.argv[1]), timeout=10) as client:
    client.sendmail("", sys.argv[2:], "Subject: x\\r\\n\\r\\nx\\r\\n")
"""


class DNSPathTests(RunningTestCase):
    def setUp(self) -> None:
        require("ip")
        require_root("makes a network namespace")
        self.name = f"txmta-test-{os.getpid()}"
        etc = Path("/etc/netns") / self.name
        etc.mkdir(parents=True)
        self.addCleanup(shutil.rmtree, etc)
        (etc / "resolv.conf").write_text("nameserver 127.0.0.1\n")
        self.ip("netns", "add", self.name)
        self.addCleanup(self.ip, "netns", "delete", self.name)
        self.ip("-n", self.name, "link", "set", "lo", "up")

    def ip(self, *arguments: str) -> None:
        subprocess.run(
            ["ip", *arguments],
            check=True,
            env=ENVIRONMENT,
            timeout=PATIENCE,
            capture_output=True,
        )

    def inside(self, *command: str) -> list[str]:
        return ["ip", "netns", "exec", self.name, *command]

    def peers(self, server: Txmta) -> None:
        """
        Name server and sinks, which write into the server's folder.
        """
        process = subprocess.Popen(
            self.inside(
                *(sys.executable, "-m", "tests.interop.name_server"),
                *(str(server.folder / "queries"), str(server.folder / "messages")),
            ),
            cwd=ROOT,
            env=ENVIRONMENT,
        )
        self.addCleanup(process.wait, PATIENCE)
        self.addCleanup(process.terminate)
        wait_for((server.folder / "queries").exists, "the name server does not start")

    def test_path(self) -> None:
        """
        RFC 5321 section 5.1: by preference; the next one if the first is dead;
        A without MX. RFC 7505: null MX takes no mail. A resolver that fails
        is no reason to bounce.
        """
        server = self.txmta(f"mail_owner = {OWNER}\n")
        self.peers(server)
        server.launch(*self.inside())
        server.wait_for_log("daemon started")
        domains = ("preferred", "dead", "plain", "null", "broken", "nowhere")
        recipients = [f"x@{domain}.test" for domain in domains]
        subprocess.run(
            self.inside(sys.executable, "-c", _SEND, str(server.port), *recipients),
            check=True,
            env=ENVIRONMENT,
            timeout=PATIENCE * 2,
        )
        sent = "status=sent"
        for pattern in (
            rf"to=<x@preferred\.test>, relay=two\.test\[127\.0\.0\.2\]:25, .*{sent}",
            rf"to=<x@dead\.test>, relay=four\.test\[127\.0\.0\.4\]:25, .*{sent}",
            rf"to=<x@plain\.test>, relay=plain\.test\[127\.0\.0\.4\]:25, .*{sent}",
            r"connect to three\.test\[127\.0\.0\.3\]:25: Connection refused",
            r"to=<x@null\.test>, relay=none, .*dsn=5\.1\.0, status=bounced \(Domain "
            r"null\.test does not accept mail \(nullMX\)\)",
            r"to=<x@broken\.test>, relay=none, .*dsn=4\.4\.3, status=deferred \(.*"
            r"broken\.test",
            r"to=<x@nowhere\.test>, relay=none, .*dsn=5\.4\.4, status=bounced \(Host "
            r"or domain name not found\. Name service error for name=nowhere\.test",
        ):
            server.wait_for_log(pattern)
        messages = (server.folder / "messages").read_text().splitlines()
        self.assertEqual(
            sorted(messages),
            [
                "127.0.0.2 x@preferred.test",
                "127.0.0.4 x@dead.test",
                "127.0.0.4 x@plain.test",
            ],
        )
        self.assertIn(
            "preferred.test MX", (server.folder / "queries").read_text().splitlines()
        )
