"""
Tests of the check of a whole configuration.
"""

from __future__ import annotations

from collections.abc import Collection

from twisted.trial.unittest import SynchronousTestCase

from txmta.config.check import AGENTS, Report, check
from txmta.config.declare import System
from txmta.config.main_cf import parse_main_cf
from txmta.config.master_cf import builtin_master_cf, parse_master_cf
from txmta.config.postfix import DANGEROUS, danger, defaults
from txmta.config.settings import Settings

#: As a tutorial for Postfix 2.0 writes it.
TUTORIAL = """\
queue_directory = /var/spool/postfix
command_directory = /usr/sbin
daemon_directory = /usr/libexec/postfix
mail_owner = postfix
myhostname = mail.example.com
mydomain = example.com
myorigin = $mydomain
inet_interfaces = all
mydestination = $myhostname, localhost.$mydomain, $mydomain,
        mail.$mydomain, www.$mydomain
unknown_local_recipient_reject_code = 550
mynetworks = 192.168.1.0/24, 127.0.0.0/8
relay_domains = $mydestination
relayhost = [gateway.example.com]
alias_maps = hash:/etc/aliases
alias_database = hash:/etc/aliases
home_mailbox = Maildir/
smtpd_banner = $myhostname ESMTP $mail_name
debug_peer_level = 2
debugger_command =
         PATH=/bin:/usr/bin:/usr/local/bin
         xxgdb $daemon_directory/$process_name $process_id & sleep 5
sendmail_path = /usr/sbin/sendmail
newaliases_path = /usr/bin/newaliases
mailq_path = /usr/bin/mailq
setgid_group = postdrop
html_directory = no
manpage_directory = /usr/share/man
sample_directory = /etc/postfix/samples
readme_directory = /etc/postfix/readme
"""

#: As Debian's debconf writes it.
DEBIAN = """\
smtpd_banner = $myhostname ESMTP $mail_name (Debian/GNU)
biff = no
append_dot_mydomain = no
readme_directory = no
compatibility_level = 3.6
smtpd_tls_cert_file=/etc/ssl/certs/ssl-cert-snakeoil.pem
smtpd_tls_key_file=/etc/ssl/private/ssl-cert-snakeoil.key
smtpd_tls_security_level=may
smtp_tls_CApath=/etc/ssl/certs
smtp_tls_security_level=may
smtp_tls_session_cache_database = btree:${data_directory}/smtp_scache
smtpd_relay_restrictions = permit_mynetworks permit_sasl_authenticated
 defer_unauth_destination
myhostname = mail.example.com
alias_maps = hash:/etc/aliases
alias_database = hash:/etc/aliases
mydestination = $myhostname, mail, localhost.localdomain, , localhost
relayhost =
mynetworks = 127.0.0.0/8 [::ffff:127.0.0.0]/104 [::1]/128
mailbox_size_limit = 0
recipient_delimiter = +
inet_interfaces = all
inet_protocols = all
"""

#: The unusual services of a stock master.cf.
STOCK = """\
smtp      inet  n       -       y       -       -       smtpd
pickup    unix  n       -       y       60      1       pickup
cleanup   unix  n       -       y       -       0       cleanup
qmgr      unix  n       -       n       300     1       qmgr
tlsmgr    unix  -       -       y       1000?   1       tlsmgr
rewrite   unix  -       -       y       -       -       trivial-rewrite
bounce    unix  -       -       y       -       0       bounce
proxymap  unix  -       -       n       -       -       proxymap
smtp      unix  -       -       y       -       -       smtp
relay     unix  -       -       y       -       -       smtp
        -o syslog_name=postfix/$service_name
error     unix  -       -       y       -       -       error
local     unix  -       n       n       -       -       local
virtual   unix  -       n       n       -       -       virtual
lmtp      unix  -       -       y       -       -       lmtp
postlog   unix-dgram n  -       n       -       1       postlogd
maildrop  unix  -       n       n       -       -       pipe
  flags=DRXhu user=vmail argv=/usr/bin/maildrop -d ${recipient}
"""


def report(
    text: str, master: str = "", level: str = "3.11", agents: Collection[str] = AGENTS
) -> Report:
    """
    @param level: C{""}: no compatibility_level.
    """
    if level and "compatibility_level" not in text:
        text += f"compatibility_level = {level}\n"
    main_cf = parse_main_cf("main.cf", text)
    services = parse_master_cf("master.cf", master) if master else builtin_master_cf()
    settings = Settings(main_cf.definitions, System("vm"))
    return check(main_cf, settings, services, agents)


