"""Which videos are trained on, validated on and tested on."""
