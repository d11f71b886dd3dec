def signum(w, g, m):
    """The sign of a running average of the gradient (Bernstein et al., arXiv 1802.04434)."""
    m = lerp(m, g, 0.1)
    u = sign(m)
    return u, m
