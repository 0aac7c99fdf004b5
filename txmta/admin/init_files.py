"""
What is in the files of a first configuration.

Owns: their words.
Knows nothing of: where they go, certificates.

Errors: none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

ALIASES = """\
# aliases(5): who gets mail for local names. "postfix reload" is not needed.
postmaster: root
abuse: postmaster
"""

ACCOUNTS = """\
# Who may log in: made by "txmta passwd", one account a line.
"""


@dataclass(frozen=True)
class Plan:
    """
    @ivar owner: the account that runs the server, with C{uid} and C{gid}.
    @ivar standard: root starts it, on the ports that everybody knows.
    """

    hostname: str
    owner: str
    uid: int
    gid: int
    standard: bool

    @property
    def domain(self) -> str:
        """
        Of the host, less its own name.
        """
        return self.hostname.partition(".")[2]

    @property
    def ports(self) -> Sequence[tuple[int, str]]:
        numbers = (25, 465, 587) if self.standard else (2525, 2465, 2587)
        words = ("mail from elsewhere", "users, TLS at once", "users, STARTTLS")
        return tuple(zip(numbers, words, strict=True))


_MAIN_CF = """\
# A first txmta, made by "txmta init". Everything else has Postfix's defaults:
# "postconf -d"; "txmta reference NAME" tells what a parameter is for.

compatibility_level = 3.9
myhostname = {hostname}
mydomain = {domain}
myorigin = $mydomain
{destinations}
# Who may send to the whole world; everybody else only to our own users.
mynetworks = 127.0.0.0/8 [::1]/128

# TLS. The certificate is signed by itself: other mail servers do not mind, mail
# programs of users ask. Put one from a CA in its place, and reload.
smtpd_tls_security_level = may
smtpd_tls_chain_files = $config_directory/key.pem, $config_directory/certificate.pem
smtpd_tls_loglevel = 1
# To other servers, if they offer it.
smtp_tls_security_level = may
smtp_tls_loglevel = 1

# Users log in at the submission services of master.cf, only inside TLS;
# "txmta passwd" keeps the accounts.
smtpd_sasl_type = txmta
smtpd_sasl_path = texthash:$config_directory/accounts
smtpd_tls_auth_only = yes
{server}"""

_USERS = """
# Mail for users of this machine, in Maildirs below their homes.
mydestination = $myhostname, localhost, $mydomain
home_mailbox = Maildir/
alias_maps = texthash:$config_directory/aliases
"""

_ONE_USER = """mydestination = localhost

# Mail for anybody at {domain} goes to one Maildir below mail/.
virtual_mailbox_domains = {domain}
virtual_mailbox_base = $config_directory/mail
virtual_mailbox_maps = static:me/
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
virtual_minimum_uid = 1

# No system accounts are needed.
alias_maps = texthash:$config_directory/aliases
local_recipient_maps =
"""

_PRIVILEGED = """
mail_owner = {owner}
"""

_UNPRIVILEGED = """
# All of this belongs to one account, so one process does. Without this line root
# gets several, each with no more rights than it needs.
mail_owner = {owner}
process_model = single

queue_directory = $config_directory/queue
maillog_file = /dev/stdout
"""

_SUBMISSION = """\
  -o syslog_name=postfix/{name}
  -o smtpd_sasl_auth_enable=yes
  -o smtpd_client_restrictions=permit_sasl_authenticated,reject
  -o smtpd_relay_restrictions=permit_sasl_authenticated,reject
"""

_AGENTS = """\
# What delivers.
smtp    unix  -  -  n  -  -  smtp
relay   unix  -  -  n  -  -  smtp
lmtp    unix  -  -  n  -  -  lmtp
local   unix  -  n  n  -  -  local
virtual unix  -  n  n  -  -  virtual
error   unix  -  -  n  -  -  error
retry   unix  -  -  n  -  -  error
discard unix  -  -  n  -  -  discard
"""


def main_cf(plan: Plan) -> str:
    destinations = _USERS if plan.standard else _ONE_USER
    server = _PRIVILEGED if plan.standard else _UNPRIVILEGED
    values = {
        "hostname": plan.hostname,
        "domain": plan.domain,
        "owner": plan.owner,
        "uid": plan.uid,
        "gid": plan.gid,
    }
    return _MAIN_CF.format(
        destinations=destinations.format(**values),
        server=server.format(**values),
        **values,
    )


def master_cf(plan: Plan) -> str:
    hosts = ("",) if plan.standard else ("127.0.0.1:", "[::1]:")
    (mail, _), (wrapped, _), (submission, _) = plan.ports
    out = ["# service type private unpriv chroot wakeup maxproc command"]
    out.append("# Mail from other servers.")
    out += [f"{host}{mail} inet n - n - - smtpd" for host in hosts]
    out.append("# Users: TLS from the first octet.")
    for host in hosts:
        out.append(f"{host}{wrapped} inet n - n - - smtpd")
        out.append("  -o smtpd_tls_wrappermode=yes")
        out.append(_SUBMISSION.format(name="submissions").rstrip("\n"))
    out.append("# Users: STARTTLS, which they must say.")
    for host in hosts:
        out.append(f"{host}{submission} inet n - n - - smtpd")
        out.append("  -o smtpd_tls_security_level=encrypt")
        out.append(_SUBMISSION.format(name="submission").rstrip("\n"))
    return "\n".join(out) + "\n" + _AGENTS
