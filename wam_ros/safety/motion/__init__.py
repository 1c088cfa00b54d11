"""From the steps of a chunk to a proven motion that ends at rest."""
