"""``python -m evosearch``."""

from evosearch.cli import main

__all__: list[str] = []

if __name__ == "__main__":
    main()
