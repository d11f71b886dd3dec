"""Search configurations that ship with the package, as TOML."""
