"""What a resource takes and gives, made of its typed SDK alone: no plugin, no schema file, no network.

This runs in the program's Python, where the SDK is and the program has imported it already. The engine asks it on the pipe of
the registrations; tests may ask it themselves.
"""

from .answering import answer
from .checking import Mistake, mistakes
from .completing import outputs

__all__ = ["Mistake", "answer", "mistakes", "outputs"]
