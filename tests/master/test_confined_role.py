"""
Tests of a role in its confinement: a process as the fork server makes it.
"""

from __future__ import annotations

import grp
import json
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.master.cell import LIMIT, OWNER, home, need_root
from txmta.config.master_cf import parse_master_cf
from txmta.config.settings import Settings
from txmta.config.snapshot import Configuration
from txmta.errors import ConfigError
from txmta.master import confined_role
from txmta.master.confined_role import as_seen, confine_role, served, wanted

#: A child with the SMTP server's role: argument 1 is main.cf's settings in
#: JSON, 2 the listening socket, 3 whether there is a jail. It answers on
#: standard output what was imported or opened after its confinement.
SCRIPT = """
import json, os, socket, sys, time
sys.path[:0] = [{root!r}]
from twisted.internet import epollreactor
epollreactor.install()
from twisted.internet import reactor
reactor.seconds = time.monotonic
from txmta.config.master_cf import parse_master_cf
from txmta.config.settings import Settings
from txmta.config.snapshot import Configuration
from txmta.events import Event
from txmta.master.binding import Bound
from txmta.master.confined_role import as_seen, confine_role
from txmta.master.sockets import Listen
from txmta.queue.store.sqlite import SqliteStore, Threads
from txmta.roles.qmgr import make_postmaster
from txmta.roles.shared import Pools, Shared
from txmta.roles.smtpd import SmtpdParts, SmtpdRole
from txmta.smtp.poller import Poller

class Sink:
    def emit(self, event):
        said.append(type(event).__name__)

said = []
values, fd, jail = json.loads(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
services = parse_master_cf("master.cf", f"smtp inet n - {{jail}} - - smtpd\\n")
outside = Configuration("/etc/txmta/main.cf", Settings.of(**values), services)
seen = as_seen("smtpd", outside)
shared = Shared(seen.settings, seen.services, reactor, time.time, Sink())
tables = shared.open_tables()
pools = Pools(reactor)
threads = Threads(reactor.callFromThread, pools.runner("queue", 4))
store = SqliteStore(
    seen.settings.queue_directory, reactor, time.time, threads, shared.sink
)
poller = Poller(reactor)
postmaster = make_postmaster(shared, tables, store)
role = SmtpdRole(
    shared, SmtpdParts(tables, shared.make_resolver(), store, postmaster, poller)
)
listening = socket.socket(fileno=fd)
listening.setblocking(False)
role.adopt([Bound(Listen("127.0.0.1", 25, seen.services[0]), listening)])
listening.close()
notes = confine_role("smtpd", outside)
late = []

def hook(event, arguments):
    if event == "import":
        late.append(["import", arguments[0]])
    elif event in ("open", "os.listdir", "os.scandir"):
        late.append(["open", str(arguments[0])])
    elif event in ("os.exec", "os.fork", "subprocess.Popen", "socket.gethostbyname"):
        late.append([event, ""])

sys.addaudithook(hook)

def start():
    try:
        pools.start()
        store.start()
        role.listen()
    except BaseException:
        import traceback
        traceback.print_exc()
        os._exit(1)

def use_late_things():
    "\\u00e9.example".encode("idna")
    "\\u20ac".encode("iso8859-15")
    time.strptime("24 Nov 2026", "%d %b %Y")
    try:
        raise ValueError("x")
    except ValueError:
        import traceback
        traceback.format_exc()
    import email.policy, secrets, uuid, zoneinfo
    secrets.token_hex(8)
    uuid.uuid4()

def end():
    try:
        use_late_things()
    except BaseException as e:
        late.append(["trouble", repr(e)])
    found = list(late)
    os.write(1, json.dumps([found, notes, os.getuid(), said]).encode())
    os._exit(0)

class Stdin:
    # the test closes our standard input when it has seen enough
    def fileno(self): return 0
    def logPrefix(self): return "stdin"
    def doRead(self): end()
    def connectionLost(self, reason): end()

reactor.addReader(Stdin())
reactor.callWhenRunning(start)
reactor.run(installSignalHandlers=False)
"""

