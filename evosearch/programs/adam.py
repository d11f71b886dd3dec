def adam(w, g, m, v):
    """Adam (Kingma and Ba, arXiv 1412.6980) with betas 0.9 and 0.999."""
    m = lerp(m, g, 0.1)
    g2 = square(g)
    v = lerp(v, g2, 0.001)
    a = debias(m, 0.9)
    b = debias(v, 0.999)
    s = sqrt(b)
    d = s + 1e-08
    u = a / d
    return u, m, v
