def adamw(w, g, m, v):
    """Adam with decoupled weight decay 0.01 (Loshchilov and Hutter, arXiv 1711.05101)."""
    m = lerp(m, g, 0.1)
    g2 = square(g)
    v = lerp(v, g2, 0.001)
    a = debias(m, 0.9)
    b = debias(v, 0.999)
    s = sqrt(b)
    d = s + 1e-08
    u = a / d
    r = w * 0.01
    u = u + r
    return u, m, v
