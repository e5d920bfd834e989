"""The project's own networks. These modules import torch: import them where a network is built, not before."""
