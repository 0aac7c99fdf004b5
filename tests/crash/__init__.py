"""
Crash tests: the promise that a message answered with 250 is never lost.

The server is the real one, in a process of its own. It is killed at every
system call that matters (L{tests.crash.test_kill}), its disk is cut off
(L{tests.crash.test_power}), its calls fail (L{tests.crash.test_errors}), the
order of its calls is read (L{tests.crash.test_order}); and each of these is
shown to notice when the server breaks its promise
(L{tests.crash.test_mutations}).
"""
