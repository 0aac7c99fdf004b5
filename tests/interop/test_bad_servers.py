"""
txmta and Debian's Postfix against servers that misbehave: each recipient ends
as documented, and as with Postfix but where the difference is meant.

Both have the same time limits and get the same messages, for recipients such
as C{a@[127.1.0.7]}: an address for each misbehaviour.
"""

from __future__ import annotations

import re
import smtplib
import time
from collections.abc import Mapping, Sequence

from tests.interop.bad_cases import AGAIN, COMMANDS, GREETINGS, LARGE, LMTP
from tests.interop.bad_differences import DIFFERENCES
from tests.interop.bad_server import BadServer, Script
from tests.interop.peers import Postfix
from tests.interop.running import RunningTestCase, Txmta
from tests.interop.tools import wait_for
from tests.support import require, require_root

#: Seconds for each stage; and until all has ended, on a slow machine.
LIMIT = 3
PATIENCE = 45.0

_STAGES = (
    "connect",
    "mail",
    "rcpt",
    "data_init",
    "data_xfer",
    "data_done",
    "rset",
    "quit",
)
MAIN_CF = "".join(
    f"{kind}_{stage}_timeout = {LIMIT}\n"
    for kind, stages in (
        ("smtp", (*_STAGES, "helo")),
        ("lmtp", (*_STAGES, "lhlo")),
    )
    for stage in stages
)
MAIN_CF += """\
mydestination =
smtp_tls_security_level = none
lmtp_tls_security_level = none
smtp_connection_cache_on_demand = no
smtp_connection_cache_time_limit = 20s
lmtp_connection_cache_on_demand = no
minimal_backoff_time = 1h
maximal_backoff_time = 1h
"""

_LINE = re.compile(
    r"/[sl]mtp\[\d+\]: (?P<id>\w+): to=<(?P<to>[^>]*)>, relay=(?P<relay>[^,]+), .*?"
    r"delay=(?P<delay>[\d.]+), delays=\S+, dsn=(?P<status>[\d.]+), "
    r"status=(?P<fate>\w+) \((?P<reason>.*)\)"
)
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\ufffd]")
_SIZE = re.compile(r"message size \d+")

SMALL = b"Subject: x\r\n\r\n" + b"body\r\n" * 100
BIG = b"Subject: x\r\n\r\n" + (b"b" * 70 + b"\r\n") * 60_000

#: Recipients of each case of a table.
_NAMES = {id(GREETINGS): "abc", id(COMMANDS): "abc", id(LMTP): "abc"}

Table = Mapping[str, tuple[str, Script]]


def cuts(*offers: bytes) -> tuple[Table, Sequence[int]]:
    """
    A session that is cut after each octet of what the server says.

    @return: cases, and where each is cut.
    """
    script: dict[str, bytes] = {
        "": b"220 b\r\n",
        "EHLO": b"".join(offers),
        "MAIL": b"250 m\r\n",
        "RCPT": b"250 r\r\n",
        "DATA": b"354 d\r\n",
        ".": b"250 .\r\n",
    }
    total = sum(map(len, script.values()))
    # The line end counts when its LF has come.
    fates = {n: "deferred 4.4.2" for n in range(1, total)}
    fates[total] = "sent 2.0.0"
    table = {f"cut: {len(offers)}, {n}": (fates[n], script) for n in fates}
    return table, tuple(fates)


PIPELINED = cuts(b"250-b\r\n", b"250 PIPELINING\r\n")
ONE_BY_ONE = cuts(b"250 b\r\n")


