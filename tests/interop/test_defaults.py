"""
Debian's C{postconf -d} as oracle for the defaults of all parameters.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from pathlib import Path
from shutil import rmtree

from twisted.trial.unittest import SynchronousTestCase

from tests.support import PATH, require
from txmta.config.postfix import defaults

#: Names with another default there, and why.
DIFFERENT = {
    **dict.fromkeys(
        (
            "address_verify_map",
            "alias_database",
            "alias_maps",
            "lmtp_cname_overrides_servername",
            "milter_default_action",
            "postscreen_cache_map",
            "smtp_tls_security_level",
            "smtpd_forbid_bare_newline",
            "smtpd_forbid_unauth_pipelining",
        ),
        "Postfix changed it after 3.7",
    ),
    **dict.fromkeys(
        (
            "lmtp_delivery_status_filter",
            "lmtp_pix_workarounds",
            "lmtp_tls_eckey_file",
            "postscreen_command_filter",
        ),
        "postconf(5) has another than the program",
    ),
    **dict.fromkeys(
        ("mydomain", "myhostname", "mynetworks", "process_id", "process_name"),
        "computed",
    ),
}


def normal(text: str) -> str:
    return " ".join(re.split(r"[,\s]+", text.strip()))


class DefaultTests(SynchronousTestCase):
    def test_defaults(self) -> None:
        """
        Every name of Debian's is known, with the same default but for the
        list above.
        """
        require("postconf")
        directory = tempfile.mkdtemp(prefix="tx")
        self.addCleanup(rmtree, directory)
        Path(directory, "main.cf").touch()
        Path(directory, "master.cf").touch()
        done = subprocess.run(
            ["postconf", "-c", directory, "-d"],
            capture_output=True,
            text=True,
            env={**os.environ, "PATH": PATH},
            check=True,
        )
        rows = [line.partition(" =") for line in done.stdout.splitlines()]
        self.assertGreater(len(rows), 800)
        found = {
            name: (defaults().get(name), theirs.strip())
            for name, _equals, theirs in rows
            if name not in DIFFERENT
            and normal(defaults().get(name, "?")) != normal(theirs)
        }
        self.assertEqual(found, {})
