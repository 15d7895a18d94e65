"""The structures of the C sources, field by field; what they are is written there."""

import ctypes

_POINTER, _INT, _LONG, _FLOAT = ctypes.c_void_p, ctypes.c_int32, ctypes.c_int64, ctypes.c_float


class Matrix(ctypes.Structure):
    """`Matrix` of product.h."""

    _fields_ = (
        ("panels", _POINTER), ("next", _POINTER), ("scale", _POINTER), ("bias", _POINTER),
        ("inputs", _INT), ("outputs", _INT), ("kind", _INT),
    )  # fmt: skip


class Norm(ctypes.Structure):
    """`Norm` of step.c."""

    _fields_ = (("weight", _POINTER), ("bias", _POINTER), ("epsilon", _FLOAT))


class Layer(ctypes.Structure):
    """`Layer` of step.c."""

    _fields_ = (
        ("norm", Norm), ("second_norm", Norm),
        ("project", Matrix), ("output", Matrix), ("inner", Matrix), ("outer", Matrix),
        ("query_weight", _POINTER), ("key_weight", _POINTER), ("kept", _POINTER), ("places", _POINTER),
        ("slots", _LONG), ("query_key_epsilon", _FLOAT), ("branch", _FLOAT),
    )  # fmt: skip


class Stack(ctypes.Structure):
    """`Stack` of step.c."""

    _fields_ = (
        ("layers", ctypes.POINTER(Layer)), ("tokens", _POINTER), ("positions", _POINTER), ("turns", _POINTER),
        ("start", _POINTER), ("added", _POINTER), ("logits", Matrix),
        ("depth", _INT), ("width", _INT), ("heads", _INT), ("head_width", _INT), ("context", _INT),
        ("vocabulary", _INT), ("hidden", _INT), ("recondition", _INT), ("shift", _INT),
    )  # fmt: skip


class Choice(ctypes.Structure):
    """`Choice` of choice.h."""

    _fields_ = (
        ("temperature", _FLOAT), ("guidance", _FLOAT), ("top_p", _FLOAT), ("top_k", _INT),
        ("key", _LONG), ("place", _LONG),
    )  # fmt: skip


class Window(ctypes.Structure):
    """`Window` of step.c."""

    _fields_ = (
        ("position", _INT), ("leader", _INT), ("row", _LONG), ("previous", 2 * _LONG), ("choice", Choice),
    )  # fmt: skip
