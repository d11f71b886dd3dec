"""Proxy tasks: small real training problems whose models are trained many at a time."""

import os

# As in `primitives`: MKL's products must not depend on where in memory a lane lies. It reads this
# when it is first used.
os.environ.setdefault("MKL_CBWR", "AUTO")
