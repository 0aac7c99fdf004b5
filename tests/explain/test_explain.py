"""
Tests of C{txmta explain} and C{txmta test-policy}.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.support import require_library
from txmta.explain import command, policy_test
from txmta.explain.answer import Explanation
from txmta.explain.ask import explain_all
from txmta.explain.cases import MAX_FILE, read
from txmta.explain.question import Question
from txmta.explain.render import differences, lines

_MAIN_CF = """\
compatibility_level = 3.9
myhostname = mail.here.test
mydestination = here.test, $myhostname
mynetworks = 10.0.0.0/8
alias_maps =
local_recipient_maps = inline:{joe=x}
queue_directory = $config_directory/queue
maillog_file = $config_directory/mail.log
process_model = single
smtpd_restriction_classes = strict
strict = check_helo_access inline:{bad.test=REJECT}, permit
smtpd_recipient_restrictions = check_sender_access inline:{a@x.test=strict}, permit
smtpd_data_restrictions = check_client_access inline:{{10.9.9.9=REJECT not you}}
virtual_alias_maps = inline:{{info@here.test=joe@here.test, out@else.test}}
"""

_MASTER_CF = """\
2525 inet n - n - - smtpd
2587 inet n - n - - smtpd -o smtpd_client_restrictions=permit_mynetworks,reject
smtp unix - - n - - smtp
local unix - n n - - local
error unix - - n - - error
"""

_STRANGER = "a.test[192.0.2.1]"
_FRIEND = "b.test[10.0.0.1]"


class Configured(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        self.main_cf = self.folder / "main.cf"
        self.main_cf.write_text(_MAIN_CF)
        (self.folder / "master.cf").write_text(_MASTER_CF)

    def explain(self, *questions: Question) -> list[Explanation]:
        return explain_all(str(self.main_cf), questions)


class ExplainTests(Configured):
    def test_stages(self) -> None:
        """
        Each restriction with its verdict, each table with key and answer, and
        who refuses where.
        """
        helo, relay, data, mapped, service = self.explain(
            Question(_STRANGER, "bad.test", "", "a@x.test", "joe@here.test"),
            Question(_STRANGER, recipient="b@else.test"),
            Question("b.test[10.9.9.9]", recipient="joe@here.test"),
            Question(_FRIEND, recipient="info@here.test"),
            Question(_STRANGER, recipient="joe@here.test", service="2587"),
        )
        self.assertEqual(
            [" ".join(row.split()) for row in lines(helo) if "inline" in row][-3:],
            [
                "inline:{a@x.test=strict} a@x.test found: strict",
                "inline:{bad.test=REJECT} bad.test found: REJECT",
                "check_helo_access inline:{bad.test=REJECT} 554 5.7.1 <bad.test>: "
                "Helo command rejected: Access denied",
            ],
        )
        self.assertEqual(helo.refused_at, "RCPT")
        self.assertEqual(relay.reply, "454 4.7.1 <b@else.test>: Relay access denied")
        self.assertEqual((data.code, data.refused_at), (554, "DATA"))
        self.assertIn("not you", data.reply)
        self.assertEqual(mapped.code, 250)
        self.assertEqual(
            [(d.address, d.address_class, d.transport) for d in mapped.destinations],
            [
                ("joe@here.test", "local", "local"),
                ("out@else.test", "default", "smtp"),
            ],
        )
        self.assertIn("Client host rejected", service.reply)
        self.assertIn("NOQUEUE: reject: RCPT from a.test[192.0.2.1]", service.log[-1])

    def test_login(self) -> None:
        found, stranger = self.explain(
            Question(_STRANGER, login="joe", tls=True, recipient="b@else.test"),
            Question(_STRANGER, recipient="nobody@here.test"),
        )
        self.assertEqual(found.code, 250 if _login_counts(found) else 454)
        self.assertEqual(stranger.code, 550)

    def test_tls_level(self) -> None:
        """
        What is demanded of the next hop, by the policies of its transport.
        """
        more = "smtp_tls_security_level = may\n"
        more += "smtp_tls_policy_maps = inline:{else.test=encrypt}\n"
        self.main_cf.write_text(_MAIN_CF + more)
        there, other, here = self.explain(
            Question(_FRIEND, recipient="a@else.test"),
            Question(_FRIEND, recipient="a@other.test"),
            Question(_FRIEND, recipient="joe@here.test"),
        )
        levels = [each.destinations[0].tls for each in (there, other, here)]
        self.assertEqual(levels, ["encrypt", "may", ""])
        self.assertIn("TLS encrypt", "\n".join(lines(there)))

    def test_nothing_is_kept(self) -> None:
        self.explain(Question(_FRIEND, recipient="joe@here.test"))
        names = sorted(path.name for path in self.folder.iterdir())
        self.assertEqual(names, ["main.cf", "master.cf"])

    def test_command(self) -> None:
        arguments = ["-c", str(self.folder), "--client", _FRIEND]
        arguments += ["--recipient", "joe@here.test"]
        status, text = _run(command.main, arguments)
        self.assertEqual(status, 0)
        self.assertTrue(text.endswith("verdict\n  accepted: 250 2.0.0 Ok\n"))
        status, text = _run(command.main, [*arguments, "--json"])
        self.assertEqual(json.loads(text)["code"], 250)

    def test_two_configurations(self) -> None:
        """
        What is the same is not shown; what differs is, with exit status 1.
        """
        other = self.folder / "new.cf"
        changed = "smtpd_sender_restrictions = reject\n"
        other.write_text(_MAIN_CF + changed)
        arguments = ["-c", str(self.folder), "--client", _FRIEND]
        arguments += ["--recipient", "joe@here.test", "--config"]
        status, text = _run(command.main, [*arguments, str(self.main_cf)])
        self.assertEqual((status, text), (0, "no difference\n"))
        status, text = _run(command.main, [*arguments, str(other)])
        self.assertEqual(status, 1)
        self.assertIn("-  accepted: 250 2.0.0 Ok\n", text)
        self.assertIn("+  refused at RCPT: 554 5.7.1", text)

    def test_bad_configuration(self) -> None:
        self.main_cf.write_text(_MAIN_CF + "smtpd_client_restrictions = nonsense\n")
        arguments = ["-c", str(self.folder), "--recipient", "joe@here.test"]
        status, _text = _run(command.main, arguments)
        self.assertEqual(status, 2)

    def test_no_such_service(self) -> None:
        arguments = ["-c", str(self.folder), "--recipient", "a@b", "--service", "x"]
        self.assertEqual(_run(command.main, arguments)[0], 2)

    def test_differences(self) -> None:
        one, two = self.explain(
            Question(_FRIEND, recipient="joe@here.test"),
            Question(_STRANGER, recipient="joe@here.test"),
        )
        self.assertEqual(differences(one, one), [])
        self.assertTrue(differences(one, two))


def _login_counts(found: Explanation) -> bool:
    return any(
        row.what == "permit_sasl_authenticated" and row.answer == "permit"
        for stage in found.stages
        for row in stage.rows
    )


def _run(main: Callable[[Sequence[str]], int], arguments: list[str]) -> tuple[int, str]:
    octets = io.BytesIO()
    out = io.TextIOWrapper(octets, "utf-8")
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
        status = main(arguments)
        out.flush()
    return status, octets.getvalue().decode()


class QuestionTests(SynchronousTestCase):
    def test_bad(self) -> None:
        for values, words in (
            ({}, "recipient: nobody is named"),
            ({"recipient": "a", "client": "here"}, "client: here: write an IP"),
            ({"recipient": "a", "client": "-x-[192.0.2.1]"}, "is not a host name"),
            ({"recipient": "a", "tls": "yes"}, "tls: yes: write true or false"),
            ({"recipient": "a", "size": "1"}, "size: 1: write a number"),
            ({"recipient": "a\r\nb"}, "recipient: has control characters"),
            ({"recipient": "a" * 1001}, "recipient: longer than"),
            ({"recipient": "a", "from": "b"}, "from: unknown"),
        ):
            with self.assertRaisesRegex(ValueError, words):
                Question.of(values)


class CaseTests(Configured):
    def _file(self, cases: object, name: str = "cases.json") -> str:
        path = self.folder / name
        path.write_text(json.dumps(cases))
        return str(path)

    def test_results(self) -> None:
        path = self._file(
            {
                "defaults": {"client": _STRANGER},
                "cases": [
                    {"name": "us", "recipient": "joe@here.test", "expect": "accept"},
                    {"recipient": "b@else.test", "expect": "4xx", "reply": "Relay"},
                    {"recipient": "b@else.test", "expect": 554},
                    {"recipient": "joe@here.test", "transport": "smtp"},
                ],
            }
        )
        denied = "454 4.7.1 <b@else.test>: Relay access denied"
        status, text = _run(policy_test.main, ["-c", str(self.folder), path])
        self.assertEqual(status, 1)
        self.assertEqual(
            text,
            "ok    us                     250 2.0.0 Ok\n"
            f"ok    <> to <b@else.test>    {denied}\n"
            f"FAIL  <> to <b@else.test>    {denied}\n"
            f"      must be 554, is {denied}\n"
            "FAIL  <> to <joe@here.test>  250 2.0.0 Ok\n"
            "      transport must be smtp, is local\n"
            "4 cases, 2 failed\n",
        )

    def test_good(self) -> None:
        case = {"recipient": "joe@here.test", "client": _STRANGER, "expect": "2xx"}
        path = self._file([case])
        status, text = _run(policy_test.main, ["-c", str(self.folder), path, "--json"])
        self.assertEqual(status, 0)
        self.assertEqual(json.loads(text)[0]["failures"], [])

    def test_bad_files(self) -> None:
        one = {"recipient": "a", "expect": "accept"}
        for data, words in (
            ([], "no cases"),
            ({"case": [one]}, "case: unknown"),
            ([1], "case 1: is not a mapping"),
            ([{**one, "expect": "maybe"}], "case 1: expect: maybe"),
            ([{"recipient": "a"}], "nothing is expected"),
            ([one, {**one, "to": "x"}], "case 2: to: unknown"),
        ):
            with self.assertRaisesRegex(ValueError, words):
                read(json.dumps(data).encode(), "x.json")
        for octets in (b"[", b"[" * 100000, b"\xff", b" " * (MAX_FILE + 1)):
            self.assertRaises(ValueError, read, octets, "x.json")

    def test_yaml(self) -> None:
        require_library("yaml")
        (case,) = read(b"- {recipient: a, expect: 5xx}\n", "x.yaml")
        self.assertEqual((case.question.recipient, case.expect), ("a", "5xx"))
        for octets in (b"[", b"\xff\xfe", b"!!python/object:os.system {}\n"):
            self.assertRaises(ValueError, read, octets, "x.yaml")

    def test_without_yaml(self) -> None:
        """
        Who has none is told what to install.
        """
        self.patch(sys, "modules", {**sys.modules, "yaml": None})
        with self.assertRaisesRegex(ValueError, "pip install PyYAML"):
            read(b"- {}\n", "x.yaml")
