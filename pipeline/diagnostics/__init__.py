"""Does avzsl work here, and what does decoding see of a clip?"""
