"""`python -m ecgjax.command`, where the program is not installed."""

import sys

from ecgjax.command.main import main

if __name__ == "__main__":
    sys.exit(main())
