def signsgd(w, g):
    """Sign descent (Bernstein et al., arXiv 1802.04434)."""
    u = sign(g)
    return u
