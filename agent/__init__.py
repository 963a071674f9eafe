"""What is shipped with every logged model: labels, records, providers and the one ResponsesAgent.

Knows nothing of the other packages (evaluation, registry, serving, training) and imports none of them,
because it travels alone as `code/agent` inside the model.
"""
