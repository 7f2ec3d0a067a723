"""The story's memory as pure Python: types, rules and ports; no files, network, SQL or torch."""
