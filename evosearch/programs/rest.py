def rest(w, g, m, v):
    """Adam with betas 0.9 and 0.95, as Muon's users train what is not a hidden matrix."""
    m = lerp(m, g, 0.1)
    g2 = square(g)
    v = lerp(v, g2, 0.05)
    a = debias(m, 0.9)
    b = debias(v, 0.95)
    s = sqrt(b)
    d = s + 1e-10
    u = a / d
    return u, m, v
