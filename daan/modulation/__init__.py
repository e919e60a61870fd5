"""CSGM: the gradient of each pair, its rate and the modulated gradient."""
