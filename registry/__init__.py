"""Evidence to gates to aliases. Import from its modules: `from registry.register import register`."""
