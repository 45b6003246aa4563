"""Webhooks on their way out, by Standard Webhooks 1.0: signatures, where they may go, when they are tried again."""
