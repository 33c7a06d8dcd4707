"""What all tests share."""

import torch
from hypothesis import settings

# Tests run side by side: threads that wait for each other on the same processors only slow them down.
torch.set_num_threads(1)

# The same examples in every run, however slow the machine.
settings.register_profile("seeded", deadline=None, derandomize=True)
settings.load_profile("seeded")
