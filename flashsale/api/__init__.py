"""The HTTP application: decodes at the edge, asks the engine, encodes at the edge."""