class AcceptedTests(SynchronousTestCase):
    def test_empty(self) -> None:
        """
        An empty main.cf is right. What the newest defaults mean is said once.
        """
        found = report("", level="", agents=(*AGENTS, "lmtp"))
        self.assertEqual(found.problems, ())
        (warning,) = found.warnings
        self.assertIn("compatibility_level is not set", warning)

    def test_tutorial(self) -> None:
        """
        A main.cf of a Postfix 2.0 tutorial runs unchanged.
        """
        self.assertEqual(report(TUTORIAL).problems, ())
        self.assertEqual(
            [w for w in report(TUTORIAL).warnings if w.startswith("main.cf")], []
        )

    def test_debian(self) -> None:
        """
        So does Debian's, with the stock master.cf; opportunistic TLS is a
        warning, and what is not built yet is one line.
        """
        found = report(DEBIAN, STOCK, agents=(*AGENTS, "lmtp", "pipe"))
        self.assertEqual(found.problems, ())
        names = [w.split(": ")[1].split(" =")[0] for w in found.warnings[:-1]]
        for name in names:
            self.assertIn("tls", name)
        (note,) = found.notes
        self.assertEqual(
            note,
            "master.cf: parts of other processes here, not processes: tlsmgr, "
            "rewrite, bounce, proxymap, postlog",
        )

    def test_default_value(self) -> None:
        """
        A dangerous parameter that says what counts anyway is no problem.
        """
        text = (
            "virtual_alias_maps = $virtual_maps\nheader_checks =\n"
            "smtp_host_lookup = dns\nallow_mail_to_commands = alias,forward\n"
            "smtpd_tls_security_level =\nsmtp_bind_address=\n"
        )
        found = report(text)
        self.assertEqual(found.problems, ())

    def test_user_defined(self) -> None:
        """
        A name of one's own is legal where a value, or master.cf, uses it.
        """
        master = STOCK + "x inet n - n - - smtpd -o relayhost=$mua_host\n"
        text = "mine = example.org\nmydestination = ${mine}\nmua_host = [a.b]\n"
        unknown = [w for w in report(text, master).warnings if "unknown" in w]
        self.assertEqual(unknown, [])


class WarningTests(SynchronousTestCase):
    def has(self, found: Report, *expected: str) -> None:
        for words in expected:
            self.assertTrue(
                any(words in w for w in found.warnings), f"{words}: {found.warnings}"
            )

    def test_unknown(self) -> None:
        """
        An unknown parameter is a warning with the nearest known one, and
        never fatal.
        """
        found = report("# c\nmydestinations = x\nqqqzzz = y\nvirtual_gid_map = z\n")
        self.assertEqual(found.problems, ())
        self.has(
            found,
            "main.cf, line 2: mydestinations: unknown parameter, ignored: did you "
            "mean mydestination?",
            "main.cf, line 3: qqqzzz: unknown parameter, ignored",
            "virtual_gid_maps?",
        )

    def test_undefined(self) -> None:
        """
        $name that nobody defines expands to nothing, and is told.
        """
        self.has(
            report("mydestination = $myhostnme\n"),
            "mydestination: undefined parameter: myhostnme",
        )

    def test_not_supported(self) -> None:
        self.has(
            report("smtpd_tls_enable_rpk = yes\n"),
            "smtpd_tls_enable_rpk = yes: not supported yet, ignored",
        )

    def test_overridden(self) -> None:
        self.has(report("mydomain = a.b\nmydomain = c.d\n"), "overriding earlier entry")

    def test_both(self) -> None:
        self.has(
            report("mydestination = a.b\nvirtual_mailbox_domains = A.B\n"),
            "do not list domain A.B in BOTH mydestination and virtual_mailbox_domains",
        )

    def test_everybody_trusted(self) -> None:
        self.has(report("mynetworks = 0.0.0.0/0\n"), "trusts the whole Internet")

    def test_nothing_listens(self) -> None:
        self.has(report("", "smtp unix - - n - - smtp\n"), "nothing will listen")

    def test_unknown_transport_family(self) -> None:
        """
        slow_destination_concurrency_limit without a service "slow" is a slip.
        """
        text = "slow_destination_concurrency_limit = 1\n"
        self.has(report(text), "slow_destination_concurrency_limit: unknown")
        slow = STOCK + "slow unix - - n - - smtp\n"
        unknown = [w for w in report(text, slow).warnings if "unknown" in w]
        self.assertEqual(unknown, [])


