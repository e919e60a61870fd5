"""Check whether avzsl works on this machine, and show how it decodes a clip."""
