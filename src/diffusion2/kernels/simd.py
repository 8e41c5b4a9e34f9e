"""Vectors of 16 floats for Numba kernels.

LLVM vectorises plain loops over pixels only now and then, and never keeps what they accumulate in
registers. A `Vec16` is an LLVM vector: one AVX-512 register, two AVX ones or four of SSE or NEON.
It knows + - * / with another vector or a scalar, and the functions below. Rounding is free to
differ from scalar code in that multiply and add may be fused.
"""

import operator

from llvmlite import ir
from numba.core import cgutils, types
from numba.core.extending import lower_builtin, models, register_model
from numba.core.typing.templates import AbstractTemplate, infer_global, signature

from diffusion2.kernels.compile import intrinsic

LANES = 16
_FLOAT = ir.FloatType()
_VECTOR = ir.VectorType(_FLOAT, LANES)
_INDEX = ir.IntType(32)
_FLAGS = ("contract", "nsz", "arcp", "reassoc")


class Vec16Type(types.Type):
    """The Numba type of a vector of 16 float32."""

    def __init__(self) -> None:
        super().__init__("Vec16")


VEC16 = Vec16Type()


@register_model(Vec16Type)
class _Vec16Model(models.PrimitiveModel):
    def __init__(self, manager, numba_type):
        super().__init__(manager, numba_type, _VECTOR)


def _as_vector(context, builder, value, numba_type):
    if isinstance(numba_type, Vec16Type):
        return value
    scalar = context.cast(builder, value, numba_type, types.float32)
    one = builder.insert_element(ir.Constant(_VECTOR, ir.Undefined), scalar, _INDEX(0))
    return builder.shuffle_vector(
        one, ir.Constant(_VECTOR, ir.Undefined), ir.Constant(ir.VectorType(_INDEX, LANES), [0] * LANES)
    )


def _is_operand(numba_type) -> bool:
    return isinstance(numba_type, Vec16Type | types.Float | types.Integer)


def _define_operator(function, instruction: str) -> None:
    @infer_global(function)  # pyright: ignore[reportOptionalCall]
    class _Template(AbstractTemplate):
        def generic(self, args, kws):
            if len(args) == 2 and VEC16 in args and all(map(_is_operand, args)):
                return signature(VEC16, *args)
            return None

    def lower(context, builder, sig, args):
        left, right = (_as_vector(context, builder, v, t) for v, t in zip(args, sig.args, strict=True))
        return getattr(builder, instruction)(left, right, flags=_FLAGS)

    for pair in ((Vec16Type, Vec16Type), (Vec16Type, types.Number), (types.Number, Vec16Type)):
        lower_builtin(function, *pair)(lower)


for _function, _instruction in (
    (operator.add, "fadd"),
    (operator.sub, "fsub"),
    (operator.mul, "fmul"),
    (operator.truediv, "fdiv"),
    (operator.iadd, "fadd"),
    (operator.isub, "fsub"),
    (operator.imul, "fmul"),
):
    _define_operator(_function, _instruction)


def _vectors(context, builder, sig, args):
    return [_as_vector(context, builder, v, t) for v, t in zip(args, sig.args, strict=True)]


@intrinsic
def splat(typing_context, value):
    """Return the vector of 16 times `value`."""

    def generate(context, builder, sig, args):
        return _vectors(context, builder, sig, args)[0]

    return VEC16(value), generate


def _define_constant(values):
    @intrinsic
    def constant(typing_context):
        def generate(context, builder, sig, args):
            return ir.Constant(_VECTOR, values)

        return VEC16(), generate

    return constant


count_up = _define_constant([float(i) for i in range(LANES)])
"""`count_up()` gives 0, 1, … 15."""

block_x = _define_constant([float(i % 4) for i in range(LANES)])
"""`block_x()` gives each lane's column in a block of 4 x 4 pixels."""

