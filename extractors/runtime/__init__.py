"""Running the networks: with eager torch or OpenVINO, on a CPU or a GPU."""
