def muon_half_gradient(w, g, m):
    """Muon's memory, but the gradient counts as much as it: a control, for `short_muon`'s share alone."""
    m = lerp(m, g, 0.05)
    c = m + g
    o = newton_schulz5(c)
    u = spectral_scale(o)
    return u, m
