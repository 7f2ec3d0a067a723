"""The command line and the page. No business rules: everything asks storyloom.app."""
