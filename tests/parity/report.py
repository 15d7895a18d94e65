"""What a parity case reports: named comparisons, each an error beside its tolerance."""

from dataclasses import dataclass

import torch


@dataclass(frozen=True, kw_only=True)
class Check:
    """One comparison with a recorded number. It holds when `error <= tolerance`."""

    name: str
    error: float
    tolerance: float
    note: str = ""

    @property
    def holds(self) -> bool:
        return self.error <= self.tolerance  # False for NaN


def equal(name: str, found: object, expected: object) -> Check:
    """Exact equality of values: the error is 0 or 1."""
    same = found == expected
    return Check(
        name=name,
        error=0.0 if same else 1.0,
        tolerance=0.0,
        note="" if same else _difference(found, expected),
    )


def equal_integers(name: str, found: torch.Tensor, expected: torch.Tensor) -> Check:
    """Exact equality of integer tensors: the error is the number of entries that differ."""
    if found.shape != expected.shape:
        return _shape_mismatch(name, found, expected, tolerance=0.0)
    return Check(name=name, error=float((found != expected).sum()), tolerance=0.0)


def close(
    name: str, found: torch.Tensor, expected: torch.Tensor, *, absolute: float = 0.0, relative: float = 0.0
) -> Check:
    """Largest |found - expected| as a share of its allowance, scaled back to `absolute` where it is given.

    The allowance of an entry is `absolute + relative * |expected|`, as in `torch.testing.assert_close`.
    """
    if found.shape != expected.shape:
        return _shape_mismatch(name, found, expected, tolerance=absolute or relative)
    expected = expected.double()
    difference = (found.double() - expected).abs()
    both_infinite = (found.double() == expected) & expected.isinf()
    difference = torch.where(both_infinite, torch.zeros_like(difference), difference)
    allowance = absolute + relative * torch.where(both_infinite, torch.zeros_like(expected), expected.abs())
    unit = absolute or relative
    share = torch.where(difference == 0, torch.zeros_like(difference), difference / allowance)
    return Check(name=name, error=float(share.max()) * unit if share.numel() else 0.0, tolerance=unit)


def _shape_mismatch(name: str, found: torch.Tensor, expected: torch.Tensor, *, tolerance: float) -> Check:
    note = f"shape {tuple(found.shape)}, expected {tuple(expected.shape)}"
    return Check(name=name, error=float("inf"), tolerance=tolerance, note=note)


def _difference(found: object, expected: object) -> str:
    return f"found {str(found)[:120]!r}, expected {str(expected)[:120]!r}"