class Playground:
    """
    The bad server, and how its cases are told from one another.
    """

    def __init__(self) -> None:
        self.tables: Sequence[Table] = (
            GREETINGS,
            COMMANDS,
            LARGE,
            AGAIN,
            LMTP,
            PIPELINED[0],
            ONE_BY_ONE[0],
        )
        self.cases: Table = {n: c for t in self.tables for n, c in t.items()}
        whole = sum(map(len, self.tables[:5]))
        self.server = BadServer(
            [{}, {}, *(script for _, script in self.cases.values())],
            [None] * (whole + 2) + [*PIPELINED[1], *ONE_BY_ONE[1]],
        )
        # Where the notices of each of the two servers under test go.
        ours, theirs, *addresses = self.server.addresses
        self.senders = (ours, theirs)
        self.address = dict(zip(self.cases, addresses, strict=True))
        self.main_cf = (
            f"{MAIN_CF}smtp_tcp_port = {self.server.port}\n"
            f"lmtp_tcp_port = {self.server.port}\nsmtp_connection_cache_destinations ="
            f" {' '.join(self.address[name] for name in AGAIN)}\n"
        )

    def recipients(self, *tables: Table) -> dict[str, str]:
        """
        @return: the case of each.
        """
        return {
            f"{local}@[{self.address[name]}]": name
            for table in tables
            for name in table
            for local in _NAMES.get(id(table), "a")
        }

    def documented(self, recipient: str, name: str) -> str:
        fates = self.cases[name][0].split(", ")
        return fates["abc".index(recipient[0])] if len(fates) > 1 else fates[0]


class Run:
    """
    All cases in one server.

    @ivar said: of each recipient, what the log says about its last message.
    @ivar ids: of the messages.
    """

    def __init__(
        self,
        server: Txmta | Postfix,
        lmtp: Txmta | Postfix,
        place: Playground,
        sender: str,
    ) -> None:
        """
        @param sender: address of who gets the notices.
        """
        self.sender = sender
        self._server = server
        self._place = place
        self.said: dict[str, list[Mapping[str, str]]] = {}
        self.ids: dict[str, Sequence[str]] = {}
        smtp = place.recipients(GREETINGS, COMMANDS, PIPELINED[0], ONE_BY_ONE[0])
        again = place.recipients(AGAIN)
        self._sent = [
            (lmtp, self._send(lmtp, place.recipients(LMTP))),
            (server, self._send(server, place.recipients(LARGE), BIG)),
        ]
        first = self._send(server, again)
        self._wait(server, first)
        self._sent.append((server, self._send(server, again)))
        self._sent.append((server, self._send(server, smtp)))

    def wait(self) -> None:
        """
        Until every recipient has an outcome.
        """
        for server, queue_id in self._sent:
            self.said.update(self._wait(server, queue_id))

    def _send(
        self,
        server: Txmta | Postfix,
        recipients: Mapping[str, str],
        body: bytes = SMALL,
    ) -> str:
        with smtplib.SMTP("127.0.0.1", server.port, timeout=PATIENCE) as client:
            client.ehlo()
            client.mail(f"s@[{self.sender}]")
            for recipient in recipients:
                code, text = client.rcpt(recipient)
                assert code == 250, text
            code, text = client.data(body)
        assert code == 250, text
        queue_id = text.decode().split()[-1]
        self.ids[queue_id] = tuple(recipients)
        return queue_id

    def _wait(
        self, server: Txmta | Postfix, queue_id: str
    ) -> dict[str, list[Mapping[str, str]]]:
        """
        @return: what is there when nothing more comes.
        """
        end = time.monotonic() + PATIENCE
        while True:
            found: dict[str, list[Mapping[str, str]]] = {}
            # Not splitlines(): a line may contain U+2028.
            for line in server.log().split("\n"):
                match = _LINE.search(line)
                if match is not None and match["id"] == queue_id:
                    found.setdefault(match["to"], []).append(match.groupdict())
            if len(found) == len(self.ids[queue_id]) or time.monotonic() > end:
                return found
            time.sleep(0.1)


def fate(said: Mapping[str, str]) -> str:
    return f"{said['fate']} {said['status']}"


