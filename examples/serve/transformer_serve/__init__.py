"""An OpenAI-compatible HTTP server on libtransformer's Python package."""
