"""
Arguments of pipe(8) commands.
"""

from __future__ import annotations

from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from tests.delivery.doubles import request
from txmta.delivery.pipe_macros import Addresses, arguments, check
from txmta.model import Client, Login

PLAIN = Addresses(delimiters="+")
ALL = Addresses(quoted=True, fold_user=True, fold_host=True, delimiters="+")


class ArgumentTests(SynchronousTestCase):
    def of(
        self,
        *command: str,
        to: tuple[str, ...] = ("User+Ext@Here.test",),
        sender: str = "S@Else.test",
        how: Addresses = PLAIN,
    ) -> list[str]:
        for argument in command:
            check(argument)
        what = request(*to, sender=sender, nexthop="NextHop")
        return list(arguments(command, what, how))

    def test_forms(self) -> None:
        """
        $name, ${name}, $(name); $$ is a dollar.
        """
        found = self.of("$sender", "${sender}", "$(sender)", "a$sender,$$x", "plain")
        s = "S@Else.test"
        self.assertEqual(found, [s, s, s, f"a{s},$x", "plain"])

    def test_login(self) -> None:
        """
        Who sent it, if they logged in.
        """
        words = ("$sasl_method", "$sasl_username", "$sasl_sender")
        self.assertEqual(self.of(*words), ["", "", ""])
        what = request("a@b.test")
        login = Login("user", "PLAIN", "x@y")
        what = replace(what, envelope=replace(what.envelope, login=login))
        self.assertEqual([*arguments(words, what, PLAIN)], ["PLAIN", "user", "x@y"])

    def test_recipient(self) -> None:
        """
        Every part of a recipient, without flags.
        """
        found = self.of("$recipient", "$user", "$extension", "$mailbox", "$domain")
        self.assertEqual(
            found, ["User+Ext@Here.test", "User", "Ext", "User+Ext", "Here.test"]
        )

    def test_repeated(self) -> None:
        """
        pipe(8): an argument with ${recipient} expands to as many arguments as
        there are recipients, others to one.
        """
        to = ("a@x.test", "b+e@y.test")
        self.assertEqual(
            self.of("-f", "$sender", "r=${recipient}", "--", "${user}/$domain", to=to),
            [
                "-f",
                "S@Else.test",
                "r=a@x.test",
                "r=b+e@y.test",
                "--",
                "a/x.test",
                "b/y.test",
            ],
        )

    def test_empty_user(self) -> None:
        """
        An argument with an empty user is left out, as in Postfix; an empty
        extension is an empty argument.
        """
        to = ("@x.test", "+ext@x.test", "b@x.test")
        self.assertEqual(
            self.of("u=$user", "e=$extension", to=to), ["u=+ext", "u=b"] + ["e="] * 3
        )

    def test_folding(self) -> None:
        """
        Flags h, u and q: as Debian's Postfix.
        """
        to = ('a "B$x@Here.Test',)
        command = ("$recipient", "$original_recipient", "$user", "$domain", "$nexthop")
        quoted = '"a \\"b$x"@here.test'
        self.assertEqual(
            self.of(*command, to=to, how=ALL),
            [quoted, quoted, 'a "b$x', "here.test", "nexthop"],
        )
        host = replace(PLAIN, fold_host=True)
        self.assertEqual(self.of("$recipient", how=host), ["User+Ext@here.test"])
        user = replace(PLAIN, fold_user=True)
        self.assertEqual(self.of("$recipient", how=user), ["user+ext@Here.test"])

    def test_sender(self) -> None:
        """
        Flag q and null_sender; flags h and u are not for the sender.
        """
        self.assertEqual(self.of("$sender", sender=""), ["MAILER-DAEMON"])
        self.assertEqual(self.of("$sender", sender="a b@X.test"), ["a b@X.test"])
        self.assertEqual(
            self.of("$sender", sender="A b@X.test", how=ALL), ['"A b"@X.test']
        )
        empty = replace(ALL, null_sender="")
        self.assertEqual(self.of("$sender", sender="", how=empty), [""])

    def test_not_expanded_again(self) -> None:
        """
        What an address contains is no macro.
        """
        to = ("${sender}$$x$(size)@x.test",)
        self.assertEqual(self.of("<$mailbox>", to=to), ["<${sender}$$x$(size)>"])

    def test_one_argument(self) -> None:
        """
        An address is always one argument.
        """
        to = ("-rf a;b|c`d` $(e)\n'f'@x.test",)
        self.assertEqual(self.of("-a", "$mailbox", to=to), ["-a", to[0][:-7]])

    def test_message(self) -> None:
        """
        Macros of client and message.
        """
        what = request("a@x.test", content=b"12345")
        client = Client("192.0.2.1", 2525, "c.test")
        envelope = replace(
            what.envelope, client=client, helo="HELO", protocol="ESMTP", envid="env"
        )
        command = (
            "$client_address $client_port $client_hostname $client_helo",
            "$client_protocol $queue_id $size $envid <$sasl_method>",
        )
        self.assertEqual(
            list(arguments(command, replace(what, envelope=envelope), PLAIN)),
            ["192.0.2.1 2525 c.test HELO", "ESMTP QUEUEID 5 env <>"],
        )

    def test_original(self) -> None:
        """
        Without enable_original_recipient it is empty.
        """
        hidden = replace(PLAIN, originals=False)
        self.assertEqual(self.of("<$original_recipient>", how=hidden), ["<>"])

    def test_unknown(self) -> None:
        """
        Postfix: "unknown macro name", for conditions too.
        """
        for argument in ("$foo", "x${foo}", "$(foo)", "${user_}"):
            self.assertRaisesRegex(ValueError, "unknown macro name", check, argument)
        for argument in ("${user?yes}", "$", "a$", "$-", "${", "${user", "$ x"):
            self.assertRaisesRegex(ValueError, "is no macro", check, argument)