class ProblemTests(SynchronousTestCase):
    def has(self, found: Report, *expected: str) -> None:
        self.assertEqual(len(found.problems), len(expected), found.problems)
        for words, problem in zip(expected, found.problems, strict=True):
            self.assertIn(words, problem)

    def test_dangerous(self) -> None:
        """
        What cannot be ignored without admitting, exposing, losing or
        misrouting mail refuses the start: each line with place and remedy.
        """
        self.has(
            report(
                "best_mx_transport = local\n"
                "content_filter = scan:[127.0.0.1]:10025\n"
                "smtpd_proxy_filter = 127.0.0.1:10025\n"
                "fallback_relay = [192.0.2.1]\n"
            ),
            "main.cf, line 1: best_mx_transport = local: is not supported yet: "
            "remove the line",
            "main.cf, line 2: content_filter",
            "main.cf, line 3: smtpd_proxy_filter",
            "main.cf, line 4: fallback_relay",
        )

    def test_in_master_cf(self) -> None:
        """
        An override in master.cf is judged like main.cf, at its own place.
        """
        self.has(
            report(
                "",
                STOCK
                + "submission inet n - n - - smtpd\n"
                + "  -o smtpd_tls_security_level=encrypt\n  -o queue_run_delay=x\n",
            ),
            "queue_run_delay = x",
        )
        self.has(
            report(
                "",
                STOCK
                + "submission inet n - n - - smtpd\n"
                + "  -o strict_8bitmime=yes\n",
            ),
            "master.cf, line 19: strict_8bitmime = yes",
        )

    def test_service_not_built(self) -> None:
        """
        Overrides of a service that does not start do not count.
        """
        found = report("", STOCK + "x unix - n n - - pipe -o content_filter=y argv=z\n")
        self.assertEqual(found.problems, ())

    def test_transport(self) -> None:
        """
        Unknown and unsupported transports refuse the start.
        """
        self.has(
            report("default_transport = smpt\n"),
            "main.cf, line 1: default_transport = smpt: master.cf has no service smpt "
            "of type unix: write one of",
        )
        self.has(
            report("virtual_transport = maildrop\n", STOCK),
            "virtual_transport = maildrop: the program pipe is not supported yet",
        )
        for name in ("mailbox_transport", "fallback_transport"):
            self.has(
                report(f"{name} = cyrus:x\n"),
                f"main.cf, line 1: {name} = cyrus:x: master.cf has no service cyrus "
                "of type unix: write one of",
            )

    def test_family_value(self) -> None:
        master = STOCK + "slow unix - - n - - smtp\n"
        self.has(
            report(
                "slow_destination_concurrency_limit = many\n"
                "slow_destination_rate_delay = 1x\n",
                master,
            ),
            "slow_destination_concurrency_limit = many: is not a number",
            "slow_destination_rate_delay = 1x: is not a time",
        )

    def test_network(self) -> None:
        self.has(
            report("inet_interfaces = 10.9.9.9\nmynetworks = 192.168.1.5/24 ::1\n"),
            "main.cf, line 1: inet_interfaces: no local interface found for 10.9.9.9",
            "main.cf, line 2: mynetworks: 192.168.1.5/24 has host bits",
            "main.cf, line 2: mynetworks: ::1: write IPv6 in brackets",
        )

    def test_sizes(self) -> None:
        """
        As Postfix: a mailbox must be able to hold a message.
        """
        self.has(
            report("message_size_limit = 60000000\nvirtual_mailbox_limit = 0\n"),
            "mailbox_size_limit: 51200000 is smaller than message_size_limit",
        )

    def test_log_file(self) -> None:
        """
        maillog_file_prefixes counts where it is written.
        """
        self.assertEqual(report("maillog_file = /srv/mail.log\n").problems, ())
        prefixes = "maillog_file_prefixes = /var/log/, /dev/stdout\n"
        self.has(
            report("maillog_file = /srv/mail.log\n" + prefixes),
            "main.cf, line 1: maillog_file: /srv/mail.log does not begin with",
        )
        for path in ("/var/log/x", "/dev/stdout", ""):
            text = f"maillog_file = {path}\n{prefixes}"
            self.assertEqual(report(text).problems, ())


class PostfixTests(SynchronousTestCase):
    def test_data(self) -> None:
        """
        All parameters of Postfix are known by name.
        """
        self.assertEqual(len(defaults()), 958)
        self.assertEqual(defaults()["smtp_host_lookup"], "dns")

    def test_dangerous_names(self) -> None:
        """
        No name in the table of dangers is misspelt, or it would guard nothing.
        """
        self.assertEqual(set(DANGEROUS) - set(defaults()), set())

    def test_values(self) -> None:
        self.assertNotEqual(danger("best_mx_transport", "local"), "")
        self.assertEqual(danger("biff", "no"), "")
