"""
Texts of main.cf and master.cf, good and bad, for the oracle of C{postconf}.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from hypothesis import strategies as st


def one_of(*texts: str) -> st.SearchStrategy[str]:
    return st.sampled_from(texts)


#: Parameters with the same default on both sides, and names of one's own. Each
#: refers only to those before it: else, most files would be loops.
RANKED = (
    # myhostname is made of it before defaults are known to postconf there
    "mydomain",
    *("process_name", "service_name", "own_recipient_limit", "own_time_limit"),
    *("foo_domain", "foo_hosts", "foo_query", "foo_bind", "bar_ttl", "foo_nothing"),
    *("virtual_maps", "fallback_relay", "mail_name", "u1", "u2"),
    *("mydestination", "myorigin", "relay_domains", "relayhost", "u3"),
    *("virtual_alias_maps", "virtual_alias_domains", "smtpd_banner", "u4"),
    *("header_checks", "mime_header_checks", "body_checks", "smtp_fallback_relay"),
    *("queue_run_delay", "always_bcc", "transport_maps", "default_transport", "U5"),
    *("smtpd_helo_restrictions", "smtpd_sender_restrictions", "bounce_size_limit"),
    *("forward_path", "luser_relay", "default_rbl_reply", "mailbox_command"),
)
BUILT_IN = one_of(*(n for n in RANKED[13:-4] if n[0] not in "uU"))
OWN = one_of("u1", "u2", "u3", "u4", "U5")
OTHER = one_of(*RANKED[:13])
RAW = one_of(*RANKED[-4:])
NAMES = BUILT_IN | BUILT_IN | BUILT_IN | OWN | OWN | OTHER | RAW
ASKED = BUILT_IN | OWN | OTHER

_NAME = re.compile(r"\b[a-zA-Z]\w+\b(?=[ ?:)}]|$)|(?<=\$)\w+")


def ranked(name: str, text: str) -> str:
    """
    @return: the text; what it refers to stands before C{name}.
    """
    rank = RANKED.index(name)

    def lower(match: re.Match[str]) -> str:
        asked = match[0]
        if asked not in RANKED or RANKED.index(asked) < rank:
            return asked
        return RANKED[RANKED.index(asked) % rank] if rank else "nothing"

    return _NAME.sub(lower, text)


PLAIN = one_of("a", "b", "a.b", "1", "10", "2", "x-y", "[::1]:25", "é", '"', "$$", "")
TABLES = one_of(
    *("ldap:foo", "proxy:mysql:foo", "memcache:bar", "pgsql:foo", "sqlite:foo"),
    *("hash:/x", "ldap:/nonexistent.cf", "pipemap:{ldap:foo,hash:/a}", "ldap:./foo"),
    *("inline:{a=b}", "unionmap:{static:x, proxy:ldap:foo}", "regexp:{{/x/ y}}"),
)


def nested(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    both = st.tuples(ASKED, inner, inner)
    operators = one_of("==", "!=", "<", "<=", ">", ">=", " == ", " <=level ")
    compared = st.tuples(inner, operators, inner, inner, inner)
    return (
        st.tuples(ASKED, inner).map(lambda t: f"${{{t[0]}?{t[1]}}}")
        | st.tuples(ASKED, inner).map(lambda t: f"${{{t[0]}:{t[1]}}}")
        | both.map(lambda t: f"${{{t[0]}?{{{t[1]}}}:{{{t[2]}}}}}")
        | both.map(lambda t: f"${{ {t[0]} ? {{{t[1]}}} : {{{t[2]}}} }}")
        | compared.map(
            lambda t: f"${{{{{t[0]}}}{t[1]}{{{t[2]}}}?{{{t[3]}}}:{{{t[4]}}}}}"
        )
        | st.tuples(inner, inner).map("".join)
    )


MACROS = (
    ASKED.map("${}".format) | ASKED.map("${{{}}}".format) | ASKED.map("$({})".format)
)
LEVELS = one_of("0", "1", "2", "3", "3.6", "10")
TEXT = st.recursive(PLAIN | MACROS, nested, max_leaves=5).filter(
    lambda text: "level" not in text
) | st.tuples(one_of("<", "<=", ">", ">=", "==", "!="), LEVELS).map(
    lambda t: f"${{{{$compatibility_level}} {t[0]}level {{{t[1]}}} ? {{a}} : {{b}}}}"
)
SPACES = one_of(" ", " ", ", ", ",", "\n ", "\n\t", "  ", "\n# x\n  ", "\n\n ")
WORDS = st.lists(st.tuples(TEXT, SPACES).map("".join), min_size=0, max_size=5)


def line(name: str, words: Sequence[str]) -> str:
    text = ranked(name, "".join(words))
    return f"{name} = {text}".rstrip(" \n\t#x,") + "\n"


LINES = (
    st.tuples(NAMES, WORDS).map(lambda t: line(*t))
    | st.tuples(NAMES, WORDS).map(lambda t: line(*t))
    | st.tuples(BUILT_IN, st.lists(st.tuples(TABLES, SPACES).map("".join))).map(
        lambda t: line(*t)
    )
    | one_of("# comment\n", "\n", "  # more\n", "smtpd_restriction_classes = u1, u2\n")
)
MAIN = st.tuples(LEVELS, st.lists(LINES, max_size=25)).map(
    lambda t: f"compatibility_level = {t[0]}\n" + "".join(t[1])
)

#: Debian's warns of a freed name when a service sets one that it cannot set; and of
#: what is overwritten for C{-oname=value} without a space, which is not here.
SET = NAMES.filter(lambda name: name not in ("service_name", "process_name"))
SIMPLE = one_of("a", "b,c", "$u1", "$relayhost", "$u2$u1", "${u3}", "$service_name", "")
OPTIONS = (
    st.tuples(SET, SIMPLE).map(lambda t: f"-o {t[0]}={ranked(*t)}")
    | st.tuples(SET, WORDS)
    .map(lambda t: f"-o {{ {t[0]} = {ranked(t[0], ' '.join(t[1]))} }}")
    .map(lambda text: re.sub(r"\n#.*", "", text).replace("\n", " "))
    | one_of("-v", "-vv", "-D", "-o bogus")
)
ARGUMENTS = one_of("flags=R", "{a b}", "{ a b }", "${recipient}", "argv=/x", "x{y z}")
ENTRIES = st.tuples(
    one_of("smtp", "own", "foo", "127.0.0.1:25", "a/very/long/name", "relay"),
    one_of("unix", "inet", "fifo", "pass"),
    one_of("-", "y", "n"),
    one_of("-", "y", "n"),
    one_of("-", "y", "n"),
    one_of("-", "60", "60?", "0"),
    one_of("-", "0", "1000000000"),
    one_of("smtp", "smtpd", "pipe", "spawn", "other", "lmtp", "local"),
    st.lists(OPTIONS, max_size=4).map(tuple),
    st.lists(ARGUMENTS, max_size=3).map(tuple),
    one_of(" ", "\n  ", "\n# x\n\t", "  "),
).map(lambda t: " ".join(t[:8]) + "".join(t[10] + word for word in t[8] + t[9]) + "\n")
MASTER = st.lists(ENTRIES | one_of("# c\n", "\n"), max_size=6).map("".join)

#: Ways to show all of it.
SHOWN = (
    *("-n", "-nx", "-nf", "-nxf", "-nh", "-nH", "-nC user", "-nC builtin,service"),
    *("-M", "-Mf", "-Mx", "-Mfx", "-M */unix", "-M smtp own/inet x"),
    # -Fh there has no space after a command of four letters
    *("-F", "-Fx", "-Ff", "-Fh */*/type smtp/*/wakeup", "-F */*/command own/unix"),
    *("-P", "-Px", "-Pf", "-Ph", "-PH", "-P */*/relayhost own"),
    *("-x mydestination virtual_alias_maps mime_header_checks lmtp_fallback_relay",),
    *("-x own_time_limit own_recipient_limit u1 nobody", "-h u1 relayhost"),
    *("-C service", "-xC service", "-nx -o u3=$relayhost -o relayhost=over"),
)


#: Texts that are no good as values.
MISTAKES = (
    *("$", "a $ b", "$-", "${", "${a", "$(a}", "${}", "${-}", "${a-b}", "$()", "$$$"),
    *("${a?{b} junk}", "${a?{b}:{c} junk}", "${a:{b} junk}", "${{a} ~ {b}?{c}}"),
    *("${{a} == b?{c}}", "${{a} <=levels {3}?{c}}", "${{x} <level {3} ? {a} : {b}}"),
    *("${{a}=={b} c}", "x ${a b} y", "x${a?${-}}", "x${a?{${b} ${-}}:c}", "${a.b}"),
    *("${{a} == {${-}}}", "${a{b}}", "${ a ? {b} : {c", "${{a}}", "${{a} ==", "${ }"),
    *("${{1.2.3} <level {3.1024}?{}}", "${{a} == }}", "${{a} == {b} ? }", "${a}$ "),
    *("${ ?x}", "${a?}{b}}", "${{a}", "${{a} < {b}{c}}", "${ {a} }", "${a}}", "$(a)b)"),
)

#: Files that are no good, main.cf and master.cf, and a way to see it.
BAD_FILES = (
    *(("a b\n", "", "-n"), ("= b\n", "", "-n"), ("a\n = b\n", "", "-n")),
    *(
        ("  a = b\nc = d\n", "", "-n"),
        ("a = b\nc\n", "a", "-M"),
        ("a", "", "-d relayhost"),
    ),
    *(("", "a unix - n n - 0\n", "-n"), ("", "a\n", "-M"), ("", "  a\n\nb\n", "-M")),
    *(("", f"a {word} - n n - 0 b\n", "-M") for word in ("x", "INET", "unix-dgram")),
    *(("", f"a unix {word} n n - 0 b\n", "-M") for word in ("x", "yy", "Y")),
    *(("", f"a unix - n n {word} 0 b\n", "-M") for word in ("x", "5??", "?", "-5", "")),
    *(("", f"a unix - n n - {word} b\n", "-M") for word in ("x", "5?", "-1", "1 ")),
    *(("", f"a unix - n n - 0 b {word}\n", "-P") for word in ("-o", "{a", "{a}b", "}")),
    *(
        ("", f"a unix - n n - 0 b -o {word}\n", "-P")
        for word in ("{a", "{a}", "{ = b}")
    ),
    *(
        ("", "a unix - n n - 0 b\n  -o x=y\n c\n", "-M " + w)
        for w in ("x", "/x", "a/b/c")
    ),
    *(
        ("", "a unix - n n - 0 b\n", w)
        for w in ("-P a/b/c/d", "-F a/b/c", "-F a/b/TYPE")
    ),
    *(
        ("", "", w)
        for w in ("-C x", "-a -l", "-n -d", "-Mh", "-Pd", "-x a=b", "-e", "-X")
    ),
    *(
        ("", "", w)
        for w in ("-e a", "-X a=b", "-# a=b", "-X #", "-M a=b", "-Me a/b=c d")
    ),
    *(
        ("", "", w)
        for w in ("-F a/b/*=c", "-P a/b/*=c", "-F a/b/x=c", "-o x", "-b x y")
    ),
    *(("", "", w) for w in ("-MX a", "-PX a/b", "-FX a/b/c", "-M a/b", "-P a=b=c")),
)

# What is edited.
EDITED_MAIN = st.lists(
    st.tuples(one_of("a", "b", "c"), one_of(" = ", "=", " =\n ", "="), PLAIN)
    .map("".join)
    .map("{}\n".format)
    | one_of("# x\n", "\n", "  more\n", "\tmore # x\n", "  # x\n", "a = 1\n"),
    max_size=12,
).map("".join)
MAIN_EDITS = st.tuples(
    one_of("-e", "-X", "-#"),
    # Debian's crashes when it is to tell of a name that -X has twice
    st.lists(one_of("a", "b", "c", "d"), min_size=1, max_size=3, unique=True),
).map(lambda t: (t[0], *(f"{n}=x {n}" if t[0] == "-e" else n for n in t[1])))

#: Comments after an entry go before it there.
EDITED_MASTER = (
    st.lists(ENTRIES, max_size=5)
    .map("".join)
    .map(lambda text: text.replace("# x\n", ""))
)
MATCHED = one_of(
    "smtp/unix", "own/inet", "foo/*", "*/unix", "*/*", "no/unix", "own/fifo"
)
NEW = one_of("own fifo - n n - 0 new", "b inet n n n - 0 smtpd -o { a = b } {c d} e")
MASTER_EDITS = (
    st.lists(MATCHED, min_size=1, max_size=2).map(lambda t: ("-MX", *t))
    | st.lists(MATCHED, min_size=1, max_size=2).map(lambda t: ("-M#", *t))
    | st.tuples(MATCHED, NEW).map(lambda t: ("-M", f"{t[0]}={t[1]}"))
    | st.tuples(MATCHED, MATCHED, NEW, NEW).map(
        lambda t: ("-Me", f"{t[0]} = {t[2]}", f"{t[1]} = {t[3]}")
    )
    | st.tuples(
        MATCHED, one_of("chroot=y", "wakeup=60?", "type=inet", "process_limit=1")
    )
    .map("/".join)
    .map(lambda t: ("-F", t))
    | st.tuples(MATCHED, ARGUMENTS).map(
        lambda t: ("-F", f"{t[0]}/command = new -v -vo a=b -o {{c = d e}} {t[1]} x")
    )
    | st.tuples(MATCHED, BUILT_IN, BUILT_IN).map(
        lambda t: ("-P", f"{t[0]}/{t[1]}=x", f"{t[0]}/{t[2]}=y")
    )
    | st.tuples(MATCHED, BUILT_IN).map("/".join).map(lambda t: ("-PX", t))
)
