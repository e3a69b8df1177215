"""The kernel's socket interface as it is: calls that return its result or raise its errno, and nothing in between.

Owns the C declarations (`c/`, a file a header), the constants, and what a test bench needs that Python can't do:
threads that make one call, a ring for signal handlers, a deadline, a fence, a census. Knows no clauses, no pytest and
no reports.

Everything is a function of this module, named as its manual page is. Descriptors are integers; an int of a subclass is
kept as it is in errors and in the account of calls (`native.trace`).
"""

# Each module says in its __all__ what it offers; the constants can't, because what the headers lack is missing there.
from native import trace as trace
from native.addresses import *
from native.children import *
from native.completion import *
from native.constants import *
from native.deadlines import *
from native.descriptors import *
from native.errors import *
from native.file_control import *
from native.files import *
from native.holdings import *
from native.kernel_log import *
from native.modules import *
from native.namespaces import *
from native.options import *
from native.ordering import *
from native.pointers import *
from native.polling import *
from native.signals import *
from native.sockets import *
from native.threads import *
from native.trace import Step as Step
