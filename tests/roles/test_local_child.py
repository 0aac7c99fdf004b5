"""
The local role: what it does as whom, and what it refuses.
"""

from __future__ import annotations

import os
import re
import socket
import stat
import time
from dataclasses import replace
from pathlib import Path

from tests.delivery.doubles import request
from tests.roles.local_process import (
    AMY,
    BOB,
    MAIL,
    NOBODY,
    OWNER,
    LocalTestCase,
)
from txmta.model import Action, Client, Recipient

CONTENT = b"Subject: x\r\n\r\nbody\r\n"


def whose(path: Path) -> tuple[int, int, int]:
    status = path.lstat()
    return status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)


class MailboxTests(LocalTestCase):
    def test_maildir(self) -> None:
        """
        Each user's mail is the user's, and nobody else may read it.
        """
        outcomes = self.outcomes("amy", "bob")
        self.assertEqual([o.status for o in outcomes], ["2.0.0", "2.0.0"])
        for name, uid in (("amy", AMY), ("bob", BOB)):
            maildir = self.homes / name / "Maildir"
            self.assertEqual(whose(maildir), (uid, uid, 0o700))
            self.assertEqual(whose(maildir / "new"), (uid, uid, 0o700))
            (mail,) = self.mail(maildir)
            self.assertEqual(whose(mail), (uid, uid, 0o600))

    def test_spool(self) -> None:
        """
        In a spool directory of a group, mailboxes and locks are made with the
        rights of that group.
        """
        spool = self.folder(self.root / "spool", 0, 0o2775, MAIL)
        self.settings |= {
            "home_mailbox": "",
            "mail_spool_directory": str(spool),
            "mailbox_delivery_lock": "dotlock, fcntl",
        }
        (outcome,) = self.outcomes("amy")
        self.assertEqual(outcome.reason, "delivered to mailbox")
        self.assertEqual(whose(spool / "amy"), (AMY, MAIL, 0o600))
        self.assertEqual([p.name for p in spool.iterdir()], ["amy"])

    def test_virtual(self) -> None:
        """
        Mailboxes of numbers without accounts; never those of root, of the
        queue's owner or of their groups.
        """
        base = self.folder(self.root / "virtual", 0, 0o777)
        base.chmod(0o1777)
        (self.root / "boxes").write_text(
            "".join(f"{name}@v.test {name}/\n" for name in ("a", "r", "q", "g"))
        )
        (self.root / "uids").write_text(
            f"a@v.test {AMY}\nr@v.test 0\nq@v.test {OWNER}\ng@v.test {AMY}\n"
        )
        (self.root / "gids").write_text(
            f"a@v.test {BOB}\nr@v.test {BOB}\nq@v.test {BOB}\ng@v.test {OWNER}\n"
        )
        base.chmod(0o755)
        os.chown(base, AMY, AMY)
        self.settings |= {
            "virtual_mailbox_base": str(base),
            "virtual_mailbox_maps": f"texthash:{self.root}/boxes",
            "virtual_uid_maps": f"texthash:{self.root}/uids",
            "virtual_gid_maps": f"texthash:{self.root}/gids",
            "virtual_minimum_uid": "1",
        }
        process = self.start()
        what = request(*(f"{n}@v.test" for n in "arqg"), content=CONTENT)
        what = replace(what, transport="virtual")
        key = process.deliver(what, CONTENT)
        process.hear(lambda: key in process.over)
        found = {o.n: o.status for o in process.outcomes[key]}
        self.assertEqual(found, {0: "2.0.0", 1: "4.3.5", 2: "4.3.5", 3: "4.3.5"})
        (mail,) = self.mail(base / "a")
        self.assertEqual(whose(mail), (AMY, BOB, 0o600))
        self.assertEqual([p.name for p in base.iterdir()], ["a"])

    def test_refused(self) -> None:
        """
        Not through a symbolic link, into a Maildir of somebody else, into a
        FIFO, or into a file with another name.
        """
        amy = self.homes / "amy"
        private = self.folder(self.homes / "bob" / "Maildir", BOB, 0o777)
        cases = {
            "link": lambda: os.symlink(private, amy / "Maildir"),
            "foreign": lambda: self.folder(amy / "Maildir", BOB, 0o755),
            "open": lambda: self.folder(amy / "Maildir", AMY, 0o777),
        }
        self.homes.joinpath("bob").chmod(0o755)
        for name, make in cases.items():
            make()
            (outcome,) = self.outcomes("amy")
            self.assertEqual(outcome.status, "4.2.0", name)
            self.assertEqual(list(private.iterdir()), [], name)
            (amy / "Maildir").rename(amy / name)

    def test_refused_files(self) -> None:
        """
        The same for mailbox files: a FIFO, a link, a second name, another
        owner.
        """
        self.settings["home_mailbox"] = "mbox"
        amy = self.homes / "amy"
        # In the folder of a third one, so that all can get there.
        shared = self.folder(self.root / "shared", 0, 0o1777)
        shared.chmod(0o1777)
        target = self.file(shared / "target", "keep", AMY, 0o666)

        def fifo() -> None:
            os.mkfifo(amy / "mbox")
            os.chown(amy / "mbox", AMY, AMY)

        cases = {
            "fifo": fifo,
            "symbolic": lambda: os.symlink(target, amy / "mbox"),
            "hard": lambda: os.link(target, amy / "mbox"),
            "foreign": lambda: self.file(amy / "mbox", "keep", BOB, 0o666),
        }
        process = self.start()
        for name, make in cases.items():
            make()
            (outcome,) = self.outcomes("amy", process=process)
            self.assertEqual(outcome.status, "4.2.0", (name, outcome.reason))
            self.assertEqual(target.read_text(), "keep", name)
            (amy / "mbox").unlink()


