"""The search itself: islands, populations, offspring, ranking and the loop over all of them."""
