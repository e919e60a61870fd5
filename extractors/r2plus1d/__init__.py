"""R(2+1)D-18 with the Kinetics-400 weights of torchvision."""
