"""What all tests share."""

import signal

import torch
from hypothesis import settings

# Tests run side by side: threads that wait for each other on the same processors only slow them down.
torch.set_num_threads(1)

# The same examples in every run, however slow the machine.
settings.register_profile("seeded", deadline=None, derandomize=True)
settings.load_profile("seeded")

# A shell that starts a job in the background has interrupts ignored, and tests of them would wait for nothing.
signal.signal(signal.SIGINT, signal.default_int_handler)