block_y = _define_constant([float(i // 4) for i in range(LANES)])
"""`block_y()` gives each lane's row in a block of 4 x 4 pixels."""


@intrinsic
def lowest_bit(typing_context, bits):
    """Return the place of the lowest bit set in an int64 that is not 0."""

    def generate(context, builder, sig, args):
        return builder.cttz(args[0], ir.IntType(1)(1))

    return types.int64(types.int64), generate


def _address(context, builder, array_type, array, index):
    data = cgutils.create_struct_proxy(array_type)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), _VECTOR.as_pointer())


@intrinsic
def load(typing_context, array, index):
    """Return the 16 values of a flat contiguous float32 array that start at `index` (not checked)."""

    def generate(context, builder, sig, args):
        return builder.load(_address(context, builder, sig.args[0], *args), align=4)

    return VEC16(array, types.int64), generate


@intrinsic
def store(typing_context, array, index, vector):
    """Write a vector to 16 places of a flat contiguous float32 array from `index` on (not checked)."""

    def generate(context, builder, sig, args):
        builder.store(args[2], _address(context, builder, sig.args[0], *args[:2]), align=4)
        return context.get_dummy_value()

    return types.none(array, types.int64, vector), generate


@intrinsic
def store_past_caches(typing_context, array, index, vector):
    """As `store`, to a whole cache line that this thread won't read soon; `index` on a multiple of 16."""

    def generate(context, builder, sig, args):
        written = builder.store(args[2], _address(context, builder, sig.args[0], *args[:2]), align=64)
        written.set_metadata("nontemporal", builder.module.add_metadata([ir.IntType(32)(1)]))
        return context.get_dummy_value()

    return types.none(array, types.int64, vector), generate


@intrinsic
def store_whole(typing_context, array, index, vector):
    """Write a vector of whole numbers to 16 places of a flat contiguous int32 array (not checked)."""

    def generate(context, builder, sig, args):
        whole = builder.fptosi(args[2], ir.VectorType(_INDEX, LANES))
        data = cgutils.create_struct_proxy(sig.args[0])(context, builder, args[0]).data
        place = builder.bitcast(builder.gep(data, [args[1]]), whole.type.as_pointer())
        builder.store(whole, place, align=4)
        return context.get_dummy_value()

    return types.none(array, types.int64, vector), generate


def _define_choice(comparison: str):
    @intrinsic
    def choose(typing_context, left, right, if_true, if_false):
        def generate(context, builder, sig, args):
            left, right, if_true, if_false = _vectors(context, builder, sig, args)
            return builder.select(builder.fcmp_ordered(comparison, left, right), if_true, if_false)

        return VEC16(left, right, if_true, if_false), generate

    return choose


where_less = _define_choice("<")
"""`where_less(a, b, x, y)` gives x in the lanes where a < b, and y in the others."""

where_less_equal = _define_choice("<=")
"""`where_less_equal(a, b, x, y)` gives x in the lanes where a <= b, and y in the others."""


def _define_unary(name):
    @intrinsic
    def unary(typing_context, vector):
        def generate(context, builder, sig, args):
            type_ = ir.FunctionType(_VECTOR, [_VECTOR])
            return builder.call(builder.module.declare_intrinsic(f"llvm.{name}.v{LANES}f32", (), type_), args)

        return VEC16(vector), generate

    return unary


square_root = _define_unary("sqrt")
"""`square_root(v)` of every lane."""

round_down = _define_unary("floor")
"""`round_down(v)` gives the largest whole numbers that are not above the lanes."""


@intrinsic
def any_positive(typing_context, vector):
    """Say whether any lane is above 0."""

    def generate(context, builder, sig, args):
        above = builder.fcmp_ordered(">", args[0], ir.Constant(_VECTOR, [0.0] * LANES))
        return builder.icmp_unsigned("!=", builder.bitcast(above, ir.IntType(LANES)), ir.IntType(LANES)(0))

    return types.boolean(vector), generate


@intrinsic
def sums_of(typing_context, vectors):
    """Return the vector of the sums over the lanes of each vector of a tuple; 0 in the lanes left over.

    The sums are made together, in a tree that halves the number of vectors at each level: lane i
    of a vector at level k belongs to the original vector i mod 2^k of its group.
    """

    def generate(context, builder, sig, args):
        rows = cgutils.unpack_tuple(builder, args[0])
        rows += [ir.Constant(_VECTOR, [0.0] * LANES)] * (LANES - len(rows))
        step = 1
        while step < LANES:
            first = [i if not i & step else LANES + i - step for i in range(LANES)]
            halves = [ir.Constant(ir.VectorType(_INDEX, LANES), [i + k for i in first]) for k in (0, step)]
            rows = [
                builder.fadd(*(builder.shuffle_vector(a, b, half) for half in halves))
                for a, b in zip(rows[::2], rows[1::2], strict=True)
            ]
            step *= 2
        return rows[0]

    return VEC16(vectors), generate
