"""Small formulas of whole numbers, such as `2 * k + 1`: read and computed, never run as Python."""

import ast
from collections.abc import Mapping

LONGEST = 200  # characters
LARGEST = 10**15


def computed(formula: str, numbers: Mapping[str, float]) -> int:
    """What a formula of + − * // and names comes to. Raises ValueError, in words, where it is none."""
    if len(formula) > LONGEST:
        raise ValueError(f"a formula has at most {LONGEST} characters")
    try:
        result = _value(ast.parse(formula, mode="eval").body, numbers)
    except (SyntaxError, RecursionError, MemoryError) as error:
        raise ValueError(f"{formula!r} is no formula") from error
    except ZeroDivisionError as error:
        raise ValueError(f"{formula!r} divides by 0") from error
    if not 0 <= result <= LARGEST or result != int(result):
        raise ValueError(f"{formula!r} comes to {result}; expected a whole number of 0 or more")
    return int(result)


def names_in(formula: str) -> set[str]:
    """The names that a formula holds; none where it is no formula."""
    try:
        return {node.id for node in ast.walk(ast.parse(formula[:LONGEST])) if isinstance(node, ast.Name)}
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return set()


def _value(node: ast.expr, numbers: Mapping[str, float]) -> float:
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        return node.value
    if isinstance(node, ast.Name):
        if isinstance(number := numbers.get(node.id), int | float):
            return number
        raise ValueError(f"{node.id} is none of the numbers {', '.join(numbers)}")
    if isinstance(node, ast.BinOp):
        left, right = _value(node.left, numbers), _value(node.right, numbers)
        if max(abs(left), abs(right)) > LARGEST:
            raise ValueError("its numbers are too large")
        if isinstance(node.op, ast.Add):
            return left + right
        if isinstance(node.op, ast.Sub):
            return left - right
        if isinstance(node.op, ast.Mult):
            return left * right
        if isinstance(node.op, ast.FloorDiv):
            return left // right
    raise ValueError("a formula has whole numbers, names, + - * // and parentheses")
