"""The imports of multiprocessing's fork server, of which the children of `workers` are forks. Nothing else imports it.

The children share the memory of these modules, and start without the second of CPU that the imports take. The garbage
collector never looks at them, as in `aggregator/__main__.py`: a collection would write to each page, which copies it.
"""

import gc

gc.disable()

from aggregator.runtime import workers  # noqa: E402, F401  # not before collections are off; the import is what it is for

gc.freeze()
gc.enable()
