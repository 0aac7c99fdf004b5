"""
Tests of the import of sendmail.mc.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.admin.test_import_sendmail import entries, imported, lost
from tests.admin.test_import_sendmail_tables import mapped
from txmta.admin.import_sendmail_m4 import Call, calls
from txmta.admin.import_sendmail_options import define_value
from txmta.admin.import_sendmail_plan import Result


class M4Tests(SynchronousTestCase):
    def test_calls(self) -> None:
        """
        Quotes nest, and hide commas, brackets and dnl; dnl and # begin comments.
        """
        text = (
            "dnl define(`no')\n# define(`no')\ndefine(`a', `b, `c' (d')dnl more\n"
            "FEATURE(x, y(1, 2))\n`quoted define(z)'\nMAILER( local )\n"
            "define(`b',dnl\n`c')dnl\n"
        )
        self.assertEqual(
            list(calls(text)),
            [
                Call("define", ("a", "b, `c' (d"), 3),
                Call("FEATURE", ("x", "y(1, 2)"), 4),
                Call("MAILER", ("local",), 6),
                Call("define", ("b", "c"), 7),
            ],
        )

    def test_raw_lines(self) -> None:
        """
        After LOCAL_CONFIG there are lines of sendmail.cf, and macros.
        """
        text = "LOCAL_CONFIG\nCwa.example\n# x\nKfoo hash (x\nMAILER(`smtp')\nx\n"
        self.assertEqual(
            list(calls(text)),
            [
                Call("", ("Cwa.example",), 2),
                Call("", ("Kfoo hash (x",), 4),
                Call("MAILER", ("smtp",), 5),
            ],
        )

    def test_unclosed(self) -> None:
        """
        A call that does not end is said, and the last, whatever its quotes.
        """
        for text in ("define(`a', b\nMAILER(x)", "define(`a", "define(((("):
            found = list(calls(text))
            self.assertEqual([(c.name, c.whole) for c in found], [("define", False)])

    def test_any_text(self) -> None:
        """
        It ends whatever the text is.
        """
        for text in ("", "`", "'", ")", "`'`", "dnl", "a(", "LOCAL_CONFIG", "\0(\xff"):
            list(calls(text))


class MacroTests(SynchronousTestCase):
    def main_cf(self, mc: str, **others: str) -> str:
        files = {name.replace("_", "-"): text for name, text in others.items()}
        return imported({"sendmail.mc": mc, **files})[1]["main.cf"]

    def test_options(self) -> None:
        for mc, line in (
            ("define(`SMART_HOST', `[hub.example]')", "relayhost = [hub.example]"),
            ("define(`SMART_HOST', `smtp:hub.example')", "relayhost = hub.example"),
            ("define(`confDOMAIN_NAME', `m.example')", "myhostname = m.example"),
            ("LOCAL_CONFIG\nDjm.example\n", "myhostname = m.example"),
            ("define(`confMAX_MESSAGE_SIZE', `5')", "message_size_limit = 5"),
            ("define(`confTO_QUEUERETURN', `3')", "maximal_queue_lifetime = 3d"),
            ("define(`confTO_QUEUEWARN', `1h30m')", "delay_warning_time = 5400s"),
            ("define(`confPRIVACY_FLAGS', `goaway')", "smtpd_helo_required = yes"),
            (
                "define(`MAIL_HUB', `hub.example')",
                "local_transport = relay:hub.example",
            ),
            ("define(`LUSER_RELAY', `local:joe')", "luser_relay = joe"),
            ("define(`ALIAS_FILE', `/etc/aliases')", "alias_maps = hash:/etc/aliases"),
            ("FEATURE(`nullclient', `hub.example')", "mydestination =\n"),
            ("RELAY_DOMAIN(`r.example')", "relay_domains = r.example"),
            ("VIRTUSER_DOMAIN(`v.example')", "virtual_alias_domains = v.example"),
            ("LOCAL_DOMAIN(`a.example b.example')", "    b.example"),
            ("LOCAL_CONFIG\nCwc.example\n", "c.example"),
            ("FEATURE(`dnsbl', `z.example')", "reject_rbl_client z.example"),
            ("FEATURE(`relay_entire_domain')", "relay_domains = $mydomain"),
            ("FEATURE(`relay_based_on_MX')", "permit_mx_backup"),
            ("FEATURE(`block_bad_helo')", "reject_non_fqdn_helo_hostname"),
            ("DAEMON_OPTIONS(`Port=smtp,Addr=127.0.0.1')", "inet_interfaces = 127.0"),
            ("CLIENT_OPTIONS(`Family=inet,Address=0.0.0.0')", "smtpd_sender"),
            ("CLIENT_OPTIONS(`Addr=192.0.2.1')", "smtp_bind_address = 192.0.2.1"),
            ("INPUT_MAIL_FILTER(`x', `S=local:/run/x')", "smtpd_milters = unix:/run/x"),
            ("INPUT_MAIL_FILTER(`x', `S=inet:88@a.b, F=T')", "inet:a.b:88"),
        ):
            lines, texts = imported({"sendmail.mc": mc})
            self.assertIn(line, texts["main.cf"], mc)
            self.assertEqual(lost(lines), {}, mc)

    def test_lost(self) -> None:
        """
        What cannot be carried over says why; an open relay is none of it.
        """
        for mc in (
            "FEATURE(`promiscuous_relay')",
            "FEATURE(`relay_mail_from')",
            "FEATURE(`no_such_feature')",
            "define(`confNO_SUCH', `x')",
            "define(`confMAX_HOP', `many')",
            "define(`SMART_HOST', `uucp:site')",
            "MAILER(`uucp')",
            "include(`/etc/mail/sasl.m4')",
            "LOCAL_CONFIG\nKfoo hash /x\n",
            "DAEMON_OPTIONS(`Port=587, Name=MSA')",
            "LOCAL_DOMAIN(`a b!')",
            "NO_SUCH_MACRO(`x')",
            "define(`x', `",
        ):
            lines, texts = imported({"sendmail.mc": mc})
            self.assertEqual(len(lost(lines)), 1, mc)
            self.assertNotIn("permit\n", texts["main.cf"])

    def test_senders(self) -> None:
        """
        Sendmail refuses senders without a domain, or in one that does not
        exist, unless a feature says otherwise.
        """
        self.assertIn("reject_unknown_sender_domain", self.main_cf("VERSIONID(`x')"))
        mc = "FEATURE(accept_unresolvable_domains)\nFEATURE(accept_unqualified_senders)"
        self.assertNotIn("smtpd_sender_restrictions", self.main_cf(mc))

    def test_masquerade(self) -> None:
        """
        Names of this machine become one, but for users that are exposed.
        """
        mc = "MASQUERADE_AS(`m.example')\nEXPOSED_USER(`root')\n"
        mc += "MASQUERADE_DOMAIN(`d.example')\nMASQUERADE_EXCEPTION(`k.example')\n"
        _, texts = imported(
            {"sendmail.mc": mc, "local-host-names": "m.example\nl.example\nk.example\n"}
        )
        self.assertEqual(
            entries(texts["sender_canonical"]),
            [
                "root@l.example root@l.example",
                "@l.example @m.example",
                "root@d.example root@d.example",
                "@d.example @m.example",
            ],
        )
        self.assertIn("@$myhostname=@m.example", texts["main.cf"])
        self.assertIn("sender_canonical_classes = header_sender\n", texts["main.cf"])

    def test_masquerade_more(self) -> None:
        """
        Subdomains of MASQUERADE_DOMAIN are a table of patterns; recipients in
        headers are masqueraded if a feature says so.
        """
        mc = "MASQUERADE_AS(`m.test')\nMASQUERADE_DOMAIN(`d.test')\n"
        mc += "FEATURE(`masquerade_entire_domain')\nFEATURE(`allmasquerade')\n"
        more = "EXPOSED_USER(`root')\nMASQUERADE_EXCEPTION(`k.d.test')\n"
        for extra, left in (("", ()), (more, ("root@a.d.test", "a@k.d.test"))):
            lines, texts = imported({"sendmail.mc": mc + extra})
            self.assertEqual(lost(lines), {})
            rules = texts["sender_canonical_regexp"]
            for sender, wanted in (
                ("joe@a.d.test", "joe@m.test"),
                ("joe@b.a.d.test", "joe@m.test"),
                ("joe@d.test", ""),
                ("joe@axd.test", ""),
                ("root@a.d.test", "root@m.test"),
                ("a@k.d.test", "a@m.test"),
            ):
                wanted = "" if sender in left else wanted
                self.assertEqual(mapped(rules, sender), wanted, sender)
            main_cf = texts["main.cf"]
            self.assertIn("recipient_canonical_classes = header_recipient", main_cf)
            self.assertEqual(main_cf.count("sender_canonical_regexp"), 2)

    def test_first_counts(self) -> None:
        """
        A parameter that is set twice is said.
        """
        mc = "define(`SMART_HOST', `a.example')\ndefine(`SMART_HOST', `b.example')\n"
        lines, texts = imported({"sendmail.mc": mc})
        self.assertIn("relayhost = a.example", texts["main.cf"])
        self.assertEqual([x.source.line for x in lines if x.result is Result.LOST], [2])


class ValueTests(SynchronousTestCase):
    def test_values(self) -> None:
        for kind, value, made in (
            ("days", "5d", "5d"),
            ("minutes", "5", "5m"),
            ("hours", "1d2h", "93600s"),
            ("days", "1x", ""),
            ("days", "1" * 40, ""),
            ("banner", "$j Sendmail $v/$Z; $b", "$myhostname Sendmail ESMTP"),
            ("banner", "hello ESMTP", "$myhostname hello ESMTP"),
            ("forward", "$z/.forward.$w:$z/.forward", "$home/.forward"),
            ("path", "/a/b.pem", "/a/b.pem"),
            ("path", "b.pem", ""),
            ("number", "-1", ""),
        ):
            self.assertEqual(define_value(kind, value), made, value)
