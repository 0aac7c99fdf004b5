"""
Tests of settings: defaults, families, overrides.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from txmta.config.declare import Interface, System
from txmta.config.settings import FAMILIES, Definition, Settings
from txmta.errors import ConfigError


def on(hostname: str, **values: str) -> Settings:
    definitions = {name: Definition(text, name) for name, text in values.items()}
    return Settings(definitions, System(hostname))


class NameTests(SynchronousTestCase):
    def test_full_name(self) -> None:
        settings = on("mail.example.com")
        self.assertEqual(settings.myhostname, "mail.example.com")
        self.assertEqual(settings.mydomain, "example.com")
        self.assertEqual(
            settings.mydestination,
            ("mail.example.com", "localhost.example.com", "localhost"),
        )

    def test_short_name(self) -> None:
        """
        A machine's name without dot is completed with mydomain.
        """
        self.assertEqual(on("mail").myhostname, "mail.localdomain")
        self.assertEqual(on("mail").mydomain, "localdomain")
        self.assertEqual(on("mail", mydomain="x.y").myhostname, "mail.x.y")

    def test_given_name(self) -> None:
        """
        mydomain comes from myhostname in main.cf, not from the machine.
        """
        settings = on("vm.other.org", myhostname="mail.example.com")
        self.assertEqual(settings.mydomain, "example.com")
        self.assertEqual(settings.myorigin, "mail.example.com")
        self.assertEqual(on("vm", myhostname="mail").mydomain, "localdomain")

    def test_not_a_name(self) -> None:
        error = self.assertRaises(ConfigError, on, "vm", myhostname="a b")
        self.assertIn("myhostname = a b: is not a host name", str(error))


class NetworkTests(SynchronousTestCase):
    system = System(
        "vm",
        (Interface("127.0.0.1", "127.0.0.0/8"), Interface("::1", "::1/128")),
    )

    def test_default(self) -> None:
        """
        The default trusts this machine only.
        """
        settings = Settings({}, self.system)
        self.assertEqual(settings.mynetworks, ("127.0.0.1/32", "[::1]/128"))

    def test_old_level(self) -> None:
        """
        A main.cf that says it is for an old Postfix has the old default.
        """
        old = Settings({"compatibility_level": Definition("1", "")}, self.system)
        self.assertEqual(old.mynetworks_style, "subnet")
        self.assertEqual(old.mynetworks, ("127.0.0.0/8", "[::1]/128"))

    def test_missing_address(self) -> None:
        """
        An address that is not ours makes the default trust nobody; the check
        of the configuration tells it.
        """
        settings = Settings({"inet_interfaces": Definition("10.1.1.1", "")})
        self.assertEqual(settings.mynetworks, ())


class ExpansionTests(SynchronousTestCase):
    def test_user_defined(self) -> None:
        settings = Settings.of(relayhost="$mine", mine="[${other}]", other="a.b")
        self.assertEqual(settings.text("relayhost"), "[a.b]")
        self.assertEqual(settings.text("nobody"), "")

    def test_self_reference(self) -> None:
        """
        A circle is an error that shows the circle.
        """
        error = self.assertRaises(
            ConfigError, Settings.of, relayhost="$a", a="$b", b="$a"
        )
        self.assertIn("relayhost -> a -> b -> a", str(error))

    def test_doubling(self) -> None:
        """
        Names that mention a name twice, 60 levels high, cost nothing: each is
        expanded once.
        """
        values = {f"p{n}": f"$p{n + 1}$p{n + 1}" for n in range(60)}
        self.assertEqual(Settings.of(relayhost="$p0", **values).relayhost, "")

    def test_growth(self) -> None:
        values = {f"p{n}": f"$p{n + 1}$p{n + 1}" for n in range(60)}
        error = self.assertRaises(
            ConfigError, Settings.of, relayhost="$p0", p60="xxxx", **values
        )
        self.assertIn("grows to more than", str(error))

    def test_deep(self) -> None:
        """
        A chain of very many names is an error, not a crash.
        """
        values = {f"p{n}": f"${{a:{{$p{n + 1}}}}}" for n in range(5000)}
        error = self.assertRaises(ConfigError, Settings.of, relayhost="$p0", **values)
        self.assertIn("deep", str(error))

    def test_all_problems(self) -> None:
        """
        Each wrong definition is told, but not the defaults that follow from
        it (myorigin, mydestination).
        """
        error = self.assertRaises(
            ConfigError, Settings.of, myhostname="", queue_run_delay="x"
        )
        assert isinstance(error, ConfigError)
        self.assertEqual(len(error.problems), 2)


class CollectTests(SynchronousTestCase):
    def test_left_out(self) -> None:
        """
        Wrong definitions are told and left out, so that the rest can be
        checked; also one that becomes wrong by that.
        """
        definitions = {
            "queue_run_delay": Definition("soon", "main.cf, line 1"),
            "relayhost": Definition("$relayhost", "main.cf, line 2"),
            "mydomain": Definition("a.b", "main.cf, line 3"),
        }
        settings, problems = Settings.collect(definitions, System("vm"))
        self.assertEqual(settings.queue_run_delay, 300)
        self.assertEqual(settings.mydomain, "a.b")
        self.assertEqual(sorted(settings.definitions), ["mydomain"])
        self.assertEqual(len(problems), 2)

    def test_hopeless(self) -> None:
        """
        A machine whose name is none needs myhostname.
        """
        error = self.assertRaises(ConfigError, Settings.collect, {}, System("a b.c"))
        self.assertIn("myhostname", str(error))


class TransportTests(SynchronousTestCase):
    """
    C{<transport>_<suffix>}, then its own built-in default, then default_*.
    """

    def test_default(self) -> None:
        settings = Settings.of(default_destination_concurrency_limit="7")
        count = settings.transport_count
        self.assertEqual(count("slow", "destination_concurrency_limit"), 7)
        self.assertEqual(count("smtp", "destination_concurrency_limit"), 7)
        self.assertEqual(count("local", "destination_concurrency_limit"), 2)
        self.assertEqual(count("local", "destination_recipient_limit"), 1)
        self.assertEqual(count("slow", "initial_destination_concurrency"), 5)
        self.assertEqual(settings.transport_time("slow", "destination_rate_delay"), 0)

    def test_own(self) -> None:
        settings = Settings.of(
            n="3",
            slow_destination_concurrency_limit="$n",
            slow_destination_rate_delay="2m",
            slow_initial_destination_concurrency="1",
        )
        self.assertEqual(
            settings.of_transport("slow", "destination_concurrency_limit"), "3"
        )
        self.assertEqual(
            settings.transport_count("slow", "initial_destination_concurrency"), 1
        )
        self.assertEqual(settings.transport_time("slow", "destination_rate_delay"), 120)

    def test_every_family(self) -> None:
        """
        Each family has a declared default, but command_time_limit, which
        comes with delivery to commands.
        """
        missing = {d for d in FAMILIES.values() if not Settings.of().is_known(d)}
        self.assertLessEqual(missing, {"command_time_limit"})


class OverrideTests(SynchronousTestCase):
    def test_snapshot(self) -> None:
        """
        An override makes another snapshot; what depends on it follows.
        """
        before = Settings.of(mydomain="a.b")
        after = before.override({"mydomain": "c.d"}, "master.cf, line 3")
        self.assertIn("localhost.c.d", after.mydestination)
        self.assertIn("localhost.a.b", before.mydestination)

    def test_problem(self) -> None:
        error = self.assertRaises(
            ConfigError, Settings.of().override, {"mydomain": ""}, "master.cf, line 3"
        )
        self.assertIn("master.cf, line 3: mydomain", str(error))


class ProcessTests(SynchronousTestCase):
    def test_refused_by_name(self) -> None:
        """
        What does not exist yet is refused by name, with what to write.
        """
        for name, text, remedy in (
            ("process_model", "many", "none of auto"),
            ("queue_store", "postgresql://x/y", "write sqlite"),
            ("queue_directory", "spool", "absolute"),
            ("mail_owner", "a b", "account"),
        ):
            error = self.assertRaises(ConfigError, Settings.of, **{name: text})
            self.assertIn(f"{name} = {text}: ", str(error))
            self.assertIn(remedy, str(error))
