"""GraphQL operations, compiled once into plans and executed many times.

    plan = plan_operation(schema, document, operation)
    bound = plan.bind(variables)        # or the errors in them
    result = await bound.execute(context)

A plan does what graphql-core's `execute` does, for any schema of graphql-core's or Strawberry's, and gives
the same answers and errors: https://spec.graphql.org/draft/#sec-Execution. What it finds out once is which
fields are selected on which type, what their constant arguments are, how each resolver is called and how what
it returns is turned into a response. What it cannot do is refused with `Unplannable` before anything is
executed: give that to graphql-core.
"""

from plans.bounds import Bounds, ResponseTooLarge, Turns
from plans.operation import BoundOperation, OperationPlan, PlanResult, plan_operation
from plans.unplannable import Unplannable

__all__ = [
    "BoundOperation",
    "Bounds",
    "OperationPlan",
    "PlanResult",
    "ResponseTooLarge",
    "Turns",
    "Unplannable",
    "plan_operation",
]
