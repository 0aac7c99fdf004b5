"""
Cases of local delivery, for Debian's Postfix and for us.

In all texts C{HOME} is a folder of the test: C{HOME/users/NAME} are homes,
C{HOME/mail/NAME} Maildirs, C{HOME/out} is writable for everybody.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class File:
    """
    @ivar kind: C{"file"}, C{"link"}, C{"fifo"} or C{"directory"}.
    @ivar text: what is in it, or where it leads.
    @ivar uid: of the owner; C{None} for the user whose home it is in.
    """

    text: str = ""
    mode: int = 0o644
    kind: str = "file"
    foreign: bool = False


@dataclass(frozen=True)
class Case:
    """
    @ivar files: by path below C{HOME}.
    """

    recipient: str
    files: dict[str, File] = field(default_factory=dict)
    sender: str = "sender@b.test"


ALIASES = {
    "command": '"|cat > HOME/out/cat"',
    "quoted": '|"cat > HOME/out/cat"',
    "env": '"|env | grep -v -e ^TZ= -e ^PWD= -e ^MAIL_CONFIG= | sort > HOME/out/env"',
    "fails": '"|exit 67"',
    "temporary": '"|exit 75"',
    "says": "\"|echo '5.2.2 no room'; exit 1\"",
    "says4": "\"|echo '4.2.2 no room now'; exit 1\"",
    "file": "HOME/out/file",
    "twice": "HOME/out/file, HOME/out/file, tofile, news, NEWS@here.test",
    "tofile": "HOME/out/file",
    "maildir": "HOME/out/md/",
    "null": "/dev/null",
    "missing": "HOME/nowhere/file",
    "tilde": "~/x",
    "tilde-user": "~bob/x",
    "tilde-news": ":include:HOME/users/news/tilde",
    "include": ":include:HOME/list",
    "include-two": ":include:HOME/list, :include:HOME/list, games",
    "include-relative": ":include:list",
    "include-missing": ":include:HOME/nowhere",
    "include-command": ":include:HOME/commands",
    "include-self": ":include:HOME/self",
    "owned": "news, far@else.test",
    "owner-owned": "games",
    "owned-command": '"|cat > HOME/out/cat", far@else.test',
    "owner-owned-command": "games",
    "mixed": 'news, far@else.test, "|cat > HOME/out/cat", HOME/out/file',
    "bad-mixed": 'news, far@else.test, "|exit 67"',
    "toforward": "news",
    "backslash": "\\news",
    "extended": "news+ext",
    "deep": "deeper",
    "deeper": ":include:HOME/deepest",
}

LIST = "# a comment\nnews, far@else.test\n\ngames\n far@else.test\n"

CASES = (
    *(Case(f"{name}@here.test") for name in ALIASES if "include" not in name),
    Case("env+ext$(x)@here.test"),
    Case("ENV+Ext@here.test", sender=""),
    Case("env@here.test", sender="a`b;c@b.test"),
    Case("include@here.test", {"list": File(LIST)}),
    Case("include-two@here.test", {"list": File(LIST)}),
    Case("include-relative@here.test"),
    Case("include-missing@here.test"),
    Case("include@here.test", {"list": File(LIST, 0o666)}),
    Case("include@here.test", {"list": File(LIST, 0o664)}),
    Case("include@here.test", {"list": File(LIST, 0o600)}),
    Case("include@here.test", {"list": File(kind="directory")}),
    Case("include@here.test", {"list": File(kind="fifo")}),
    Case("include@here.test", {"list": File("real", kind="link"), "real": File(LIST)}),
    Case("include@here.test", {"list": File("")}),
    Case("include@here.test", {"list": File("news\n" * 3000)}),
    Case("include-command@here.test", {"commands": File('"|cat"\nHOME/out/file\n')}),
    Case("include-self@here.test", {"self": File(":include:HOME/self\nnews\n")}),
    Case("tilde-news@here.test", {"users/news/tilde": File("~/x\n")}),
    Case("deep@here.test", {"deepest": File("toforward, deep\n")}),
    # .forward files
    *(
        Case("news@here.test", {"users/news/.forward": file})
        for file in (
            File(""),
            File("# nothing\n\n"),
            File("far@else.test\n"),
            File("far@else.test"),
            File("\\news, far@else.test\n"),
            File("news, far@else.test\n"),
            File("NEWS@Here.test\n"),
            File("games\n"),
            File("toforward, HOME/out/f\n"),
            File('"|cat > HOME/out/cat"\n'),
            File(ALIASES["env"]),
            File('\\news, "|exit 67"\n'),
            File("~games/x\n"),
            File("nobody-here\n"),
            File("far@else.test\n", 0o666),
            File("far@else.test\n", 0o664),
            File("far@else.test\n", foreign=True),
            File(kind="directory"),
            File(kind="fifo"),
            File("HOME/elsewhere", kind="link"),
            File("HOME/nowhere", kind="link"),
            File("\0\n"),
            File('"unclosed\n'),
            File(":include:HOME/nowhere\n"),
            File("news, " * 2000 + "far@else.test\n"),
        )
    ),
    Case(
        "news@here.test",
        {
            "users/news/.forward": File(":include:HOME/users/news/list\n"),
            "users/news/list": File('"|cat"\nfar@else.test\n'),
        },
    ),
    Case(
        "news@here.test",
        {
            "users/news/.forward": File("games\n"),
            "users/games/.forward": File("news\n"),
        },
    ),
    Case("toforward@here.test", {"users/news/.forward": File("toforward, far@x.test")}),
    Case(
        "news+ext@here.test",
        {
            "users/news/.forward": File("base@else.test\n"),
            "users/news/.forward+ext": File("ext@else.test\n"),
        },
    ),
    Case("news+other@here.test", {"users/news/.forward": File("base@else.test\n")}),
    Case("news+Ext@here.test", {"users/news/.forward+ext": File("\\news\n")}),
    Case("news+../../x@here.test", {"users/news/.forward": File("base@else.test\n")}),
    Case("news+..@here.test", {"users/news/.forward+..": File("ext@else.test\n")}),
    Case("news+a b$@here.test", {"users/news/.forward+a_b_": File("e@else.test\n")}),
    Case("extended@here.test", {"users/news/.forward+ext": File("e@else.test\n")}),
    Case("news@here.test", {"elsewhere": File("far@else.test\n")}),
    # nobody
    Case("nobody-here@here.test"),
    Case("nobody-here+Ext@here.test"),
    Case("Postmaster@here.test"),
    Case("games@here.test"),
)

#: Settings, and what is tried with each.
VARIANTS: tuple[tuple[dict[str, str], tuple[Case, ...]], ...] = (
    ({}, CASES),
    (
        {"luser_relay": "far+$local.$user.${extension?x}@else.test"},
        (
            Case("nobody-here@here.test"),
            Case("nobody-here+Ext@here.test"),
            Case("postmaster@here.test"),
            Case("news@here.test", {"users/news/.forward": File("nobody-here\n")}),
        ),
    ),
    ({"luser_relay": "$local"}, (Case("news@here.test"),)),
    ({"luser_relay": "games"}, (Case("nobody-here@here.test"),)),
    (
        {"mailbox_command": "cat > HOME/out/$USER.$EXTENSION"},
        (
            Case("news@here.test"),
            Case("news+ext@here.test"),
            Case("news+a;b@here.test"),
            Case("toforward@here.test"),
            Case("nobody-here@here.test"),
            Case("news@here.test", {"users/news/.forward": File("\\news, f@x.test\n")}),
        ),
    ),
    (
        {"mailbox_transport": "other:[hub]:24"},
        (
            Case("news@here.test"),
            Case("nobody-here@here.test"),
            Case("toforward@here.test"),
            Case("news@here.test", {"users/news/.forward": File("\\news, f@x.test\n")}),
            Case("news@here.test", {"users/news/.forward": File("f@x.test\n")}),
            Case(
                "toforward@here.test", {"users/news/.forward": File("news, f@x.test")}
            ),
        ),
    ),
    (
        {"fallback_transport": "other"},
        (
            Case("news@here.test"),
            Case("nobody-here@here.test"),
            Case("postmaster@here.test"),
        ),
    ),
    (
        {
            "allow_mail_to_commands": "include",
            "allow_mail_to_files": "",
            "prepend_delivered_header": "file",
        },
        (
            Case("command@here.test"),
            Case("file@here.test"),
            Case("mixed@here.test"),
            Case(
                "include-command@here.test",
                {"commands": File('"|cat > HOME/out/cat"\nHOME/out/file\n')},
            ),
        ),
    ),
    (
        {
            "propagate_unmatched_extensions": "alias, forward, include",
            "enable_original_recipient": "no",
        },
        (
            Case("toforward+ext@here.test"),
            Case("mixed+ext@here.test"),
            Case("include+ext@here.test", {"list": File(LIST)}),
            Case("news+ext@here.test", {"users/news/.forward": File("b@else.test\n")}),
            Case(
                "news+ext@here.test", {"users/news/.forward+ext": File("b@else.test\n")}
            ),
        ),
    ),
    (
        {"home_mailbox": "", "mail_spool_directory": "HOME/mail"},
        (Case("news@here.test"), Case("toforward@here.test")),
    ),
)
