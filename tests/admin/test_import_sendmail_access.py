"""
Tests of the import of Sendmail's access table, and of relay-domains.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.admin.test_import_sendmail import entries, imported, lost


class AccessTests(SynchronousTestCase):
    def test_tags(self) -> None:
        """
        A tag says for which of client, sender and recipient an entry is; one
        without is for all, where no tagged one says otherwise.
        """
        _, texts = imported(
            {
                "access": "a.example\tREJECT\nConnect:b.example\tREJECT\n"
                "From:c.example\tREJECT\nTo:d.example\tREJECT\nFrom:a.example\tOK\n"
                "joe@e.example\tDISCARD\nFROM:f.example\treject\n"
            }
        )
        client = ["a.example REJECT", "b.example REJECT"]
        self.assertEqual(entries(texts["client_access"]), client)
        self.assertEqual(
            entries(texts["sender_access"]),
            [
                "c.example REJECT",
                "a.example OK",
                "joe@e.example DISCARD",
                "f.example REJECT",
            ],
        )
        self.assertEqual(
            entries(texts["recipient_access"]),
            ["a.example REJECT", "d.example REJECT", "joe@e.example DISCARD"],
        )

    def test_values(self) -> None:
        for value, action in (
            ("OK", "OK"),
            ("REJECT", "REJECT"),
            ("DISCARD", "DISCARD"),
            ("SKIP", "DUNNO"),
            ("550 Go away", "550 5.7.1 Go away"),
            ("550 5.1.8 Go away", "550 5.1.8 Go away"),
            ("451 Later", "451 4.7.1 Later"),
            ("ERROR:550 Go", "550 5.7.1 Go"),
            ("ERROR:5.1.1:550 Go", "550 5.1.1 Go"),
            ('ERROR:"550 Go"', "550 5.7.1 Go"),
            ('ERROR:4.2.1:"450 Full"', "450 4.2.1 Full"),
            ("ERROR:5.7.1:450 Mixed", "450 4.7.1 Mixed"),
            ("ERROR:5.7.1:No code", "550 5.7.1 No code"),
            ("QUARANTINE:why", "HOLD why"),
        ):
            _, texts = imported({"access": f"From:a.example\t{value}\n"})
            self.assertEqual(entries(texts["sender_access"]), [f"a.example {action}"])
        for value in ("250 Fine", "WHATEVER", "ERROR:9.9.9:x", "OK:x"):
            lines, texts = imported({"access": f"From:a.example\t{value}\n"})
            self.assertEqual(len(lost(lines)), 1, value)
            self.assertNotIn("sender_access", texts)

    def test_networks(self) -> None:
        """
        Networks are a cidr table, the smallest first, as Sendmail asks.
        """
        lines, texts = imported(
            {
                "access": "10\tREJECT\n10.1.2\tOK\nConnect:10.1.2.3\tREJECT\n"
                "IPv6:2001:db8:1\tREJECT\nConnect:IPv6:2001:db8::5\tREJECT\n"
                "10.0.0.0/8\tREJECT\n300\tREJECT\nTo:10.1\tREJECT\nIPv6:x\tOK\n"
            }
        )
        self.assertEqual(
            entries(texts["client_access.cidr"]),
            [
                "2001:db8::5/128 REJECT",
                "2001:db8:1::/48 REJECT",
                "10.1.2.3/32 REJECT",
                "10.1.2.0/24 OK",
                "10.0.0.0/8 REJECT",
            ],
        )
        self.assertEqual(len(lost(lines)), 4)

    def test_relay(self) -> None:
        """
        RELAY is of clients, and to domains; never for who names a sender.
        """
        lines, texts = imported(
            {
                "access": "Connect:10.2\tRELAY\nConnect:IPv6:2001:db8\tRELAY\n"
                "c.example\tRELAY\nTo:to.example\tRELAY\nTo:joe@x.example\tRELAY\n"
                "From:s.example\tRELAY\njoe@y.example\tRELAY\n"
            }
        )
        main_cf = texts["main.cf"]
        self.assertIn("10.2.0.0/16,", main_cf)
        self.assertIn("[2001:db8::]/32", main_cf)
        self.assertIn("relay_domains = c.example, to.example", main_cf)
        self.assertEqual(entries(texts["relay_clients"]), ["c.example OK"])
        self.assertEqual(entries(texts["relay_recipients"]), ["joe@x.example OK"])
        self.assertEqual(
            sorted(lost(lines)), ["From:s.example RELAY", "joe@y.example RELAY"]
        )
        relay = main_cf.partition("smtpd_relay_restrictions =")[2]
        self.assertIn("check_client_access hash:$config_directory/relay_clients", relay)
        self.assertTrue(relay.rstrip().endswith("reject_unauth_destination"))

    def test_relay_in_a_refused_network(self) -> None:
        """
        A network that may relay inside one that is refused is not refused.
        """
        _, texts = imported({"access": "10\tREJECT\n10.2\tRELAY\n"})
        self.assertEqual(
            entries(texts["client_access.cidr"]),
            ["10.2.0.0/16 OK", "10.0.0.0/8 REJECT"],
        )

    def test_blacklist_recipients(self) -> None:
        """
        With a sendmail.mc without the feature, entries without a tag are not
        for recipients; To: ones are, which is said.
        """
        lines, texts = imported(
            {
                "sendmail.mc": "FEATURE(`access_db')\n",
                "access": "a.example\tREJECT\nTo:b.example\tREJECT\n",
            }
        )
        self.assertEqual(entries(texts["recipient_access"]), ["b.example REJECT"])
        notes = [x.note for x in lines if x.source.text.startswith("To:")]
        self.assertIn("blacklist_recipients", notes[0])

    def test_other_tags(self) -> None:
        """
        Tags that have no table are said with what to do; rates of all clients
        are parameters.
        """
        tags = ("Spam", "TLS_Srv", "TLS_Clt", "Try_TLS", "Srv_Features", "GreetPause")
        text = "".join(f"{tag}:a.example\tVERIFY\n" for tag in tags)
        lines, texts = imported({"access": f"{text}ClientRate:\t7\nNoTag:x\tOK\n"})
        self.assertEqual(len(lost(lines)), len(tags) + 1)
        self.assertTrue(all(lost(lines).values()))
        self.assertIn("smtpd_client_connection_rate_limit = 7", texts["main.cf"])

    def test_null_sender(self) -> None:
        _, texts = imported({"access": "From:<@>\tREJECT\nMAILER@\tDISCARD\n"})
        self.assertEqual(
            entries(texts["sender_access"]), ["<> REJECT", "mailer@ DISCARD"]
        )

    def test_relay_domains(self) -> None:
        lines, texts = imported(
            {"relay-domains": "a.example extra\n192.168\n# x\n1.2.3.4\n!bad\n"}
        )
        self.assertIn("relay_domains = a.example", texts["main.cf"])
        self.assertIn("192.168.0.0/16,\n    1.2.3.4/32", texts["main.cf"])
        self.assertEqual(entries(texts["relay_clients"]), ["a.example OK"])
        self.assertEqual(sorted(lost(lines)), ["!bad", "a.example extra"])
