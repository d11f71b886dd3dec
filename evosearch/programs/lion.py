def lion(w, g, m):
    """Lion (Chen et al., arXiv 2302.06675) with betas 0.9 and 0.99 and no weight decay."""
    c = lerp(m, g, 0.1)
    u = sign(c)
    m = lerp(m, g, 0.01)
    return u, m
