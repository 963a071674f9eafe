"""Pure rules over figures, a module each. A failed gate is data, a misconfigured one raises, what is missing fails."""
