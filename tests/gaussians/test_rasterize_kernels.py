"""The CPU rasteriser's parts: vectors, work queues and the cache of compiled kernels."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor

import numba
import numpy as np
import pytest
import torch

from diffusion2.cameras import orbit
from diffusion2.gaussians.rasterize import pictures, rasterize
from diffusion2.gaussians.rasterize.blending import blend, blend_backward
from diffusion2.kernels import simd
from diffusion2.kernels.compile import inline, stamp_of
from diffusion2.kernels.threads import _Share, _waiting, run_tasks, take


@inline
def _compute(a, b, out):
    x, y = simd.load(a, 0), simd.load(b, 0)
    simd.store(out, 0, x * y + 2.0 - y / x)
    simd.store(out, 16, simd.where_less(x, y, x, 7))
    simd.store(out, 32, simd.where_less_equal(x, x, y, x))
    simd.store(out, 48, simd.sums_of((x, y, simd.count_up())))
    simd.store(out, 64, simd.square_root(x) + simd.round_down(y * 10))
    return simd.any_positive(x - 2), simd.any_positive(x - y)


@numba.njit
def compute(a, b, out):
    return _compute(a, b, out)


def test_vectors_compute_what_numpy_does():
    generator = np.random.default_rng(0)
    a, b = (generator.uniform(0.1, 1, 16).astype(np.float32) for _ in range(2))
    out = np.zeros(80, dtype=np.float32)
    assert compute(a, b, out) == (False, True)
    product, less, same, sums, roots = out.reshape(5, 16)
    np.testing.assert_allclose(product, a * b + 2 - b / a, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(less, np.where(a < b, a, 7))
    np.testing.assert_array_equal(same, b)
    np.testing.assert_allclose(sums, [a.sum(), b.sum(), 120] + [0] * 13, rtol=1e-5)
    np.testing.assert_allclose(roots, np.sqrt(a) + np.floor(b * 10), rtol=1e-6)


@numba.njit
def copy_blocks(source, target, height, width, scratch):
    for y in range(0, height, 4):
        for x in range(0, width, 4):
            first = y * width + x
            red, green, blue = pictures.read_rgb(source, first, width, width - x, height - y, scratch)
            pictures.write_rgb(target, first, width, width - x, height - y, scratch, red, green, blue)


@pytest.mark.parametrize(("height", "width"), [(8, 12), (5, 7), (1, 1), (3, 16)])
def test_pictures_survive_going_through_blocks(height, width):
    source = np.random.default_rng(0).random(height * width * 3).astype(np.float32)
    target = np.full(height * width * 3 + 16, -1, dtype=np.float32)
    copy_blocks(source, target, height, width, np.zeros(16, dtype=np.float32))
    np.testing.assert_array_equal(target[:-16], source)
    assert (target[-16:] == -1).all(), "nothing is written after the picture"


@numba.njit(nogil=True)
def count_tasks(queues, worker, scratch, seen):
    while True:
        task = take(queues, worker)
        if task < 0:
            break
        seen[task] += 1


@pytest.fixture
def two_threads():
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(threads)


@pytest.mark.usefixtures("two_threads")
def test_an_error_in_a_helping_thread_is_raised_where_it_is_waited_for():
    helping = threading.Event()

    def fail_while_helping(queues, worker, scratch):
        if worker:
            helping.set()
            raise ArithmeticError("in a helper")
        assert helping.wait(10)

    with pytest.raises(ArithmeticError, match="in a helper"):
        run_tasks(fail_while_helping, 2)


@pytest.mark.usefixtures("two_threads")
def test_a_call_does_not_wait_for_helpers_that_are_busy():
    done, workers = threading.Event(), []
    busy = [_Share(done.wait) for _ in range(max(1, (os.cpu_count() or 1) - 1))]
    for share in busy:
        _waiting.put(share)
    try:
        run_tasks(lambda queues, worker, scratch: workers.append(worker), 2)
    finally:
        done.set()
    for share in busy:
        share.finish()
    assert workers == [0]


@pytest.mark.parametrize("count", [0, 1, 2, 7, 10_000])
def test_every_task_is_done_once(count):
    threads = torch.get_num_threads()
    seen = np.zeros(count, dtype=np.int64)
    try:
        torch.set_num_threads(4)
        run_tasks(count_tasks, count, seen)
    finally:
        torch.set_num_threads(threads)
    assert (seen == 1).all()


def test_drawing_from_several_threads_at_once_changes_nothing():
    generator = torch.Generator().manual_seed(0)
    gaussians = [
        0.3 * torch.randn(500, 3, generator=generator),
        torch.randn(500, 4, generator=generator),
        0.05 * torch.rand(500, 3, generator=generator),
        torch.rand(500, generator=generator),
        torch.rand(500, 3, generator=generator),
    ]
    cameras = orbit(8, height=40, width=40)

    def draw(k: int) -> torch.Tensor:
        views = torch.from_numpy(cameras.viewmats[k : k + 1]), torch.from_numpy(cameras.Ks[k : k + 1])
        return rasterize(*gaussians, *views, 40, 40).rgb

    alone = [draw(k) for k in range(8)]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(5):
            assert all(torch.equal(a, b) for a, b in zip(alone, pool.map(draw, range(8)), strict=True))


@pytest.mark.parametrize("kernel", [blend, blend_backward], ids=["blend", "blend_backward"])
def test_cached_kernels_know_all_sources_that_went_into_them(kernel):
    # Numba's own stamp knows one file only, and would run old code after a change in another.
    assert kernel._cache._cache_file._source_stamp == stamp_of(kernel.py_func)
