def muon_five_steps(w, g, m):
    """Muon with a memory of five steps: a control of the scale test."""
    m = lerp(m, g, 0.2)
    c = lerp(g, m, 0.95)
    o = newton_schulz5(c)
    u = spectral_scale(o)
    return u, m
