"""The champion on Databricks Model Serving."""