SESSION = (
    ("", "220 "),
    ("EHLO client.example", "250 "),
    ("VRFY b@here.example", "252 "),
    ("NOOP", "250 "),
    ("MAIL FROM:<\N{SNOWMAN}@example.org>", "250 "),
    ("RSET", "250 "),
    ("MAIL FROM:<a@client.example> SIZE=100", "250 "),
    ("RCPT TO:<b@elsewhere.example>", "454 "),
    ("RCPT TO:<root@[127.0.0.1", "501 "),
    ("RCPT TO:<b@here.example>", "250 "),
    ("DATA", "354 "),
    ("Subject: =?utf-8?q?x?=\r\n\r\nText\r\n.", "250 "),
    ("QUIT", "221 "),
)


class SessionTests(SynchronousTestCase):
    """
    What a session needs is there before the process is confined.
    """

    maxDiff = None

    def run_role(self, jail: str) -> list[object]:
        need_root()
        base = home(self)
        queue = base / "queue"
        for name in ("content", "private", "etc"):
            (queue / name).mkdir(0o700)
            os.chown(queue / name, OWNER.uid, OWNER.gid)
        for path in ("/etc/resolv.conf", "/etc/hosts"):
            copy = queue / path[1:]
            copy.write_bytes(Path(path).read_bytes())
            copy.chmod(0o644)
        values = {
            "queue_directory": str(queue),
            "mail_owner": OWNER.name,
            "myhostname": "mx.here.example",
            "mydestination": "here.example",
            "mynetworks": "192.0.2.0/24",
            "local_recipient_maps": "",
            "alias_maps": "",
            "smtpd_peername_lookup": "no",
        }
        listening = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listening.close)
        fd = listening.fileno()
        root = str(Path(__file__).resolve().parents[2])
        child = subprocess.Popen(
            [
                *(sys.executable, "-I", "-c", SCRIPT.format(root=root)),
                *(json.dumps(values), str(fd), jail),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=[fd],
        )
        address = listening.getsockname()
        listening.close()  # when the child dies, there is nobody to wait for
        try:
            try:
                said = talk(address, SESSION)
            except OSError as e:
                said = [("", str(e))]
            out, errors = child.communicate(b"", LIMIT)
        finally:
            child.kill()
            child.communicate()
        self.assertEqual((errors.decode(), said), ("", []))
        answer: list[object] = json.loads(out)
        return answer

    def check(self, jail: str) -> None:
        late, notes, uid, _said = self.run_role(jail)
        assert isinstance(late, list)
        self.assertEqual(uid, OWNER.uid)
        self.assertFalse([n for n in str(notes).split("'") if "missing" in n])
        self.assertEqual([what for what in late if what[0] != "open"], [])
        expected = (
            *("/etc/resolv.conf", "/etc/hosts", "/queue.", "/slot", "/content"),
            # which file system is it on?
            "/proc/self/mountinfo",
        )
        inside = [in_queue(path) for _, path in late]
        strange = [p for p in inside if p != "/" and not p.startswith(expected)]
        self.assertEqual(strange, [])

    def test_outside(self) -> None:
        """
        A session imports nothing, and opens nothing but the queue and what is
        looked at again.
        """
        self.check("n")

    def test_in_jail(self) -> None:
        """
        Nor with chroot.
        """
        self.check("y")


def in_queue(path: str) -> str:
    """
    @return: how a path would be called if the queue were the root.
    """
    _, found, rest = path.partition("/queue")
    return f"/{rest.lstrip('/')}" if found and rest[:1] in ("", "/") else path


def talk(
    address: tuple[str, int], session: Sequence[tuple[str, str]]
) -> list[tuple[str, str]]:
    """
    @return: the first command with another answer, and that.
    """
    with socket.create_connection(address, LIMIT) as client:
        client.settimeout(LIMIT)
        replies = client.makefile("rb")
        for command, code in session:
            if command:
                client.sendall(command.encode("utf-8") + b"\r\n")
            line = b"250-"
            while line[3:4] == b"-":
                line = replies.readline()
            if not line.decode("ascii", "replace").startswith(code):
                return [(command, line.decode("ascii", "replace"))]
    return []


class RoleTests(SynchronousTestCase):
    ROWS = (
        "smtp inet n - y - - smtpd\n"
        "smtp unix - - n - - smtp\n"
        "dovecot unix - - n - - lmtp\n"
        "hook unix - - n - - plugin agent=x\n"
        "local unix - n y - - local\n"
        "showq unix n - y - - showq\n"
        "postlog unix-dgram n - n - 1 postlogd\n"
    )

    def setUp(self) -> None:
        self.patch(confined_role, "warm_up", lambda: None)
        values = {"queue_directory": "/q", "mail_owner": OWNER.name}
        self.configuration = Configuration(
            "/c/main.cf",
            Settings.of(**values),
            parse_master_cf("master.cf", self.ROWS),
        )

    def names(self, role: str) -> list[str]:
        return [s.name for s in served(role, self.configuration.services)]

    def test_served(self) -> None:
        """
        Which services a role serves; those of plug-ins are with smtp.
        """
        self.assertEqual(self.names("smtpd"), ["smtp"])
        self.assertEqual(self.names("smtp"), ["smtp", "dovecot", "hook"])
        self.assertEqual(self.names("local"), ["local"])
        self.assertEqual(self.names("qmgr"), [])

    def test_jail(self) -> None:
        """
        A role in a jail finds the queue at the root; one that is not in a
        jail, where it is.
        """
        seen = as_seen("smtpd", self.configuration)
        self.assertEqual(seen.settings.queue_directory, "/")
        self.assertEqual(wanted("smtpd", self.configuration).chroot, "/q")
        self.assertIs(as_seen("smtp", self.configuration), self.configuration)
        self.assertIs(as_seen("local", self.configuration), self.configuration)

    def test_missing(self) -> None:
        """
        What a jail lacks is said, with what to do.
        """
        self.patch(confined_role, "confine", lambda what: ["no Landlock"])
        self.assertEqual(
            confine_role("smtpd", self.configuration),
            [
                "chroot: /q/etc/resolv.conf is missing: copy /etc/resolv.conf there",
                "chroot: /q/etc/hosts is missing: copy /etc/hosts there",
                "no Landlock",
            ],
        )
        self.assertEqual(confine_role("smtp", self.configuration), ["no Landlock"])
        # asks nobody
        row = "pickup unix n - y 60 1 pickup\n"
        pickup = replace(self.configuration, services=parse_master_cf("master.cf", row))
        self.patch(confined_role, "maildrop_group", lambda settings: None)
        self.assertEqual(confine_role("pickup", pickup), ["no Landlock"])

    def test_orphan(self) -> None:
        """
        A child whose parent has ended does not go on.
        """
        self.patch(confined_role, "confine", lambda what: [])
        self.patch(os, "getppid", lambda: 1)
        self.assertRaises(ConfigError, confine_role, "smtpd", self.configuration)

    def test_groups(self) -> None:
        """
        pickup reads what users hand in by a group; nobody else has any.
        """
        need_root()
        for role in ("smtpd", "smtp", "qmgr", "proxymap", "log"):
            account = wanted(role, self.configuration).account
            self.assertEqual(account, OWNER, role)
        settings = self.configuration.settings.override({"setgid_group": "mail"})
        pickup = wanted("pickup", replace(self.configuration, settings=settings))
        mail = grp.getgrnam("mail").gr_gid
        self.assertEqual(pickup.account, replace(OWNER, groups=(mail,)))

    def test_overrides(self) -> None:
        """
        What C{-o} names counts, too.
        """
        row = "25 inet n - n - - smtpd -o relay_domains=hash:/other/relay\n"
        changed = replace(
            self.configuration, services=parse_master_cf("master.cf", row)
        )
        self.assertIn("/other", wanted("smtpd", changed).read)