def words(said: Mapping[str, str]) -> str:
    reason = _SIZE.sub("message size N", said["reason"])
    return f"{fate(said)} {said['relay']} {reason}"


class BadServerTests(RunningTestCase):
    maxDiff = None

    def test_fates(self) -> None:
        """
        Each recipient of each case has one outcome, the documented one, in
        time; what was taken was sent, what was not is told to the sender or
        kept; nothing in the log can be taken for something else. All is as
        with Postfix, but for a table.
        """
        require("postfix")
        require_root("to run a Postfix of its own")
        place = Playground()
        self.addCleanup(place.server.close)
        over_lmtp = f"{place.main_cf}default_transport = lmtp\n"
        ours = Run(
            server := self.running(place.main_cf),
            lmtp := self.running(over_lmtp, master_cf=_WITH_LMTP),
            place,
            place.senders[0],
        )
        theirs = Run(
            self.postfix(place.main_cf),
            self.postfix(over_lmtp),
            place,
            place.senders[1],
        )
        ours.wait()
        self.check_fates(place, ours)
        self.check_nothing_lost(place, ours, server.log() + lmtp.log())
        theirs.wait()
        self.check_same(place, ours, theirs)

    def check_fates(self, place: Playground, ours: Run) -> None:
        wrong = []
        for recipient, name in place.recipients(*place.tables).items():
            said = ours.said.get(recipient, [])
            expected = place.documented(recipient, name)
            if [fate(s) for s in said] != [expected]:
                wrong.append((name, recipient, expected, said))
            # No more than one stage runs out in any case but two: a kept
            # connection that is silent, and then another.
            elif float(said[0]["delay"]) > 3 * LIMIT + 2:
                wrong.append((name, recipient, "in time", said))
        self.assertEqual(wrong, [])

    def check_nothing_lost(self, place: Playground, ours: Run, log: str) -> None:
        self.assertEqual(_CONTROL.findall(log), [])
        told = self.notices(place, ours)
        for recipient, (said,) in ours.said.items():
            what = f"Final-Recipient: rfc822; {recipient}".encode()
            self.assertEqual(what in told, said["fate"] == "bounced", recipient)
            address = recipient.partition("[")[2].rstrip("]")
            if said["fate"] == "sent":
                self.assertNotEqual(place.server.contents[address], [], recipient)
        for queue_id, recipients in ours.ids.items():
            fates = {ours.said[r][0]["fate"] for r in recipients}
            # Of two messages for the same recipients, the last is looked at.
            if queue_id == ours.said[recipients[0]][0]["id"]:
                gone = f": {queue_id}: removed" in log
                self.assertEqual(gone, "deferred" not in fates, queue_id)

    def notices(self, place: Playground, ours: Run) -> bytes:
        """
        @return: all bounces, one for each message with a refused recipient.
        """
        got = place.server.contents[ours.sender]
        refused = {s["id"] for (s,) in ours.said.values() if s["fate"] == "bounced"}
        wait_for(lambda: len(got) >= len(refused), lambda: f"{len(got)} of {refused}")
        return b"".join(got)

    def check_same(self, place: Playground, ours: Run, theirs: Run) -> None:
        different: dict[str, list[tuple[str, list[str], list[str]]]] = {}
        for recipient, name in place.recipients(*place.tables).items():
            us = [words(s) for s in ours.said[recipient]]
            them = [words(s) for s in theirs.said.get(recipient, [])]
            if us != them:
                different.setdefault(name, []).append((recipient, us, them))
        self.assertEqual(
            {n: d for n, d in different.items() if n not in DIFFERENCES}, {}
        )
        self.assertEqual(set(DIFFERENCES) - set(different), set())


_WITH_LMTP = """\
smtp unix - - n - - smtp
relay unix - - n - - smtp
lmtp unix - - n - - lmtp
local unix - n n - - local
virtual unix - n n - - virtual
error unix - - n - - error
retry unix - - n - - error
"""
