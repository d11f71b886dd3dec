def nesterov(w, g, m):
    """Nesterov momentum in torch.optim.SGD's form: the step looks ahead along m."""
    m = heavy_ball(m, g, 0.9)
    u = heavy_ball(m, g, 0.9)
    return u, m
