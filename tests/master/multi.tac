# For tests/master/running_master.py: twistd -n -y.
from twisted.application.service import Application

from tests.master.running_master import master

application = Application("txmta")
master().setServiceParent(application)