class ForwardTests(LocalTestCase):
    def test_read_as_the_user(self) -> None:
        """
        A .forward file that only the user can read is read; one that the user
        cannot read has no effect, though root could.
        """
        forward = self.file(self.homes / "amy" / ".forward", "far@else.test", AMY)
        (outcome,) = self.outcomes("amy")
        (message,) = outcome.forward
        self.assertEqual(message.recipients, ("far@else.test",))
        os.chown(forward, 0, 0)
        (outcome,) = self.outcomes("amy")
        self.assertEqual((outcome.forward, outcome.status), ((), "2.0.0"))
        self.assertIn("cannot open file", self.log)

    def test_refused(self) -> None:
        """
        A link, a FIFO, somebody else's, one that everybody may write: not
        used, with a line in the log; the mail is in the mailbox.
        """
        forward = self.homes / "amy" / ".forward"
        other = self.file(self.root / "other", "far@else.test", AMY, 0o644)
        cases = {
            "not a regular file": lambda: os.symlink(other, forward),
            "is not a regular file": lambda: os.mkfifo(forward),
            "bad owner": lambda: self.file(forward, "far@else.test", BOB, 0o644),
            "world writable": lambda: self.file(forward, "far@else.test", AMY, 0o666),
        }
        for n, (words, make) in enumerate(cases.items(), 1):
            make()
            (outcome,) = self.outcomes("amy")
            self.assertEqual((outcome.forward, outcome.status), ((), "2.0.0"), words)
            self.assertIn(words, self.log)
            self.assertEqual(len(self.mail(self.homes / "amy" / "Maildir")), n)
            forward.unlink()
            (self.root / "log").write_text("")

    def test_include(self) -> None:
        """
        What an alias of the superuser includes is read as its owner; the
        superuser's own as default_privs, and what that cannot read waits.
        """
        amy = self.homes / "amy"
        self.file(amy / "list", "far@else.test", AMY)
        self.file(self.root / "roots", "far@else.test", 0, 0o600)
        link = self.homes / "bob" / "list"
        # Readable for root only, and amy's link to it.
        os.symlink(self.root / "roots", amy / "link")
        # bob's file in amy's home: bob cannot get there.
        self.file(amy / "bobs", "far@else.test", BOB)
        self.alias(
            f"a: :include:{amy}/list\nr: :include:{self.root}/roots\n"
            f"l: :include:{amy}/link\nb: :include:{amy}/bobs"
        )
        self.assertFalse(link.exists())
        process = self.start()
        found = self.outcomes("a", "r", "l", "b", process=process)
        self.assertEqual([f.recipients for f in found[0].forward], [("far@else.test",)])
        self.assertEqual(
            [o.status for o in found], ["2.0.0", "4.3.5", "4.3.5", "5.3.5"]
        )
        self.assertIn("not to be read by nobody", found[1].reason)
        (self.root / "roots").chmod(0o644)
        found = self.outcomes("r", process=process)
        self.assertEqual([f.recipients for f in found[0].forward], [("far@else.test",)])


