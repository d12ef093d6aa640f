"""Long runs that a lesson reads back: python -m lessons sweep NN rebuilds them."""
