def momentum(w, g, m):
    """Heavy-ball momentum (Polyak 1964), in torch.optim.SGD's form: m <- 0.9 m + g."""
    m = heavy_ball(m, g, 0.9)
    return m, m
