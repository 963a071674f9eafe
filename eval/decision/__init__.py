"""Which candidate goes to production, by the rules of `config/decision.yaml`."""
