import numpy as np

from xclip_stream.model.activations_apart import set_activations_apart
from xclip_stream.model.openvino_backend import the_core

import openvino  # isort: skip
from openvino import opset13 as opset  # isort: skip


def two_products(*, tokens: int = 50, eight_bits: bool = False) -> openvino.Model:
    """An MLP over (frames, tokens, 64): a product, Swish, and another product."""
    rng = np.random.default_rng(7)
    weights = [opset.constant(rng.normal(size=(64, 64)).astype(np.float32)) for _ in range(2)]
    x = opset.parameter([-1, tokens, 64], np.float32)
    active = opset.swish(opset.matmul(x, weights[0], transpose_a=False, transpose_b=True))
    active.set_friendly_name("active")
    if eight_bits:
        low, high = opset.constant(np.float32(-1)), opset.constant(np.float32(1))
        active = opset.fake_quantize(active, low, high, low, high, levels=256)
    return openvino.Model([opset.matmul(active, weights[1], transpose_a=False, transpose_b=True)], [x])


def compiled(model: openvino.Model) -> openvino.CompiledModel:
    return the_core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})


def kinds(model: openvino.Model) -> list[str]:
    return sorted(operation.get_type_name() for operation in model.get_ops())


def computed_together(model: openvino.CompiledModel) -> list[str]:
    """The names of what one kernel each computes, joined by commas."""
    return [str(each.get_rt_info()["originalLayersNames"].value) for each in model.get_runtime_model().get_ops()]


def test_an_activation_is_computed_by_itself_and_gives_what_it_gave():
    model = two_products()
    before = compiled(model)

    set_activations_apart(model)

    after = compiled(model)
    assert "active" not in computed_together(before)
    assert "active" in computed_together(after)
    x = np.random.default_rng(8).normal(size=(8, 50, 64)).astype(np.float32)
    np.testing.assert_allclose(after(x)[0], before(x)[0], rtol=1e-6, atol=1e-5)


def test_where_a_frame_has_many_tokens_both_stay_together():
    model = two_products(tokens=197)

    set_activations_apart(model)

    assert kinds(model) == kinds(two_products(tokens=197))


def test_a_model_in_eight_bits_stays_as_it_is():
    model = two_products(eight_bits=True)

    set_activations_apart(model)

    assert kinds(model) == kinds(two_products(eight_bits=True))
