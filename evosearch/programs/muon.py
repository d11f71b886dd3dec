def muon(w, g, m):
    """Muon (Jordan et al. 2024, kellerjordan.github.io/posts/muon): orthogonalized Nesterov momentum."""
    m = lerp(m, g, 0.05)
    c = lerp(g, m, 0.95)
    o = newton_schulz5(c)
    u = spectral_scale(o)
    return u, m
