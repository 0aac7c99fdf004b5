"""
What each role may have: account, root, files, network.

Owns: one confinement for each role, as docs/security.md tells it.
Knows nothing of: how it is enforced (L{txmta.master.confine}).

Sources: Postfix's master(5) and the security sections of smtpd(8), smtp(8),
    qmgr(8), pickup(8), local(8), proxymap(8).

Errors: none; what is not there is found out when it is enforced.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from txmta.config.master_cf import Service
from txmta.config.settings import Settings
from txmta.master.confine import ANY_PORT, Confinement, Network
from txmta.master.privileges import Account
from txmta.master.readable import needed

#: Files that are looked at again while a process runs: /etc/resolv.conf,
#: /etc/hosts, /etc/passwd and what the C library takes accounts from; time
#: zones, character sets, libraries that it loads late; which file system the
#: queue is on. Everybody may read them.
SYSTEM = (
    *("/etc", "/usr", "/lib", "/lib64", "/dev/null", "/dev/urandom"),
    "/proc/self/mountinfo",
)

#: In these, others have things of their own: a table here is a file that is
#: read, and not a directory.
SHARED = frozenset(
    (
        *("/", "/dev", "/home", "/media", "/mnt", "/opt", "/proc", "/root", "/run"),
        *("/srv", "/sys", "/tmp", "/var", "/var/lib", "/var/mail", "/var/run"),
        *("/var/spool", "/var/spool/mail", "/var/tmp"),
    )
)

#: C{type:/path}, perhaps behind C{proxy:} and the like, or C{/path}.
_BETWEEN = re.compile(r"[,\s{}]+")
_TABLE = re.compile(r"!?(?:[a-z0-9]+:)*(/[^\s,{}]+)")
_ENDPOINT = re.compile(r"inet:(?:\[[^\]]*\]|[^\s,:{}]*):(\w+)")
_DNS = 53

#: Where main.cf and C{-o} name tables; elsewhere a path is something else.
_KINDS = ("tables", "list", "restrictions")
_TABLE_AS_TEXT = ("smtpd_sasl_path",)
_NO_TABLES = ("maillog_file_prefixes", "plugin_directories")


@dataclass(frozen=True)
class Profile:
    """
    @ivar root: keeps root's rights, and is confined by its code alone.
    @ivar chroot: may be told to have the queue directory as its root.
    @ivar queue: may write the queue.
    @ivar internet: may have Internet sockets.
    @ivar any_port: may connect to any TCP port; else for DNS, and to what its
        parameters name.
    """

    root: bool = False
    chroot: bool = True
    queue: bool = True
    internet: bool = False
    any_port: bool = False


PROFILES: Mapping[str, Profile] = {
    "smtpd": Profile(internet=True),
    # Reads the queue only, but a reader of SQLite takes locks in a file.
    "smtp": Profile(internet=True, any_port=True),
    "qmgr": Profile(),
    "pickup": Profile(),
    "proxymap": Profile(chroot=False, queue=False, internet=True, any_port=True),
    "log": Profile(chroot=False, queue=False),
    "local": Profile(root=True, chroot=False),
}


def confinement(
    role: str,
    settings: Settings,
    services: Sequence[Service],
    account: Account,
    port_of: Callable[[str], int],
) -> Confinement:
    """
    @param services: those of master.cf that the role serves.
    @param account: mail_owner.
    @param port_of: getservbyname; raises C{OSError} for a name not known.
    @return: without C{keep}, C{files} and C{parent}, which whoever forks adds
        (C{dataclasses.replace}).
    """
    profile = PROFILES[role]
    if profile.root:
        return Confinement(None)
    variants = [settings]
    variants += [settings.override(s.overrides, s.where) for s in services]
    write = [settings.queue_directory] if profile.queue else []
    if role == "log" and settings.maillog_file.startswith("/"):
        write.append(os.path.dirname(settings.maillog_file))
    if role == "smtp":
        write += filter(os.path.isdir, settings.plugin_directories)
    return Confinement(
        account,
        settings.queue_directory if _jailed(profile, services) else "",
        read=tuple(_readable(settings, variants)),
        write=tuple(write),
        network=_network(profile, variants, port_of),
    )


def in_jail(path: str, jail: str) -> str:
    """
    @param jail: the new root; C{""}: none.
    @return: how a path is called inside.
    @raise ValueError: it is outside.
    """
    if not jail:
        return path
    inside = os.path.relpath(path, jail)
    if inside == ".." or inside.startswith("../"):
        raise ValueError(f"{path} is not in {jail}")
    return os.path.normpath(f"/{inside}")


def table_files(settings: Settings) -> Iterator[str]:
    """
    @return: the files of tables and lists that the configuration names.
    """
    for name in (*settings.names(), *settings.definitions):
        parameter = settings.parameter(name)
        # Any other name may be a restriction class.
        of_text = parameter is not None and parameter.kind not in _KINDS
        if of_text and name not in _TABLE_AS_TEXT:
            continue
        if name in _NO_TABLES:
            continue
        for word in _words(settings, name):
            match = _TABLE.fullmatch(word)
            if match and (os.path.isfile(match[1]) or not os.path.exists(match[1])):
                path = os.path.normpath(match[1])
                yield path
                # Index files (txmta.maps.indexed).
                yield from (
                    f"{path}.{kind}" for kind in ("cdb", "lmdb") if f"{kind}:/" in word
                )
    if settings.bounce_template_file:
        yield settings.bounce_template_file


def _jailed(profile: Profile, services: Sequence[Service]) -> bool:
    """
    A process serves several services: one that is to have less room decides.
    """
    return profile.chroot and any(service.chroot for service in services)


def _readable(settings: Settings, variants: Iterable[Settings]) -> Iterator[str]:
    yield from SYSTEM
    main_cf = os.path.join(settings.config_directory, "main.cf")
    yield from needed(main_cf)
    # Often a link to a file that is replaced, not written.
    yield os.path.dirname(os.path.realpath("/etc/resolv.conf"))
    for path in dict.fromkeys(p for each in variants for p in table_files(each)):
        for name in (path, os.path.realpath(path)):
            yield _around(name)


def _around(path: str) -> str:
    """
    @return: the file's directory, as a new version of the file is another
        file; the file alone, where others have theirs.
    """
    folder = os.path.dirname(path)
    above = os.path.dirname(folder)
    if folder in SHARED or above in ("/home", "/var/mail"):
        return path
    return folder


def _network(
    profile: Profile, variants: Iterable[Settings], port_of: Callable[[str], int]
) -> Network:
    if not profile.internet:
        return Network()
    if profile.any_port:
        return Network(True, ANY_PORT)
    ports = {_DNS}
    for settings in variants:
        for name in settings.definitions:
            for word in _words(settings, name):
                if match := _ENDPOINT.fullmatch(word):
                    ports |= _port(match[1], port_of)
    return Network(True, tuple(sorted(ports)))


def _port(text: str, port_of: Callable[[str], int]) -> set[int]:
    try:
        port = int(text) if text.isdigit() else port_of(text)
    except OSError:
        return set()
    return {port} if 0 < port < 65536 else set()


def _words(settings: Settings, name: str) -> Sequence[str]:
    try:
        return _BETWEEN.split(settings.text(name))
    except ValueError:
        return ()
