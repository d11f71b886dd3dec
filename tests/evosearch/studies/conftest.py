import pytest
from workers_here import compute_here


@pytest.fixture(autouse=True)
def workers_here(request, monkeypatch):
    compute_here(monkeypatch, request)
