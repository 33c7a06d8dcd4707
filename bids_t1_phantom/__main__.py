"""Entry point of the command ``bids_t1_phantom``."""

import sys

from bids_t1_phantom.cli import main

if __name__ == "__main__":
    sys.exit(main())
