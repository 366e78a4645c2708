"""GraphQL operations, compiled once into plans and executed many times.

    plan = plan_operation(schema, document, operation)
    bound = plan.bind(variables)        # or the errors in them
    result = await bound.execute(context)

A plan does what graphql-core's `execute` does, for any schema built with graphql-core or Strawberry, and
gives the same answers and errors: https://spec.graphql.org/draft/#sec-Execution. Compilation determines once
which fields are selected on each type, the values of their constant arguments, how each resolver is called,
and how its result is turned into the response. From this it generates Python source, which builds each object
of the response. An operation that a plan cannot execute raises `Unplannable`
before any resolver runs; fall back to graphql-core for it.
"""

from plans.bounds import Bounds, ChargeBytes, ResponseTooLarge, Turns
from plans.generation import MAX_GENERATED_FIELDS
from plans.info import look_ahead, variables_of
from plans.look_ahead import LookAhead
from plans.operation import BoundOperation, OperationPlan, PlanResult, plan_operation
from plans.unplannable import Unplannable

__all__ = [
    "MAX_GENERATED_FIELDS",
    "BoundOperation",
    "Bounds",
    "ChargeBytes",
    "LookAhead",
    "OperationPlan",
    "PlanResult",
    "ResponseTooLarge",
    "Turns",
    "Unplannable",
    "look_ahead",
    "plan_operation",
    "variables_of",
]
