"""From a decoded picture to the square that a network takes."""
