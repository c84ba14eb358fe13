"""What a stack may say and what its resources are made of: pydantic models, without any effect.

Everything else imports this package and it imports nothing of ours. Names are snake case in Python and camel case in
configs, in Pulumi's state and on the wire; an unknown key is always an error.
"""
