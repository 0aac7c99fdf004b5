"""
A site with every place that mail can go to, and every way to get there.

Mailbox files of virtual and local users; commands of master.cf and of aliases;
an LMTP server; aliases and a .forward file with several targets; recipients
that fail, of each agent, and a notice of success.

Owns: its configuration; what arrived in each place.
Knows nothing of: faults, verdicts.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from tests.crash.forked import ForkServer
from tests.crash.mails import Arrivals, Mail
from tests.crash.sink import Sink
from tests.crash.site import MAIN_CF, Site

_MAIN_CF = (
    MAIN_CF.replace("mydestination =\nalias_maps =\n", "").replace("static:me/", "")
    + """\
mydestination = local.test
myorigin = local.test
virtual_mailbox_maps = inline:{{ {{me@example.com=me/}} {{box@example.com=box}} }}
alias_maps = hash:{folder}/aliases
forward_path = {folder}/forward/$user$recipient_delimiter$extension
recipient_delimiter = +
allow_mail_to_files = alias, forward
allow_mail_to_commands = alias, forward
mail_spool_directory = {mail}/spool
mailbox_transport_maps = inline:{{ {lmtp} }}
relay_domains = pipe.test
relay_transport = piped
stale_lock_time = 1s
deliver_lock_delay = 1s
"""
)

_ALIASES = """\
several: nobody, s@example.org, {mail}/file, "|/bin/sh {folder}/take command"
command: "|/bin/sh {folder}/take command"
"""

_FORWARD = "\\nobody, f1@example.org, f2@example.org\n"

#: A command that keeps what it is given, all of it or nothing that is seen.
#: What it cannot know is whether it was given all: it sees the same end when
#: the server is killed in the middle.
_TAKE = """\
t=$(mktemp {folder}/taken/.XXXXXX) && cat >"$t" &&
mv "$t" "{folder}/taken/$1-${{t##*.}}"
"""

_USERS = ("lm1", "lm2", "no-lmtp")

#: One for each way.
PLACES = (
    Mail("box", ("box@example.com",), 2000, ("box",)),
    Mail("boxes", ("box@example.com", "nobody@local.test"), 100_000, ("box", "spool")),
    Mail("piped", ("p@pipe.test",), 2000, ("piped",)),
    Mail(
        "piped-large",
        ("p@pipe.test", "command@local.test"),
        100_000,
        ("piped", "command"),
    ),
    Mail("lmtp", ("lm1@local.test", "lm2@local.test"), 2000),
    Mail(
        "forward",
        ("nobody+f@local.test",),
        2000,
        ("spool", "f1@example.org", "f2@example.org"),
    ),
    Mail(
        "forward-large",
        ("nobody+f@local.test",),
        100_000,
        ("spool", "f1@example.org", "f2@example.org"),
    ),
    Mail(
        "several",
        ("several@local.test",),
        2000,
        ("spool", "s@example.org", "file", "command"),
    ),
    Mail(
        "failed",
        ("no-user@local.test", "no-lmtp@local.test", "no@example.org"),
        2000,
        (
            "failed no-user@local.test",
            "failed no-lmtp@local.test",
            "failed no@example.org",
        ),
    ),
    Mail(
        "told",
        ("me@example.com",),
        2000,
        ("me@example.com", "delivered me@example.com"),
        "SUCCESS",
    ),
)


class PlacesSite(Site):
    """
    @ivar lmtp: behind mailbox_transport_maps.
    """

    # Root's mail_owner runs no commands of master.cf: this is an ordinary
    # user, who can.
    as_owner = True

    def __init__(
        self,
        folder: Path,
        queue: Path | None = None,
        mail: Path | None = None,
        forks: ForkServer | None = None,
    ) -> None:
        self.lmtp = Sink(lmtp=True)
        super().__init__(folder, queue, mail, forks)
        names = {"folder": self.folder, "mail": self.mail}
        (folder / "aliases").write_text(_ALIASES.format(**names))
        (folder / "take").write_text(_TAKE.format(**names))
        for path in (
            folder / "forward",
            folder / "taken",
            self.mail,
            self.mail / "spool",
        ):
            path.mkdir(parents=True, exist_ok=True)
            os.chown(path, *self.owner)
        forward = folder / "forward" / "nobody+f"
        forward.write_text(_FORWARD)
        os.chown(forward, *self.owner)

    def main_cf(self) -> str:
        hop = f"lmtp:inet:127.0.0.1:{self.lmtp.port}"
        uid, gid = self.owner
        return _MAIN_CF.format(
            sink=self.sink.port,
            mail=self.mail,
            queue=self.queue,
            folder=self.folder,
            uid=uid,
            gid=gid,
            lmtp=" ".join(f"{{{user}={hop}}}" for user in _USERS),
        )

    def master_cf(self) -> str:
        return (
            super().master_cf()
            + "lmtp unix - - n - - lmtp\n"
            + "piped unix - n n - - pipe user=nobody "
            + f"argv=/bin/sh {self.folder}/take piped\n"
        )

    def close(self) -> None:
        super().close()
        self.lmtp.stop()

    def mailbox(self, mail: Path | None = None) -> Arrivals:
        found = super().mailbox(mail)
        for place, name in (
            ("box", "box"),
            ("spool", "spool/nobody"),
            ("file", "file"),
        ):
            path = (mail or self.mail) / name
            if path.exists():
                for octets in messages(path.read_bytes()):
                    found.add_begun(place, octets)
        return found

    def elsewhere(self) -> Arrivals:
        found = super().elsewhere()
        found.update(self.lmtp.arrivals)
        for path in list((self.folder / "taken").iterdir()):
            if not path.name.startswith("."):
                found.add_begun(path.name.partition("-")[0], path.read_bytes())
        return found


def messages(octets: bytes) -> Iterator[bytes]:
    """
    @param octets: of a mailbox file.
    @return: each message, without the C{From } line, as a mail reader finds it.
        A message begins with such a line at the start of the file, and after
        an empty line; what comes before the first is a message that has none.
    """
    if not octets:
        return
    pieces = octets.split(b"\n\nFrom ")
    for number, piece in enumerate(pieces):
        last = number == len(pieces) - 1
        if last:
            piece = piece.removesuffix(b"\n").removesuffix(b"\n")
        if number or piece.startswith(b"From "):
            # A line that is cut off ends the piece.
            piece = piece.partition(b"\n")[2]
        yield piece + b"\n" if piece else piece
