"""Why a place is in a hub or in none, and what would change that: from few tiles, read locally."""
