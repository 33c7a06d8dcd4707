"""What all tests share."""

import torch

# Tests run side by side: threads that wait for each other on the same processors only slow them down.
torch.set_num_threads(1)
