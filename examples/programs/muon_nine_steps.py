def muon_nine_steps(w, g, m):
    """Muon with a memory of nine steps: a control of the scale test, for `short_muon`'s memory alone."""
    m = lerp(m, g, 0.107)
    c = lerp(g, m, 0.95)
    o = newton_schulz5(c)
    u = spectral_scale(o)
    return u, m
