"""
The built-in table types and delivery agents. Others are added the same way, in
a module of their own in C{twisted/plugins}.
"""

from twisted.plugin import IPlugin
from zope.interface import classImplements

from txmta.delivery.registry import AgentType
from txmta.maps.cidr import CidrType
from txmta.maps.debug import DebugType
from txmta.maps.environ import EnvironType
from txmta.maps.fail import FailType
from txmta.maps.hash import TextType
from txmta.maps.indexed import IndexType, cdb_type, lmdb_type
from txmta.maps.inline import InlineType
from txmta.maps.internal import InternalType
from txmta.maps.ldap import LdapType
from txmta.maps.memcache import MemcacheType
from txmta.maps.mysql import MysqlType
from txmta.maps.pcre import PcreType
from txmta.maps.pgsql import PgsqlType
from txmta.maps.pipemap import PipeType
from txmta.maps.popbefore import LoginType
from txmta.maps.proxy import ProxyType
from txmta.maps.python import PythonType
from txmta.maps.randmap import RandomType
from txmta.maps.redis import RedisType
from txmta.maps.refused import RefusedType
from txmta.maps.regexp import RegexpType
from txmta.maps.socketmap import SocketmapType
from txmta.maps.sqlite import SqliteType
from txmta.maps.static import StaticType
from txmta.maps.tcp import TcpType
from txmta.maps.unionmap import UnionType
from txmta.maps.unix import UnixType

# Types that commands use, too, which do without Twisted.
for kind in (
    *(TextType, IndexType, InlineType, StaticType, CidrType, RegexpType, PcreType),
    *(ProxyType, RandomType, EnvironType, FailType, DebugType, InternalType),
):
    classImplements(kind, IPlugin)
del kind

# Table types.
table_hash = TextType("hash")
table_btree = TextType("btree")
table_lmdb = lmdb_type()
table_cdb = cdb_type()
table_dbm = RefusedType("dbm")
table_sdbm = RefusedType("sdbm")
table_texthash = TextType("texthash")
table_inline = InlineType()
table_static = StaticType()
table_cidr = CidrType()
table_regexp = RegexpType()
table_pcre = PcreType()
table_unix = UnixType()
table_proxy = ProxyType()
table_unionmap = UnionType()
table_pipemap = PipeType()
table_randmap = RandomType()
table_environ = EnvironType()
table_fail = FailType()
table_debug = DebugType()
table_internal = InternalType()
table_python = PythonType()
table_tcp = TcpType()
table_socketmap = SocketmapType()
table_sqlite = SqliteType()
table_pgsql = PgsqlType()
table_mysql = MysqlType()
table_redis = RedisType()
table_memcache = MemcacheType()
table_ldap = LdapType()
table_popbefore = LoginType()

# Delivery agents.
agent_local = AgentType("local", "txmta.delivery.local.LocalAgent")
agent_virtual = AgentType("virtual", "txmta.delivery.virtual.VirtualAgent")
agent_error = AgentType("error", "txmta.delivery.error.ErrorAgent")
agent_retry = AgentType("retry", "txmta.delivery.error.retry_agent")
agent_discard = AgentType("discard", "txmta.delivery.discard.DiscardAgent")
agent_pipe = AgentType("pipe", "txmta.delivery.pipe.PipeAgent")
agent_plugin = AgentType("plugin", "txmta.delivery.plugin.plugin_agent")
agent_smtp = AgentType("smtp", "txmta.delivery.smtp.SmtpAgent")
agent_lmtp = AgentType("lmtp", "txmta.delivery.smtp.lmtp_agent")
