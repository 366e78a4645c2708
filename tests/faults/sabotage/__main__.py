"""The messenger's command line with sabotage: the names, `--`, and the usual arguments."""

import sys

from server.process.command_line import app
from tests.faults.sabotage import sabotage

if __name__ == "__main__":
    end = sys.argv.index("--")
    sabotage(sys.argv[1:end])
    app(sys.argv[end + 1 :])
