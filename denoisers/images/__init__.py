"""Pictures in and out: files to sRGB arrays and back, nothing lost that we can keep."""

from .picture import MAX_BYTES, MAX_PIXELS, Picture, as_uint8, distinct_channels, is_grey, to_float
from .reading import read
from .writing import encode, safe_name, write

__all__ = [
    "MAX_BYTES",
    "MAX_PIXELS",
    "Picture",
    "as_uint8",
    "distinct_channels",
    "encode",
    "is_grey",
    "read",
    "safe_name",
    "to_float",
    "write",
]