class PowerlessTests(LocalTestCase):
    """
    Never as root, and never as the owner of the queue.
    """

    def test_mailboxes(self) -> None:
        for name in ("root", "owner"):
            (outcome,) = self.outcomes(name)
            self.assertEqual(
                (outcome.status, outcome.action), ("4.3.5", Action.DELAYED)
            )
            self.assertIn("txmta never acts as", outcome.reason)
            self.assertEqual(list((self.homes / name).iterdir()), [])

    def test_forward(self) -> None:
        """
        Their .forward files are not read.
        """
        for name, uid in (("root", 0), ("owner", OWNER)):
            self.file(self.homes / name / ".forward", "far@else.test", uid, 0o644)
            (outcome,) = self.outcomes(name)
            self.assertEqual((outcome.status, outcome.forward), ("4.3.5", ()))

    def test_default_privs(self) -> None:
        """
        What the superuser's aliases say is done as default_privs; so is what
        the owner of the queue says.
        """
        place = self.folder(self.root / "out", NOBODY, 0o755)
        run = self.script("run", f"id -u > {place}/ran; id -G >> {place}/ran")
        self.alias(f'c: "|{run}"\nf: {place}/file\nm: {place}/dir/')
        for uid in (0, OWNER):
            os.chown(self.aliases, uid, uid)
            outcomes = self.outcomes("c", "f", "m")
            self.assertEqual([o.status for o in outcomes], ["2.0.0"] * 3, outcomes)
            self.assertEqual((place / "ran").read_text(), f"{NOBODY}\n{NOBODY}\n")
            self.assertEqual(whose(place / "file"), (NOBODY, NOBODY, 0o600))
            (mail,) = self.mail(place / "dir")
            self.assertEqual(whose(mail)[0], NOBODY)
            mail.unlink()
            (place / "ran").unlink()

    def test_default_privs_of_root(self) -> None:
        self.settings["default_privs"] = "owner"
        self.alias(f'c: "|touch {self.queue}/x"\nf: {self.queue}/y')
        outcomes = self.outcomes("c", "f")
        self.assertEqual([o.status for o in outcomes], ["4.3.5"] * 2)
        self.assertEqual(list(self.queue.iterdir()), [])

    def test_pipe(self) -> None:
        """
        pipe runs as its user=, and not as these.
        """
        out = self.folder(self.root / "out", AMY, 0o777)
        out.chmod(0o777)
        run = self.script("run", f"id -u > {out}/$1")
        self.master_cf = "".join(
            f"p{user} unix - n n - - pipe user={user}:{user} argv={run} {user}\n"
            for user in ("amy", "root", "owner")
        )
        groups = {"amy": AMY, "root": 0, "owner": OWNER}

        class Group:
            def __init__(self, gid: int) -> None:
                self.gr_gid = gid

        self.patch(__import__("grp"), "getgrnam", lambda name: Group(groups[name]))
        process = self.start()
        for user, status in (("amy", "2.0.0"), ("root", "4.3.5"), ("owner", "4.3.5")):
            what = replace(request("x@y.test", content=CONTENT), transport=f"p{user}")
            key = process.deliver(what, CONTENT, False)
            process.hear(lambda key=key: key in process.over)  # type: ignore[misc]
            (outcome,) = process.outcomes[key]
            self.assertEqual(outcome.status, status, outcome.reason)
        self.assertEqual((out / "amy").read_text(), f"{AMY}\n")
        self.assertEqual([p.name for p in out.iterdir()], ["amy"])


