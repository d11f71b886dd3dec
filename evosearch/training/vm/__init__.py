"""A virtual machine for elementwise rules: a whole update in one call."""
