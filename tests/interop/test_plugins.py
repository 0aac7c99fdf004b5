"""
The packages of C{docs/examples}, in the real server and by themselves.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import smtplib
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import txmta
from benchmarks.servers import PATIENCE, free_port, wait_for_port
from tests.interop.running import require_owner

EXAMPLES = Path(txmta.__file__).parents[1] / "docs" / "examples"

MAIN_CF = """\
plugin_directories = $config_directory
compatibility_level = 3.9
myhostname = mail.example.com
mydestination =
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
alias_maps =
local_recipient_maps =
virtual_mailbox_domains = example.com
virtual_mailbox_maps = reverse:inline:{ com.example@me=- }
virtual_transport = tally:$config_directory/messages
queue_directory = $config_directory/queue
maillog_file = $config_directory/mail.log
mail_owner = nobody
"""

MESSAGE = b"Subject: hello\r\n\r\nIt works.\r\n"


def install(source: Path, target: Path) -> None:
    """
    Put a package where it can be imported: as setuptools builds it, which
    newer environments lack, or as it lies there. Needs no network.
    """
    copy = target.with_name("source")
    shutil.copytree(source, copy)
    if importlib.util.find_spec("setuptools") is None:
        shutil.move(copy, target)
        return
    subprocess.run(
        [
            *(sys.executable, "-c", "import setuptools; setuptools.setup()"),
            *("--quiet", "build_py", "--build-lib", str(target)),
        ],
        check=True,
        cwd=copy,
        timeout=PATIENCE * 4,
        capture_output=True,
    )


class Program:
    """
    A program under test, and how it is ended.
    """

    def __init__(self, command: list[str], folder: Path, *paths: Path) -> None:
        """
        @param paths: put before sys.path.
        """
        root = EXAMPLES.parents[1]
        with (folder / "output").open("wb") as output:
            self._process = subprocess.Popen(
                command,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=folder,
                env={
                    **os.environ,
                    "PYTHONPATH": os.pathsep.join(map(str, (*paths, root))),
                },
            )

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(PATIENCE)


class ExampleTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="txmta-test-"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.folder.chmod(0o755)
        self.port = free_port()

    def test_package(self) -> None:
        """
        A delivery agent and a table type of another package work like our
        own, once they are installed.
        """
        require_owner()
        install(EXAMPLES / "txmta-example", self.folder / "site")
        self.start_server()
        with smtplib.SMTP("127.0.0.1", self.port, timeout=PATIENCE) as client:
            refused = client.sendmail(
                "you@example.org", ["me@example.com", "nobody@example.com"], MESSAGE
            )
        self.assertEqual(
            refused["nobody@example.com"][0], 550, "the table knows nobody but me"
        )
        log = self.wait_for("status=sent (counted)")
        self.assertIn("postfix/tally[", log)
        self.assertIn("relay=tally", log)
        self.assertNotIn("warning", log)
        (line,) = (self.folder / "etc" / "messages").read_text().splitlines()
        self.assertRegex(line, r"^\w+ \d+ me@example\.com$")

    def test_unwritable(self) -> None:
        """
        An agent that cannot do its work keeps the mail.
        """
        require_owner()
        install(EXAMPLES / "txmta-example", self.folder / "site")
        (self.folder / "etc").mkdir()
        (self.folder / "etc" / "messages").mkdir()
        self.start_server()
        with smtplib.SMTP("127.0.0.1", self.port, timeout=PATIENCE) as client:
            client.sendmail("you@example.org", ["me@example.com"], MESSAGE)
        log = self.wait_for("status=deferred (cannot write ")
        self.assertIn("dsn=4.3.0", log)

    def test_not_installed(self) -> None:
        """
        Without the package, the start is refused with its names.
        """
        self.configure()
        result = subprocess.run(
            self.twistd(), capture_output=True, text=True, timeout=PATIENCE
        )
        self.assertEqual(result.returncode, 1)
        self.assertIn("unsupported dictionary type: reverse", result.stderr)
        self.assertIn("the program tally is not supported", result.stderr)

    def test_delivery_of_twisted_mail(self) -> None:
        """
        A delivery written for twisted.mail works behind our SMTP server.
        """
        program = Program(
            [sys.executable, str(EXAMPLES / "smtp_server.py"), str(self.port)],
            self.folder,
        )
        self.addCleanup(program.stop)
        wait_for_port(self.port)
        with smtplib.SMTP("127.0.0.1", self.port, timeout=PATIENCE) as client:
            refused = client.sendmail(
                "you@example.org", ["me@example.com", "me@example.net"], MESSAGE
            )
        self.assertEqual(list(refused), ["me@example.net"])
        self.assertIn(
            "Subject: hello\n\nIt works.\n-- end --\n",
            (self.folder / "output").read_text(),
        )

    def test_portal(self) -> None:
        """
        Users log in by a portal of twisted.cred, and their avatar takes their mail.
        """
        program = Program(
            [sys.executable, str(EXAMPLES / "portal_server.py"), str(self.port)],
            self.folder,
        )
        self.addCleanup(program.stop)
        wait_for_port(self.port)
        with smtplib.SMTP("127.0.0.1", self.port, timeout=PATIENCE) as client:
            client.ehlo()
            self.assertEqual(client.mail("user@example.org")[0], 530)
            client.login("user", "wonderland")
            self.assertEqual(client.mail("other@example.org")[0], 553)
            client.sendmail("user@example.org", ["me@example.com"], MESSAGE)
        self.assertIn("It works.\n-- end --\n", (self.folder / "output").read_text())

    def configure(self) -> None:
        etc = self.folder / "etc"
        etc.mkdir(exist_ok=True)
        (etc / "main.cf").write_text(MAIN_CF)
        (etc / "master.cf").write_text(
            f"127.0.0.1:{self.port} inet n - n - - smtpd\n"
            "tally unix - n n - - tally\n"
            "local unix - n n - - local\n"
            "relay unix - - n - - smtp\n"
            "smtp unix - - n - - smtp\n"
            "error unix - - n - - error\n"
            "retry unix - - n - - error\n"
        )
        if os.getuid() == 0:
            owner = pwd.getpwnam("nobody")
            os.chown(etc, owner.pw_uid, owner.pw_gid)

    def twistd(self) -> list[str]:
        return [
            str(Path(sys.executable).parent / "twistd"),
            "--nodaemon",
            "--pidfile=",
            f"--logfile={self.folder}/twistd.log",
            "txmta",
            f"--config={self.folder}/etc/main.cf",
        ]

    def start_server(self) -> None:
        self.configure()
        program = Program(self.twistd(), self.folder, self.folder / "site")
        self.addCleanup(program.stop)
        wait_for_port(self.port)

    def wait_for(self, words: str) -> str:
        """
        @return: the log, as soon as the words are in it.
        """
        path = self.folder / "etc" / "mail.log"
        end = time.monotonic() + PATIENCE
        while words not in (log := path.read_text()):
            if time.monotonic() > end:
                self.fail(f"{words!r} is not in the log:\n{log}")
            time.sleep(0.02)
        return log