class HostileTests(LocalTestCase):
    """
    A queue manager in the hands of somebody else.
    """

    def test_texts(self) -> None:
        """
        Nothing in a request is a command or a file.
        """
        out = self.folder(self.root / "out", 0, 0o777)
        out.chmod(0o777)
        evil = [
            f"|touch {out}/x",
            f'"|touch {out}/x"',
            f"{out}/x",
            f":include:{out}/list",
            "../../../../../../../../" + str(out)[1:] + "/x",
        ]
        self.file(out / "list", f"|touch {out}/x", 0, 0o644)
        process = self.start()
        keys = []
        for text in evil:
            recipients = (
                Recipient(0, text, text, f"rfc822;{text}"),
                Recipient(1, f"{text}@here.test", text, text),
                Recipient(2, "amy@here.test", text, text),
                Recipient(3, f"amy+{text}@here.test", text, text),
            )
            what = request("amy@here.test", content=CONTENT, sender=text, nexthop=text)
            client = Client(text, 25, text, text, text)
            envelope = replace(
                what.envelope,
                recipients=recipients,
                helo=text,
                protocol=text,
                envid=text,
                client=client,
            )
            what = replace(what, recipients=recipients, envelope=envelope)
            keys.append(process.deliver(what, CONTENT))
        for transport in ("smtp", "pipe", "/bin/sh", f"|touch {out}/x"):
            what = replace(
                request("amy@here.test", content=CONTENT), transport=transport
            )
            keys.append(process.deliver(what, CONTENT))
        process.hear(lambda: all(key in process.over for key in keys))
        self.assertEqual([p.name for p in out.iterdir()], ["list"])
        for key in keys[-4:]:
            self.assertEqual(process.over[key]["t"], "failed")
        for key in keys[:-4]:
            self.assertEqual(len(process.outcomes[key]), 4)
            for outcome in process.outcomes[key]:
                self.assertNotIn("command", outcome.reason)
        self.assertEqual(
            set((self.homes / "amy").iterdir()), {self.homes / "amy/Maildir"}
        )

    def test_descriptors(self) -> None:
        """
        Content that would be waited for, or is of another size: the link is
        dropped, nothing is delivered, and the next queue manager is served.
        """
        ours, theirs = socket.socketpair()
        self.addCleanup(ours.close)
        self.addCleanup(theirs.close)
        process = self.start()
        before = len(os.listdir(f"/proc/{process.pid}/fd"))
        with open("/dev/zero", "rb") as zero, open(self.aliases, "rb") as short:
            reading, writing = os.pipe()
            for descriptor in (ours.fileno(), zero.fileno(), short.fileno(), reading):
                what = request("amy@here.test", content=CONTENT)
                process.deliver_from(what, descriptor)
                process.read_rest()
                self.assertTrue(process.is_lost)
                process.relink()
                process.hear(lambda: {"t": "worked"} in process.records)
            os.close(reading)
            os.close(writing)
        self.assertEqual(len(os.listdir(f"/proc/{process.pid}/fd")), before)
        self.assertEqual(list((self.homes / "amy").iterdir()), [])
        (outcome,) = self.outcomes("amy", process=process)
        self.assertEqual(outcome.status, "2.0.0")


