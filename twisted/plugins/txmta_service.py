"""
What twistd finds of txmta: the C{twistd txmta} command.

Apart from table types and agents, for whoever starts or lists commands of twistd
loads all of this file.
"""

from twisted.application.service import ServiceMaker

service = ServiceMaker("txmta", "txmta.tap", "A mail transfer agent.", "txmta")
