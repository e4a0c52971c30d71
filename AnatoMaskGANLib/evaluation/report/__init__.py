"""The report of an evaluation: its table, plots, pictures and the page that holds them."""
