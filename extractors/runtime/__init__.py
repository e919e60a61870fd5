"""Running the networks: with PyTorch, fused or layer by layer, or with OpenVINO; on a CPU or a GPU."""
