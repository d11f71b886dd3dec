def sgd(w, g):
    """Gradient descent."""
    return g
