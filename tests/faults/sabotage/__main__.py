"""The messenger's command line, sabotaged: NAME... `seed=NUMBER` -- and its own arguments."""

import random
import sys

from server.commands import app
from tests.faults.sabotage import attaching, clocks, following, hints, outages, streams, writing
from tests.faults.sabotage.registry import BY_NAME

# Each module registers its own.
MODULES = (attaching, clocks, following, hints, outages, streams, writing)


def main() -> None:
    """Break what is named, then run the command."""
    end = sys.argv.index("--")
    for name in sys.argv[1:end]:
        if name.startswith("seed="):
            random.seed(int(name.removeprefix("seed=")))
    for name in sys.argv[1:end]:
        if not name.startswith("seed="):
            BY_NAME[name]()
    app(sys.argv[end + 1 :])


if __name__ == "__main__":
    main()
