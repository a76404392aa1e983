"""What the stations of Posthouse share: words, roads, cellar, and how a service is run."""
