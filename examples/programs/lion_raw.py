def lion_raw(w, g, m, v):
    """What the search behind Lion found, before anybody simplified it.

    Program 4 of Chen et al. (arXiv 2302.06675): dead code is removed already, except for the last
    use of m. There `interp(x, y, a)` is `lerp(x, y, a)` here. Where the paper's program reads its
    learning rate input, this one has that input's peak, 1.0, as a bound, and leaves the factor to
    the trainer.
    """
    g = clip(g, 1.0)
    g = arcsin(g)
    m = lerp(g, v, 0.899)
    m2 = m * m
    v = lerp(g, m, 1.109)
    abs_m = sqrt(m2)
    update = m / abs_m
    wd = w * 0.4602
    update = update + wd
    lr_update = update * 0.0002
    m = cosh(update)
    return lr_update, m, v
