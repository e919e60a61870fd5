"""SeLaVi: its preprocessing, networks and weights."""
