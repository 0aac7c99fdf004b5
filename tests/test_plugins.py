"""
Tests of L{txmta.plugins}.
"""

from __future__ import annotations

import importlib
import os
import shutil
import sys
import tempfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase
from zope.interface import Interface

from txmta import plugins
from txmta.interfaces import IDeliveryAgentType
from txmta.plugins import find, places, remember, trouble

GOOD = """\
from txmta.delivery.registry import AgentType
agent = AgentType("carrier", "no.where")
"""


class PluginsTests(SynchronousTestCase):
    def setUp(self) -> None:
        root = Path(tempfile.mkdtemp(prefix="txmta-test-"))
        self.addCleanup(shutil.rmtree, root)
        self.name = f"plugins_{root.name[-8:]}"
        self.folder = root / self.name
        self.folder.mkdir()
        (self.folder / "__init__.py").write_text("")
        self.patch(sys, "path", [*sys.path, str(root)])
        self.patch(sys, "dont_write_bytecode", True)
        self.package = importlib.import_module(self.name)
        self.addCleanup(self.forget)

    def forget(self) -> None:
        for name in [n for n in sys.modules if n.startswith(f"{self.name}.")]:
            del sys.modules[name]
        sys.modules.pop(self.name, None)

    def write(self, name: str, text: str) -> None:
        (self.folder / f"{name}.py").write_text(text)

    def test_found(self) -> None:
        self.write("good", GOOD)
        found = find(IDeliveryAgentType, self.package)
        self.assertEqual([kind.program for kind in found.plugins], ["carrier"])
        self.assertEqual(found.broken, [])

    def test_broken(self) -> None:
        """
        A module that cannot be imported is named with its error, each time;
        the others are there.
        """
        self.write("good", GOOD)
        self.write("bad", "import no_such_module_anywhere\n")
        self.write("worse", "def (\n")
        self.write("leaves", "raise SystemExit('bye')\n")
        for _time in range(2):
            found = find(IDeliveryAgentType, self.package)
            self.flushLoggedErrors()
            self.assertEqual(len(found.plugins), 1)
            text = "\n".join(sorted(found.broken))
            self.assertEqual(len(found.broken), 3, text)
            self.assertIn(
                f"plug-in {self.folder}/bad.py cannot be loaded: ModuleNotFoundError: "
                "No module named 'no_such_module_anywhere'",
                text,
            )
            self.assertIn("/worse.py cannot be loaded: SyntaxError", text)
            self.assertIn("/leaves.py cannot be loaded: SystemExit: bye", text)

    def test_broken_since(self) -> None:
        """
        A module that Twisted remembers, but that cannot be imported any more
        (what it needs is gone), is named if it has what is looked for.
        """
        self.write("good", GOOD)
        find(IDeliveryAgentType, self.package)
        self.forget()
        self.package = importlib.import_module(self.name)
        stamp = (self.folder / "dropin.cache").stat().st_mtime - 100
        self.write("good", "import no_such_module_anywhere\n")
        os.utime(self.folder / "good.py", (stamp, stamp))
        found = find(IDeliveryAgentType, self.package)
        self.assertEqual(found.plugins, [])
        (line,) = found.broken
        self.assertIn(".good.agent cannot be loaded: ModuleNotFoundError", line)

    def test_others(self) -> None:
        """
        What provides another interface is left alone.
        """

        class INothing(Interface):
            pass

        self.write("good", GOOD)
        self.assertEqual(find(INothing, self.package).plugins, [])

    def test_remembered(self) -> None:
        """
        Who is told where plug-ins are does not search; what another place
        holds, or another interface, is still found by a search.
        """
        self.patch(plugins, "_known", {})
        before = find(IDeliveryAgentType)
        remember(places())
        self.patch(plugins, "getCache", self.fail)
        after = find(IDeliveryAgentType)
        self.assertEqual([*after.plugins], [*before.plugins])
        self.assertNotEqual(after.plugins, [])
        with self.assertRaises(self.failureException):
            find(IDeliveryAgentType, self.package)

    def test_remembered_broken(self) -> None:
        self.patch(plugins, "_known", {})
        remember({IDeliveryAgentType.__identifier__: ["no.such.place:agent"]})
        found = find(IDeliveryAgentType)
        self.assertEqual(found.plugins, [])
        (line,) = found.broken
        self.assertIn("plug-in no.such.place.agent cannot be loaded", line)

    def test_trouble(self) -> None:
        """
        One line, whatever an error says.
        """
        self.assertEqual(trouble(ValueError("a\nb")), "ValueError: a b")
        self.assertEqual(trouble(KeyboardInterrupt()), "KeyboardInterrupt")
        self.assertLess(len(trouble(ValueError("x" * 10000))), 600)
