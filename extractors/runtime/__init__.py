"""What runs the networks: eager torch or OpenVINO, on a CPU or a GPU."""
