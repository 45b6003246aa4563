"""Who is calling: shopper tokens and the API keys of brands and order systems."""
