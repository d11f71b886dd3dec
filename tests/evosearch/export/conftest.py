"""What an exported optimizer warns of is tested in one place, and no news in the others."""

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let tests pass parameters without names; those that ask for the warnings still get them."""
    for item in items:
        if "tests/evosearch/export/" in item.path.as_posix():
            for text in ("embeddings and heads cannot be told", "no parameter is a hidden matrix"):
                item.add_marker(pytest.mark.filterwarnings(f"ignore:{text}"))
