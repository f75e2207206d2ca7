"""Expected failures. Each message says what was wrong with what was given, and what to do about it."""


class DenoiserError(Exception):
    """Base of every failure that a caller can expect and a user should read."""


class ImageError(DenoiserError):
    """A picture could not be read, is too large, or has a shape or values we cannot work on."""


class ParameterError(DenoiserError):
    """A parameter is unknown or outside its range."""


class WeightsError(DenoiserError):
    """Weights are missing, damaged or made for another network."""


class Cancelled(DenoiserError):
    """The caller asked to stop; nothing was kept."""


class DataError(DenoiserError):
    """Training data that are not there, damaged, or too few."""
