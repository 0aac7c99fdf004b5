"""
Configurations of sites under C{txmta check}, and in the running server.
"""

from __future__ import annotations

import os
import smtplib
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from shutil import rmtree

from twisted.trial.unittest import SynchronousTestCase

from tests.conformance.real_files import (
    Site,
    folders,
    read,
    settled,
    settled_services,
)
from tests.interop.peers import SmtpSink
from tests.interop.running import MODEL, QUEUE_OWNER, RunningTestCase
from tests.interop.tools import OWNER, answers, free_port, wait_for
from tests.support import PATH, require
from txmta.report.gather import gather
from txmta.report.items import Item, Kind, Report, Verdict

#: Debian's own, which every test here has besides.
DEBIAN = Path("/usr/share/postfix")

CERTIFICATE = (
    *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt"),
    *("ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=mail.example.com"),
)


def sites() -> dict[str, tuple[str, str]]:
    """
    @return: main.cf and master.cf of each site, without template words.
    """
    found = {
        folder.as_posix().rpartition("realworld-config/")[2]: (
            settled(read(folder, "main.cf")),
            settled_services(read(folder, "master.cf")),
        )
        for folder in folders()
    }
    if (DEBIAN / "master.cf.dist").exists():
        found["Debian"] = (
            (DEBIAN / "main.cf.debian").read_text(),
            (DEBIAN / "master.cf.dist").read_text(),
        )
    return found


class NameTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="tx"))
        self.addCleanup(rmtree, self.folder)

    def written(self, main_cf: str, master_cf: str) -> Path:
        (self.folder / "master.cf").unlink(missing_ok=True)
        path = self.folder / "main.cf"
        path.write_text(main_cf or "compatibility_level = 3.6\n")
        if master_cf:
            (self.folder / "master.cf").write_text(master_cf)
        return path

    def test_every_name_is_known(self) -> None:
        """
        What is unknown to us is unused in Postfix's eyes, too; services and
        flags are all known; and every line of main.cf is in the report.
        """
        require("postconf")
        looked = 0
        for name, (main_cf, master_cf) in sites().items():
            path = self.written(main_cf, master_cf)
            report = gather(str(path))
            unused = self.unused()
            for item in report.items:
                looked += 1
                if item.verdict is Verdict.UNKNOWN:
                    self.assertIs(item.kind, Kind.PARAMETER, f"{name}: {item}")
                    self.assertIn(item.name, unused, name)
            given = {i.name for i in report.items if i.kind is Kind.PARAMETER}
            self.assertEqual(set(self.names()) - given, set(), name)
            bad = [p for p in report.problems if "missing" in p]
            self.assertEqual(bad, [], name)
        self.assertGreater(looked, 200)

    def names(self) -> list[str]:
        """
        @return: what C{postconf -n} finds set.
        """
        return [
            line.partition(" =")[0]
            for line in self.postconf().stdout.splitlines()
            if not line.startswith("config_directory")
        ]

    def unused(self) -> set[str]:
        """
        @return: names that nothing uses, as Postfix has it.
        """
        warnings = self.postconf().stderr
        marked = (line.partition("unused parameter: ") for line in warnings.split("\n"))
        return {rest.partition("=")[0] for _, mark, rest in marked if mark}

    def postconf(self) -> subprocess.CompletedProcess[str]:
        master_cf = self.folder / "master.cf"
        if not master_cf.exists():
            master_cf.write_text("")
        return subprocess.run(
            ["postconf", "-c", str(self.folder), "-n"],
            capture_output=True,
            text=True,
            env={**os.environ, "PATH": PATH},
        )


class StartTests(RunningTestCase):
    """
    Each site's files, changed so that they stand for this machine.
    """

    def test_start(self) -> None:
        """
        What uses only what is there starts, answers on each port, and takes a
        message or refuses it in words; why the others do not, the report
        says.
        """
        sink = self.sink()
        started, left = [], {}
        for name, (main_cf, master_cf) in sites().items():
            if not main_cf or "smtpd" not in master_cf:
                continue
            why = self.one(main_cf, master_cf, sink)
            if why:
                left[name] = why
            else:
                started.append(name)
        for name, why in left.items():
            print(f"{name} does not start: {why}")
        if DEBIAN.joinpath("master.cf.dist").exists():
            self.assertIn("Debian", started)

    def one(self, main_cf: str, master_cf: str, sink: SmtpSink) -> str:
        """
        @return: why it does not start, or C{""}.
        """
        server = self.txmta()
        site = Site(server.folder, main_cf, master_cf)
        ports = site.write(free_port, self.ours(server.folder, sink.port))
        for path in (server.folder / "maps").iterdir():
            path.chmod(0o644)
        report = gather(str(server.folder / "main.cf"))
        if missing := not_there(report):
            return ", ".join(missing)
        stops = [item for item in report.items if item.stops]
        self.assertEqual((stops, list(report.problems)), ([], []))
        server.launch()
        wait_for(
            lambda: server.ended() or all(answers(p, "127.0.0.1") for p in ports),
            lambda: f"does not listen: {server.output()}",
        )
        self.assertFalse(server.ended(), server.output())
        taken = sum(self.mail(port) for port in ports)
        if main_cf.startswith("# See /usr/share/postfix"):
            self.assertEqual(taken, 1)
            server.wait_for_log("relay=127.0.0.1.*status=sent")
        server.stop()
        self.assertNotIn("Traceback", server.output() + server.log())
        return ""

    def mail(self, port: int) -> bool:
        """
        @return: whether a message is taken; else it is refused in words.
        """
        with smtplib.SMTP("127.0.0.1", port, "client.example.com", 20) as client:
            self.assertEqual(client.ehlo()[0], 250)
            try:
                client.sendmail("a@example.com", ["b@elsewhere.example"], "x: y\n\nz\n")
            except smtplib.SMTPResponseException as e:
                self.assertGreater(e.smtp_code, 399)
                return False
            except smtplib.SMTPRecipientsRefused:
                return False
        return True

    def ours(self, folder: Path, sink: int) -> Mapping[str, str]:
        """
        @return: parameters of this machine, instead of the site's.
        """
        pem = folder / "maps" / "mail.pem"
        require("openssl")
        subprocess.run(
            [*CERTIFICATE, "-keyout", str(pem), "-out", str(folder / "cert")],
            check=True,
            capture_output=True,
        )
        pem.write_text(pem.read_text() + (folder / "cert").read_text())
        values = {
            "myhostname": "mail.here.test",
            "queue_directory": f"{folder}/queue",
            "data_directory": f"{folder}/data",
            "maillog_file": f"{folder}/mail.log",
            "maillog_file_prefixes": str(folder),
            "inet_interfaces": "127.0.0.1",
            "inet_protocols": "ipv4",
            "mynetworks": "127.0.0.0/8",
            "relayhost": f"[127.0.0.1]:{sink}",
            "smtpd_tls_chain_files": str(pem),
            "mail_owner": OWNER if MODEL == "single" else QUEUE_OWNER,
            "process_model": MODEL,
        }
        for name in ("cert_file", "key_file", "dh1024_param_file", "CAfile"):
            values[f"smtpd_tls_{name}"] = ""
        if os.getuid() != 0:
            del values["mail_owner"]
        return values


def not_there(report: Report) -> list[str]:
    """
    @return: what is not there yet, or refused, and stops the start.
    """
    return [
        what(item)
        for item in report.items
        if item.stops and item.verdict in (Verdict.NOT_YET, Verdict.REFUSED)
    ]


def what(item: Item) -> str:
    return f"{item.name} {item.value}" if item.kind is Kind.SERVICE else item.name
