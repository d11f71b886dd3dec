def rmsprop(w, g, v):
    """RMSProp (Tieleman and Hinton 2012) in torch.optim.RMSprop's form, alpha = 0.99."""
    g2 = square(g)
    v = lerp(v, g2, 0.01)
    s = sqrt(v)
    d = s + 1e-08
    u = g / d
    return u, v
