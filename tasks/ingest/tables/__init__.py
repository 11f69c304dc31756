"""Records out of tables: JSON, CSV, Parquet, Arrow."""
