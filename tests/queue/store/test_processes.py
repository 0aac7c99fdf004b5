"""
One queue, several processes: who inserts, who claims and who delivers have no
memory in common.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, cast

from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from tests.contracts.queue_store import CONTENT, LARGE, QueueStoreContract
from tests.queue.store.cases import SqliteCase
from tests.queue.store.doubles import Rig
from txmta.errors import MessageDamaged, StoreUnavailable
from txmta.interfaces import IContent, IIncoming, IQueueEntrance, IQueueStore
from txmta.model import Attempt, Envelope, QueuedMessage, QueueName, Recipient, Reply
from txmta.queue.store import bulk, ids, intake, queries
from txmta.queue.store.content_reader import CACHE, ContentReader
from txmta.queue.store.contents import FRESH, TOGETHER
from txmta.queue.store.entrance import Entrance
from txmta.queue.store.sqlite import SqliteStore


@implementer(IQueueStore)
class Apart:
    """
    What smtpd, queue manager and agent have of the queue, as one store.
    """

    def __init__(
        self, entrance: Entrance, store: SqliteStore, reader: ContentReader
    ) -> None:
        self._entrance = entrance
        self._store = store
        self._reader = reader
        entrance.listen(store.arrived)

    # In smtpd.

    def new_id(self) -> str:
        return self._entrance.new_id()

    def open(self, envelope: Envelope) -> IIncoming:
        return self._entrance.open(envelope)

    def refusal(self) -> Reply | None:
        return self._entrance.refusal()

    def free_space(self) -> int | None:
        return self._entrance.free_space()

    # In an agent.

    def content(self, queue_id: str) -> IContent | Deferred[IContent]:
        return self._reader.content(queue_id)

    # In the queue manager.

    def listen(self, doorbell: Callable[[Sequence[str]], None]) -> None:
        self._entrance.listen(doorbell)
        self._store.listen(lambda new: doorbell(new) if new else None)

    def claim(
        self, limit: int, now: float
    ) -> Sequence[QueuedMessage] | Deferred[Sequence[QueuedMessage]]:
        return self._store.claim(limit, now)

    def record(self, attempt: Attempt) -> Deferred[bool]:
        return self._store.record(attempt)

    def renew(self) -> Deferred[None]:
        return succeed(None)

    def lost(self) -> Sequence[str]:
        return ()

    def damaged(self, queue_id: str) -> Deferred[bool]:
        return self._store.damaged(queue_id)

    def hold(self, queue_ids: Iterable[str]) -> Deferred[int]:
        return self._store.hold(queue_ids)

    def release(self, queue_ids: Iterable[str]) -> Deferred[int]:
        return self._store.release(queue_ids)

    def requeue(self, queue_ids: Iterable[str] | None) -> Deferred[int]:
        return self._store.requeue(queue_ids)

    def expire(self, queue_ids: Iterable[str]) -> Deferred[int]:
        return self._store.expire(queue_ids)

    def delete(self, queue_ids: Iterable[str]) -> Deferred[int]:
        return self._store.delete(queue_ids)

    def find(
        self, queue: QueueName | None = None, after: str = "", limit: int = 100
    ) -> Deferred[Sequence[QueuedMessage]]:
        return self._store.find(queue, after, limit)

    def counts(self) -> Deferred[dict[QueueName, int]]:
        return self._store.counts()


class ApartTests(QueueStoreContract, SynchronousTestCase):
    """
    The contract, with each part in a process of its own.
    """

    def setUp(self) -> None:
        self.rig = Rig(lambda: self.time)
        self.addCleanup(self.rig.remove)
        super().setUp()

    def spoil(self, queue_id: str) -> None:
        self.rig.spoil(queue_id)

    def make_store(self) -> IQueueStore:
        entrance, store = self.rig.entrance(), self.rig.make()
        reader = ContentReader(
            str(self.rig.directory),
            self.rig.clock,
            self.rig.now,
            self.rig.threads(),
        )
        for stop in (store.stop, entrance.stop, reader.stop):
            self.addCleanup(self.stopped, stop)
        return Apart(entrance, store, reader)

    def stopped(self, stop: Callable[[], object]) -> None:
        self.wait(stop())

    def wait(self, answer: object) -> Any:
        self.rig.clock.advance(0)
        return self.rig.wait(answer)

    def test_doorbell_of_the_administrator(self) -> None:
        """
        It rings in the queue manager: L{test_claiming} has it.
        """


class ProcessesCase(SqliteCase):
    """
    C{store} is the queue manager's; smtpd has an entrance of its own.
    """

    def setUp(self) -> None:
        super().setUp()
        self.claim()  # nothing is left in the rows
        self.entrance = self.rig.entrance()
        self.addCleanup(lambda: self.wait(self.entrance.stop()))
        # In a helper thread, and without one.
        self.reads = self.looks = 0
        run, now = self.store._reader.run, self.store._reader.now

        def counted(read: Any) -> Deferred[Any]:
            self.reads += 1
            return run(read)

        def looked(read: Any) -> Any:
            self.looks += 1
            return now(read)

        self.patch(self.store._reader, "run", counted)
        self.patch(self.store._reader, "now", looked)

    def put_by_smtpd(self, count: int = 1, content: bytes = CONTENT) -> str:
        recipients = tuple(
            Recipient(n, f"to{n}@example.org", f"to{n}@example.org")
            for n in range(count)
        )
        envelope = self.envelope(0)
        envelope = Envelope(
            self.entrance.new_id(), self.time, "", recipients, envelope.client
        )
        incoming = self.entrance.open(envelope)
        incoming.write(content)
        queue_id: str = self.wait(incoming.commit())
        return queue_id


class DoorbellTests(ProcessesCase):
    def test_many_at_once(self) -> None:
        """
        All that one doorbell tells of is read by one look at the rows, and
        claimed in order of arrival.
        """
        put = [self.put_by_smtpd(n % 3 + 1) for n in range(100)]
        self.store.arrived(put[::-1])
        self.assertEqual(self.claimed_ids(20), put[:20])
        self.assertEqual(self.claimed_ids(), put[20:])
        self.assertEqual((self.looks, self.reads), (1, 0))

    def test_rings(self) -> None:
        """
        The queue manager hears of it at once.
        """
        heard: list[Sequence[str]] = []
        self.store.listen(heard.append)
        self.store.arrived([self.put_by_smtpd()])
        self.assertEqual(len(heard), 1)

    def test_lost(self) -> None:
        """
        What nobody rang for is found some seconds later.
        """
        queue_id = self.put_by_smtpd()
        self.assertEqual(self.claim(), [])
        self.rig.clock.advance(intake.POLL)
        self.assertEqual(self.claimed_ids(), [queue_id])

    def test_somebody_is_gone(self) -> None:
        """
        When one that rings is gone, all rows are looked at: it may have had no
        time to.
        """
        queue_id = self.put_by_smtpd()
        self.store.arrived(())
        self.assertEqual(self.claimed_ids(), [queue_id])

    def test_lies(self) -> None:
        """
        A doorbell that tells of what is not there, not new, or in hand, gives
        nothing, and nothing twice.
        """
        claimed, done, held, new = [self.put_by_smtpd() for _ in range(4)]
        self.store.arrived([claimed, done])
        self.assertEqual(self.claimed_ids(), [claimed, done])
        self.wait(self.finish(done))
        self.wait(self.store.hold([held]))
        gone = self.entrance.new_id()
        rung = ["", "nonsense", gone, claimed, done, held, new]
        self.store.arrived(rung)
        self.store.arrived(rung)
        self.assertEqual(self.claimed_ids(), [new])
        self.store.arrived(rung)
        self.assertEqual(self.claim(), [])

    def test_flood(self) -> None:
        """
        Numbers are kept up to a bound; what comes on top is found by a look
        at all rows.
        """
        self.patch(intake, "FRESH", 3)
        put = [self.put_by_smtpd() for _ in range(6)]
        self.store.arrived(put)
        self.assertLessEqual(len(self.store._core.intake._rang), 3)
        self.assertEqual(self.claimed_ids(), put)

    def test_while_rows_are_read(self) -> None:
        """
        Who rings while the rows are being read is heard afterwards: what was
        read may be too old.
        """
        first, second = self.put_by_smtpd(), self.put_by_smtpd()
        self.store.arrived([first])
        read = self.store.claim(10, self.time)
        self.store._core.intake.scanning = True
        self.store.arrived([second])
        got = [m.envelope.queue_id for m in self.wait(read)]
        self.assertEqual([*got, *self.claimed_ids()], [first, second])

    def test_behind_a_backlog(self) -> None:
        """
        New mail is not claimed before older mail that is still in the rows.
        """
        old = [self.put_by_smtpd() for _ in range(150)]
        self.rig.clock.advance(intake.POLL)
        self.assertEqual(self.claimed_ids(10), old[:10])
        new = self.put_by_smtpd()
        self.store.arrived([new])
        self.assertEqual(self.claimed_ids(1000), [*old[10:], new])

    def test_many_recipients(self) -> None:
        """
        What is read in one go is bounded, whatever the doorbell says.
        """
        self.patch(queries, "PAGE_RECIPIENTS", 5)
        self.patch(
            bulk,
            "_NEW",
            {n: sql.replace("<= 20000", "<= 5") for n, sql in bulk._NEW.items()},
        )
        put = [self.put_by_smtpd(4) for _ in range(6)]
        self.store.arrived(put)
        self.assertEqual(len(self.claim(1)), 1)
        self.assertLessEqual(len(self.store._core.intake._new), 1)
        self.assertEqual(len(self.claim()), 5)


class BulkTests(ProcessesCase):
    """
    What the quick way cannot say is read the other way, with the rest.
    """

    def test_octets(self) -> None:
        """
        Addresses that are no UTF-8, and what JSON must escape.
        """
        put = [self.put_by_smtpd()]
        for sender in ("\udcff@example.com", 'a"\\\x01b@example.com', "ü@example.com"):
            to = (Recipient(0, sender, "", "rfc822;x", 2),)
            envelope = Envelope(
                self.entrance.new_id(), self.time, sender, to, self.envelope().client
            )
            incoming = self.entrance.open(envelope)
            incoming.write(CONTENT)
            put.append(self.wait(incoming.commit()))
        self.store.arrived(put)
        claimed = self.claim()
        self.assertEqual([m.envelope.queue_id for m in claimed], put)
        (listed,) = self.wait(self.store.find(None, put[0], 1))
        self.assertEqual(listed.envelope, claimed[1].envelope)

    def test_damage(self) -> None:
        """
        A damaged row is put away, and the others are claimed.
        """
        put = [self.put_by_smtpd() for _ in range(3)]
        connection = self.store._files.connection
        number = ids.decode(put[1])
        connection.execute(
            "UPDATE message SET attributes = '{}' WHERE id = ?", (number,)
        )
        self.store.arrived(put)
        self.assertEqual(self.claimed_ids(), [put[0], put[2]])
        self.rig.turn()
        self.assertEqual(self.listed(QueueName.CORRUPT), [put[1]])

    def test_the_same(self) -> None:
        """
        Both ways read the same.
        """
        put = [self.put_by_smtpd(n) for n in (1, 2, 12)]
        numbers = [n for n in map(ids.decode, put) if n is not None]
        connection = self.store._database.read_connection(1)
        self.addCleanup(connection.close)
        page = bulk._new_at_once(connection, numbers)
        self.assertEqual(page, queries.load(connection, numbers))


class EntranceTests(ProcessesCase):
    def test_interface(self) -> None:
        verifyObject(IQueueEntrance, self.entrance)

    def test_keeps_nothing(self) -> None:
        """
        A process that only inserts does not fill up with what it inserted.
        """
        self.put_by_smtpd()
        self.assertEqual(
            set(vars(self.entrance._core)),
            {"spool", "in_thread", "doorbells", "submit_to_writer", "_sink"},
        )

    def test_sweeps_nothing(self) -> None:
        """
        Starting, it removes no content: a row may be on its way elsewhere.
        """
        orphan = self.directory / "content" / self.entrance.new_id()
        orphan.write_bytes(b"x")
        self.wait(self.entrance.stop())
        self.entrance = self.rig.entrance()
        self.assertTrue(orphan.exists())
        self.wait(self.entrance.stop())
        self.restart()
        self.assertFalse(orphan.exists())


class ContentReaderTests(ProcessesCase):
    def setUp(self) -> None:
        super().setUp()
        self.reader = ContentReader(
            str(self.directory),
            self.rig.clock,
            self.rig.now,
            self.rig.threads(),
            self.connect,
        )
        self.addCleanup(lambda: self.wait(self.reader.stop()))
        self.begun = 0

    def connect(self, path: str) -> Any:
        connection = self.rig.faults.connect(path)
        connection.set_trace_callback(self._trace)
        return connection

    def _trace(self, sql: str) -> None:
        self.begun += sql == "BEGIN"

    def test_many_in_one_look(self) -> None:
        """
        All that is asked for in one turn is read in one transaction.
        """
        put = [self.put_by_smtpd(content=b"%d\r\n" % n) for n in range(50)]
        asked = [self.reader.content(each) for each in (*put, put[0])]
        self.rig.clock.advance(0)
        got = [self.wait(content).data for content in asked]
        self.assertEqual(got, [*[b"%d\r\n" % n for n in range(50)], b"0\r\n"])
        self.assertEqual(self.begun, 1)

    def test_old(self) -> None:
        """
        What was written long ago may have to come from the disk: a thread waits
        for it.
        """
        looks: list[object] = []
        now = self.reader._reader.now

        def looked(read: Any) -> Any:
            looks.append(read)
            return now(read)

        self.patch(self.reader._reader, "now", looked)
        for seconds, expected in ((0.0, 1), (FRESH + 1, 1)):
            queue_id = self.put_by_smtpd()
            self.time += seconds
            asked = self.reader.content(queue_id)
            self.rig.clock.advance(0)
            self.assertEqual(self.wait(asked).data, CONTENT)
            self.assertEqual(len(looks), expected)

    def test_kept(self) -> None:
        """
        What was read is at hand for a while.
        """
        queue_id = self.put_by_smtpd()
        asked = self.reader.content(queue_id)
        self.rig.clock.advance(0)
        self.wait(asked)
        self.assertNotIsInstance(self.reader.content(queue_id), Deferred)

    def test_ahead(self) -> None:
        """
        What is about to be asked for is read in one transaction, and is then
        at hand.
        """
        put = [self.put_by_smtpd(content=b"%d\r\n" % n) for n in range(9)]
        self.reader.ahead([(each, 3) for each in (*put, "nonsense", put[0])])
        got = [self.reader.content(each) for each in put]
        self.assertEqual(
            [cast(Any, content).data for content in got],
            [b"%d\r\n" % n for n in range(9)],
        )
        self.reader.ahead([(each, 3) for each in put])
        self.assertEqual(self.begun, 1)

    def test_ahead_is_bounded(self) -> None:
        """
        Neither many nor large messages are read at a stretch.
        """
        put = [self.put_by_smtpd() for _ in range(TOGETHER + 2)]
        self.reader.ahead([(each, 3) for each in put])
        self.assertNotIsInstance(self.reader.content(put[0]), Deferred)
        asked = self.reader.content(put[-1])
        self.assertIsInstance(asked, Deferred)
        self.rig.clock.advance(0)
        self.wait(asked)
        before = self.begun
        self.reader.ahead([(self.put_by_smtpd(), CACHE)])
        self.assertEqual(self.begun, before)

    def test_ahead_in_trouble(self) -> None:
        """
        What is damaged, old, or cannot be read is left to whoever asks.
        """
        queue_id = self.put_by_smtpd()
        self.faults.at("SELECT", "SQLITE_IOERR_READ", 1)
        self.reader.ahead([(queue_id, 3)])
        self.assertIsInstance(self.reader.content(queue_id), Deferred)
        self.rig.clock.advance(0)
        self.store._files.connection.execute(
            "UPDATE content SET data = ? WHERE message = ?",
            (b"Subject: other\r\n\r\n", ids.decode(bad := self.put_by_smtpd())),
        )
        self.reader.ahead([(bad, 3)])
        asked = self.reader.content(bad)
        self.rig.clock.advance(0)
        with self.assertRaises(MessageDamaged):
            self.wait(asked)
        old = self.put_by_smtpd()
        self.time += FRESH + 1
        before = self.begun
        self.reader.ahead([(old, 3)])
        self.assertEqual(self.begun, before)

    def test_bad_among_good(self) -> None:
        """
        Each is checked, and told by itself.
        """
        good, bad, gone, large = (
            self.put_by_smtpd(),
            self.put_by_smtpd(),
            self.entrance.new_id(),
            self.put_by_smtpd(content=LARGE),
        )
        self.store._files.connection.execute(
            "UPDATE content SET data = ? WHERE message = ?",
            (b"Subject: other\r\n\r\n", ids.decode(bad)),
        )
        asked = [self.reader.content(each) for each in (bad, gone, good, large)]
        self.rig.clock.advance(0)
        for each in asked[:2]:
            with self.assertRaises(MessageDamaged):
                self.wait(each)
        self.assertEqual(self.wait(asked[2]).data, CONTENT)
        content = self.wait(asked[3])
        self.assertEqual(self.wait(content.read(0, 1 << 20)), LARGE)
        content.close()

    def test_trouble(self) -> None:
        """
        Rows that cannot be read are trouble that may pass, for each that asked.
        """
        put = [self.put_by_smtpd() for _ in range(2)]
        # A look at both, then for each one without care and one with.
        self.faults.at("SELECT", "SQLITE_IOERR_READ", 5)
        asked = [self.reader.content(each) for each in put]
        self.rig.clock.advance(0)
        for each in asked:
            with self.assertRaises(StoreUnavailable):
                self.wait(each)
        asked = [self.reader.content(each) for each in put]
        self.rig.clock.advance(0)
        self.assertEqual([self.wait(each).data for each in asked], [CONTENT] * 2)

    def test_writes_nothing(self) -> None:
        """
        It neither makes a queue nor changes one.
        """
        nowhere = self.directory / "nowhere"
        nowhere.mkdir()
        reader = ContentReader(
            str(nowhere), self.rig.clock, self.rig.now, self.rig.threads()
        )
        queue_id = self.entrance.new_id()
        reader.ahead([(queue_id, 3)])
        asked = reader.content(queue_id)
        self.rig.clock.advance(0)
        with self.assertRaises(StoreUnavailable):
            self.wait(asked)
        self.wait(reader.stop())
        self.assertEqual(list(nowhere.iterdir()), [])
