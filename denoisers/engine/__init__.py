"""How a method meets an image of any size: tiling, blending, devices, precision, memory."""
