"""Where: regions, pictures, labels, and what can be measured in pixels."""
