"""Entry point of the command ``bids_t1``."""

import sys

from bids_t1.cli import main

if __name__ == "__main__":
    sys.exit(main())
