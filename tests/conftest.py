"""For all tests: torch on one thread, set before anything imports it.

Its threads wait in a spin, which on a busy machine costs everybody dearly.
"""

import os

os.environ["OMP_NUM_THREADS"] = "1"
