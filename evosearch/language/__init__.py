"""What a program is: its text, its checks, its meaning, and the optimizers that are known."""