class CommandTests(LocalTestCase):
    def forward(self, script: Path) -> None:
        self.file(self.homes / "amy" / ".forward", f'"|{script}"\n', AMY)

    def test_what_it_has(self) -> None:
        """
        A command has the user's ids for good, three descriptors, a session of
        its own, default signals, and no environment but what is exported.
        """
        out = self.homes / "amy" / "out"
        run = self.script(
            "run",
            f"exec > {out}; grep -E '^([UG]id|Groups|SigIgn|NoNewPrivs):' "
            "/proc/self/status; ls /proc/$$/fd | tr '\\n' ' '; echo; pwd; umask; "
            'test "$(cut -d" " -f6 /proc/$$/stat)" = $$ && echo session; env',
        )
        self.forward(run)
        self.patch(os, "environ", os.environ)
        os.environ["SECRET"] = "sesame"
        self.addCleanup(os.environ.pop, "SECRET")
        (outcome,) = self.outcomes("amy")
        self.assertEqual(outcome.status, "2.0.0", outcome)
        text = out.read_text()
        for words in (
            "Uid:" + f"\t{AMY}" * 4,
            "Gid:" + f"\t{AMY}" * 4,
            f"Groups:\t{AMY} \n",
            "NoNewPrivs:\t0",
            "\nsession\n",
            "\n0077\n",
            "HOME=",
        ):
            self.assertIn(words, text)
        match = re.search(r"SigIgn:\t([0-9a-f]+)", text)
        assert match is not None, text
        # 32 and 33 are the C library's own; Python cannot reset them.
        self.assertEqual(int(match[1], 16) & ~(3 << 31), 0)
        self.assertNotIn("sesame", text)
        # One more of the shell that reads the script.
        listed = next(line for line in text.splitlines() if line.startswith("0 "))
        self.assertEqual(set(listed.split()) - {"10", "255"}, {"0", "1", "2"})
        self.assertIn(f"\n{self.queue}\n", text)

    def test_hanging(self) -> None:
        """
        A command that hangs holds up no mailbox; when its time is over it is
        killed, with what it has started, and its mail waits.
        """
        pids = self.homes / "amy" / "pids"
        run = self.script("run", f"sleep 600 & echo $! $$ > {pids}; wait")
        self.forward(run)
        self.settings["command_time_limit"] = "3s"
        process = self.start()
        began = time.monotonic()
        content = b"Subject: x\r\n\r\nbody\r\n"
        hangs = process.deliver(request("amy@here.test", content=content), content)
        (outcome,) = self.outcomes("bob", process=process)
        self.assertEqual(outcome.status, "2.0.0")
        self.assertLess(time.monotonic() - began, 2.5)
        self.assertNotIn(hangs, process.over)
        process.hear(lambda: hangs in process.over)
        (late,) = process.outcomes[hangs]
        self.assertEqual(late.status, "5.3.0")
        self.assertIn("Command time limit exceeded", late.reason)
        for pid in pids.read_text().split():
            self.assertTrue(gone(int(pid)), pid)

    def test_output(self) -> None:
        """
        What it says is in the reason, in part.
        """
        self.forward(self.script("run", "yes no | head -c 100000; exit 69"))
        (outcome,) = self.outcomes("amy")
        self.assertEqual(outcome.status[0], "5")
        self.assertIn("no no no", outcome.reason)
        self.assertLess(len(outcome.reason), 9000)

    def test_killed(self) -> None:
        """
        A user who kills everything that is his gets his mail later.
        """
        self.forward(self.script("run", "kill -9 -1"))
        (outcome,) = self.outcomes("amy")
        self.assertEqual(outcome.status[0], "4", outcome)

    def test_end_of_the_process(self) -> None:
        """
        With the process its commands end: one must not take half of a message
        for all of it.
        """
        out = self.homes / "amy" / "out"
        run = self.script("run", f"echo $$ > {out}; cat > /dev/null; sleep 600")
        self.forward(run)
        process = self.start()
        process.deliver(request("amy@here.test", content=CONTENT), CONTENT)
        pid = wait_for(lambda: out.exists() and out.read_text().strip())
        process.kill()
        wait_for(lambda: gone(int(pid)))

    def test_drain(self) -> None:
        """
        When its time is over a process kills its commands, and ends.
        """
        out = self.homes / "amy" / "out"
        self.forward(self.script("run", f"echo $$ > {out}; sleep 600"))
        process = self.start()
        process.deliver(request("amy@here.test", content=CONTENT), CONTENT)
        pid = wait_for(lambda: out.exists() and out.read_text().strip())
        self.assertEqual(process.drain(0.1), {"t": "drained"})
        process.wait()
        wait_for(lambda: gone(int(pid)))

    def test_next_queue_manager(self) -> None:
        """
        A queue manager that ends does not end a command; the next one hears
        that it runs, and what becomes of it.
        """
        go = self.homes / "amy" / "go"
        self.forward(
            self.script(
                "run", f"cat > /dev/null; while test ! -e {go}; do sleep 0.02; done"
            )
        )
        process = self.start()
        process.deliver(request("amy@here.test", content=CONTENT), CONTENT)
        self.outcomes("bob", process=process)
        process.relink()
        process.hear(lambda: {"t": "worked"} in process.records)
        records = process.records
        over = {r["key"] for r in records if r["t"] == "done"}
        (key,) = {r["key"] for r in records if r["t"] == "working"} - over
        go.write_text("")
        process.hear(lambda: {"t": "done", "key": key} in process.records)
        kinds = [r["t"] for r in process.records if r.get("key") == key]
        self.assertEqual(kinds, ["working", "outcome", "done"])


