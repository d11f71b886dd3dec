"""Proxy tasks: small real training problems whose models are trained many at a time."""
