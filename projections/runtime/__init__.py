"""Run projections: generations of table files, their migrations, and the runners that fill them."""
