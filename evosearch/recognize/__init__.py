"""What a program is up to its constants: a known optimizer, or nothing that has a name."""
