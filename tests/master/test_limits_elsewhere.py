"""
maxproc of an agent holds over a change of the queue manager: what was begun
for the one before counts until it is over.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.master.children import Site


class LimitTests(SynchronousTestCase):
    def begun(self, limit: int = 2, children: int = 2) -> Site:
        """
        @return: with so many deliveries in hand and more mail waiting, after a
            change of the queue manager.
        """
        site = Site(children)
        self.addCleanup(site.net.close)
        site.kill_manager()
        site.world.processes["smtp"] = limit
        site.start_manager()
        for n in range(6):
            site.world.put(f"a@x{n}.example")
        site.net.run()
        self.assertEqual(len(site.delivered), limit)
        site.kill_manager()
        site.start_manager()
        site.net.run()
        return site

    def test_counts(self) -> None:
        """
        As many as before go on, and each that ends makes room for one.
        """
        site = self.begun()
        hands = [hand for child in site.children for hand in child.smtp.hands]
        self.assertEqual(len(site.delivered), 2)
        for n, hand in enumerate(hands, 3):
            hand.end()
            site.net.run()
            self.assertEqual(len(site.delivered), n)
        site.net.pass_time(30)
        self.assertEqual(len(site.delivered), 4)

    def test_process_dies(self) -> None:
        """
        What a process had in hand that dies is over.
        """
        site = self.begun()
        busy = [n for n, child in enumerate(site.children) if child.smtp.hands]
        site.kill_child(busy[0])
        site.net.run()
        living = [c for c in site.children if not c.dead]
        self.assertGreater(sum(len(c.smtp.hands) for c in living), 0)

    def test_all_ends(self) -> None:
        """
        In the end everything is delivered, and nothing is counted any more.
        """
        site = self.begun()
        for _ in range(10):
            for child in site.children:
                for hand in child.smtp.hands:
                    if not hand.ended.called:
                        hand.end()
            site.net.run()
        self.assertEqual(len(site.delivered), 6)
        self.assertEqual(site.elsewhere.busy("smtp"), 0)
        self.assertFalse(site.world.manager.dispatcher.hands)
