"""flashsale: a flash-sale engine that sells limited stock exactly once."""

__version__ = "0.1.0"