class KillTests(LocalTestCase):
    def test_kill(self) -> None:
        """
        Killed at any moment: what was told as delivered is there, and what
        was not can be delivered again; after that nothing is missing.
        """
        (self.homes / "amy").chmod(0o700)
        self.settings["home_mailbox"] = "Maildir/"
        left = {f"m{n}": b"Subject: m%d\r\n\r\nbody\r\n" % n for n in range(40)}
        rounds = 0
        told: set[str] = set()
        while left:
            rounds += 1
            self.assertLess(rounds, 50)
            told |= self.round(left, rounds)
            for subject in told:
                left.pop(subject, None)
            found = self.subjects()
            self.assertEqual(told - found, set())
        self.assertEqual(self.subjects(), {f"m{n}" for n in range(40)})
        self.assertGreater(rounds, 2)

    def round(self, left: dict[str, bytes], n: int) -> set[str]:
        process = self.start()
        keys = {}
        for subject, content in left.items():
            user = ("amy", "bob")[int(subject[1:]) % 2]
            what = request(f"{user}@here.test", content=content)
            keys[process.deliver(what, content)] = subject
        time.sleep(0.0015 * n)
        process.kill()
        process.read_rest()
        return {
            subject
            for key, subject in keys.items()
            if [o.status for o in process.outcomes[key]] == ["2.0.0"]
        }

    def subjects(self) -> set[str]:
        found = set()
        for name in ("amy", "bob"):
            for path in self.mail(self.homes / name / "Maildir"):
                text = path.read_text()
                self.assertTrue(text.endswith("\n\nbody\n"), text)
                found.add(text.partition("Subject: ")[2].partition("\n")[0])
        return found


def gone(pid: int) -> bool:
    """
    @return: whether a process has ended; a zombie has.
    """
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return True
    return state == "Z"


def wait_for(something: object) -> str:
    """
    @return: what C{something} gives, once that is true.
    """
    assert callable(something)
    end = time.monotonic() + 5
    while time.monotonic() < end:
        found = something()
        if found:
            return str(found)
        time.sleep(0.01)
    raise AssertionError("has not happened")
