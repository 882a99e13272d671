"""What needs torch: loaded by name, and only when it is used."""
