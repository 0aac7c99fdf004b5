"""
Accounts in a table of our own: user name to password hash.

Owns: which mechanisms the hashes are good for; that somebody who does not exist
    takes as long as somebody who does.
Knows nothing of: SMTP, how a hash is checked (L{txmta.passwords}).

Sources: our own; RFC 5802 section 9 (salts of users that do not exist).

Errors: L{CannotSay<txmta.smtp.sasl.questions.CannotSay>} for a table or a hash
that cannot be read.
"""

from __future__ import annotations

import hmac
import os
from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.defer import Deferred
from zope.interface import implementer

from txmta import passwords
from txmta.errors import TableUnavailable
from txmta.passwords import BadHash
from txmta.smtp.sasl.mechanisms import properties
from txmta.smtp.sasl.moves import Facts, Mechanism
from txmta.smtp.sasl.questions import (
    CannotSay,
    Certificate,
    Digest,
    IKeeper,
    Keys,
    Known,
    Password,
    Question,
    Reply,
    StoredKeys,
    Token,
)
from txmta.smtp.sasl.scram import BINDINGS
from txmta.tables import ITable

#: Whose password nobody knows; made once, as hashes are made here.
_DECOY = passwords.DEFAULT_SCHEME

Run = Callable[..., "Deferred[Any]"]


@implementer(IKeeper)
class Accounts:
    """
    One table.

    @ivar secrets: smtpd_sasl_account_secrets.
    """

    secrets = "scram"

    def __init__(
        self,
        table: ITable,
        run: Run,
        warn: Callable[[str], object],
        realm: str = "",
        certificates: Sequence[ITable] = (),
        tokens: Sequence[ITable] = (),
    ) -> None:
        """
        @param run: runs something in a thread.
        @param realm: smtpd_sasl_local_domain.
        @param certificates: smtpd_sasl_certificate_maps.
        @param tokens: smtpd_sasl_token_maps.
        """
        self._table = table
        self._run = run
        self._warn = warn
        self._realm = realm
        self._certificates = certificates
        self._tokens = tokens
        self._secret = os.urandom(32)
        # What a hash was like of late, for those who have none.
        rounds = passwords.ROUNDS
        self._decoy = self._made_up(rounds)
        self._rounds = rounds

    def _made_up(self, rounds: int) -> str:
        keys = ",".join(["AAAAAAAAAAAAAAAAAAAAAA==", *["A" * 43 + "="] * 2])
        return f"{{{_DECOY}}}{rounds},{keys}"

    def offers(self, facts: Facts) -> Sequence[Mechanism]:
        names = ["PLAIN", "LOGIN"]
        if self.secrets != "other":
            names.insert(0, "SCRAM-SHA-256")
            if any(facts.binding(name) for name in BINDINGS):
                names.insert(0, "SCRAM-SHA-256-PLUS")
        if self.secrets == "plain":
            names.append("CRAM-MD5")
        tls = facts.session.tls
        if self._certificates and tls is not None and tls.fingerprint:
            names.append("EXTERNAL")
        if self._tokens:
            names += ["OAUTHBEARER", "XOAUTH2"]
        return [properties(name) for name in names]

    def ask(self, question: Question) -> Deferred[Reply]:
        return Deferred.fromCoroutine(self._answer(question))

    def stop(self) -> None:
        pass

    async def _answer(self, question: Question) -> Reply:
        try:
            if isinstance(question, Certificate):
                return await self._certificate(question)
            if isinstance(question, Token):
                return await self._token(question)
            return await self._about(question)
        except TableUnavailable as e:
            self._warn(f"SASL: {e}")
            raise CannotSay(str(e)) from e

    async def _about(self, question: Password | Digest | Keys) -> Reply:
        name = question.username
        if self._realm and "@" not in name:
            name = f"{name}@{self._realm}"
        stored = await _look_up(self._table, name)
        try:
            if isinstance(question, Keys):
                return await self._all_keys(name, stored)
            if isinstance(question, Digest):
                good = self._digest(question, stored)
            else:
                good = await self._password(question.password, stored)
        except BadHash as e:
            # Never the hash itself.
            self._warn(f"SASL: smtpd_sasl_path: the entry of {name!r}: {e}")
            raise CannotSay(str(e)) from e
        return Known(name) if good else None

    async def _password(self, password: str, stored: str | None) -> bool:
        if stored is None:
            await self._run(passwords.verify, self._decoy, password)
            return False
        good: bool = await self._run(passwords.verify, stored, password)
        self._decoy = stored
        return good

    def _digest(self, question: Digest, stored: str | None) -> bool:
        secret = passwords.plain_text(stored) if stored is not None else None
        made = hmac.new((secret or "").encode(), question.challenge, "md5").hexdigest()
        return hmac.compare_digest(made, question.digest) and secret is not None

    async def _all_keys(self, name: str, stored: str | None) -> StoredKeys:
        secret = passwords.plain_text(stored) if stored is not None else None
        if secret is None and self.secrets != "plain":
            return self._keys(name, stored)
        # Of a password they are made; of none, in vain.
        made_up = self._keys(name, None)
        made = await self._run(
            passwords.derive, (secret or "").encode(), made_up.salt, made_up.iterations
        )
        if secret is None:
            return self._keys(name, stored)
        return StoredKeys(made.salt, made.stored_key, made.server_key, made.iterations)

    def _keys(self, name: str, stored: str | None) -> StoredKeys:
        keys = passwords.scram_keys(stored) if stored is not None else None
        if keys is not None:
            self._rounds = keys.iterations
            return StoredKeys(
                keys.salt, keys.stored_key, keys.server_key, keys.iterations
            )
        # The same each time, as if it were real.
        salt = hmac.digest(self._secret, name.encode(), "sha256")
        return StoredKeys(
            salt[:16], os.urandom(32), os.urandom(32), self._rounds, False
        )

    async def _token(self, question: Token) -> Reply:
        for table in self._tokens:
            name = await _look_up(table, question.token)
            if name is not None:
                return Known(name)
        return None

    async def _certificate(self, question: Certificate) -> Reply:
        tls = question.facts.session.tls
        assert tls is not None, "the mechanism looks"
        for table in self._certificates:
            for key in (tls.fingerprint, tls.key_fingerprint):
                name = await _look_up(table, key) if key else None
                if name is not None:
                    return Known(name)
        return None


async def _look_up(table: ITable, key: str) -> str | None:
    found = table.lookup(key)
    return await found if isinstance(found, Deferred) else found
