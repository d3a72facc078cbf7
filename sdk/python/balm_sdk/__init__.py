"""Write remediation policies for Balm in Python.

A policy is a pure function: ``evaluate`` gets everything it may know and returns a decision. It asks with
``input.ecs_service(target)``; where Balm has not read that yet, the evaluation ends there, Balm reads, and evaluates again.
"""

from . import log
from .decision import Decision, Intent
from .input import Alert, Failed, Input, PastIntent, name_of
from .plugin import component
from .policy import Policy

__all__ = ["Alert", "Decision", "Failed", "Input", "Intent", "PastIntent", "Policy", "component", "log", "name_of"]
