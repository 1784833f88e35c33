import torch

# The networks of these tests are so small that more threads only wait for each other.
torch.set_num_threads(1)
