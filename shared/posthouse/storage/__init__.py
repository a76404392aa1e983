"""THE CELLAR: PostgreSQL; the only room that speaks SQL."""
