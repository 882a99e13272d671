"""The network: stretching, CLIP, the objective."""
